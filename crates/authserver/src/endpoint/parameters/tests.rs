use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Parameters {
    Parameters::parse(text.as_bytes()).unwrap()
}

#[test]
fn values_are_decoded_and_empty_ones_are_absent() {
    let parameters = parse("a=x+y%2Bz&b=&c&=d");
    assert_eq!(parameters.get("a"), Some("x y+z"));
    assert_eq!(parameters.get("b"), None);
    assert_eq!(parameters.get("c"), None);
    assert!(parameters.contains("c"));
    assert!(!parameters.contains("d"));
    assert_eq!(parameters.duplicate(), None);
}

#[test]
fn a_repeated_parameter_is_named_and_has_no_value() {
    for text in [
        "state=a&x=1&state=b",
        "state=a&state=a",
        "state=a&state",
        "st%61te=a&state=",
    ] {
        let parameters = parse(text);
        assert_eq!(
            parameters.duplicate(),
            Some(DuplicateParameter("state".into())),
            "{text}"
        );
        assert_eq!(parameters.get("state"), None, "{text}");
    }
}

#[test]
fn resource_alone_may_be_repeated() {
    let parameters = parse("resource=https://a.example/mcp&resource=&resource=https://b.example");
    assert_eq!(parameters.duplicate(), None);
    let resources: Vec<_> = parameters.resources().collect();
    assert_eq!(resources, ["https://a.example/mcp", "https://b.example"]);
}

#[test]
fn size_and_number_are_bounded() {
    let many = "a=1&".repeat(65);
    assert_eq!(
        Parameters::parse(many.as_bytes()).unwrap_err(),
        InvalidParameters::TooMany
    );
    let long = format!("a={}", "x".repeat(Parameters::MAX_BYTES));
    assert_eq!(
        Parameters::parse(long.as_bytes()).unwrap_err(),
        InvalidParameters::TooLong
    );
}

#[test]
fn neither_values_nor_odd_names_are_printed() {
    let parameters = parse("code=hidden&Secret1=x&Secret1=y");
    let printed = format!("{parameters:?} {}", parameters.duplicate().unwrap());
    assert!(printed.contains("code"));
    assert!(
        !printed.contains("hidden") && !printed.contains("Secret1"),
        "{printed}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(parameters) = Parameters::parse(&bytes) {
            let _ = (parameters.duplicate(), parameters.get("a"), format!("{parameters:?}"));
        }
    }

    #[test]
    fn what_a_client_encodes_is_what_is_read(name in "[a-z_]{1,12}", value in ".{1,40}") {
        let encoded = form_urlencoded::Serializer::new(String::new())
            .append_pair(&name, &value)
            .finish();
        let parameters = parse(&encoded);
        prop_assert_eq!(parameters.get(&name), Some(value.as_str()));
    }
}
