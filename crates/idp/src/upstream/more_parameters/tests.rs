use super::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    MoreParameters::parse(text).unwrap().over(Vec::new())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn parameters_are_read_as_in_a_query() {
    assert_eq!(
        pairs("access_type=offline&prompt=consent&hd=a%20b%26c&empty="),
        [
            pair("access_type", "offline"),
            pair("prompt", "consent"),
            pair("hd", "a b&c"),
            pair("empty", "")
        ]
    );
    assert_eq!(MoreParameters::default().over(Vec::new()), []);
}

#[test]
fn they_replace_what_the_endpoint_says_itself() {
    let more = MoreParameters::parse("audience=new").unwrap();
    let standing = vec![pair("audience", "old"), pair("tenant", "1")];
    assert_eq!(
        more.over(standing),
        [pair("tenant", "1"), pair("audience", "new")]
    );
}

#[test]
fn what_the_proxy_sets_cannot_be_set() {
    for name in OURS {
        let refused = MoreParameters::parse(&format!("a=b&{name}=x"));
        assert_eq!(refused, Err(InvalidParameters::Ours(name.to_owned())));
    }
    // Nor in another spelling.
    let refused = MoreParameters::parse("%73tate=x");
    assert_eq!(refused, Err(InvalidParameters::Ours("state".to_owned())));
}

#[test]
fn what_is_no_query_is_refused() {
    for text in [
        "",
        "access_type",
        "=x",
        "a=1&",
        "?a=1",
        "a=b c",
        "a=1\nb=2",
        "a=ä",
    ] {
        let refused = MoreParameters::parse(text);
        assert_eq!(refused, Err(InvalidParameters::NoQuery), "{text:?}");
    }
    let refused = MoreParameters::parse("a=1&a=2");
    assert_eq!(refused, Err(InvalidParameters::Twice("a".to_owned())));
}
