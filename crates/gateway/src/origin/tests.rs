use proptest::prelude::*;

use super::*;

fn origins() -> Origins {
    let base_url = BaseUrl::parse("https://proxy.example:8443/p").unwrap();
    let allowed = [
        "https://App.example/".to_owned(),
        "vscode-webview://abc".to_owned(),
    ];
    Origins::new(&base_url, &allowed)
}

fn check(values: &[&str]) -> Result<Option<String>, ForeignOrigin> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(ORIGIN, HeaderValue::from_str(value).unwrap());
    }
    let origin = origins().check(&headers)?;
    Ok(origin.map(|value| value.to_str().unwrap().to_owned()))
}

#[test]
fn programs_our_own_pages_loopback_and_the_allowed_are_let_in() {
    assert_eq!(check(&[]), Ok(None));
    for origin in [
        "https://proxy.example:8443",
        "https://app.example",
        "vscode-webview://abc",
        "http://localhost",
        "http://localhost:6274",
        "https://localhost:1",
        "http://127.0.0.1:99",
        "http://127.9.9.9",
        "http://[::1]:5173",
    ] {
        assert_eq!(check(&[origin]), Ok(Some(origin.to_owned())), "{origin}");
    }
}

#[test]
fn all_others_are_not() {
    for origin in [
        "null",
        "https://proxy.example",
        "http://proxy.example:8443",
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:6274/path",
        "http://user@localhost",
        "ftp://localhost",
        "http://0.0.0.0",
        "localhost",
        "",
    ] {
        assert_eq!(check(&[origin]), Err(ForeignOrigin), "{origin}");
    }
    let twice = check(&["http://localhost", "http://localhost"]);
    assert_eq!(twice, Err(ForeignOrigin));
}

#[test]
fn a_preflight_is_answered_with_the_names_it_asks_for() {
    let mut asked = HeaderMap::new();
    asked.insert(ORIGIN, HeaderValue::from_static("http://localhost:6274"));
    assert!(!is_preflight(&Method::OPTIONS, &asked));
    asked.insert(
        ACCESS_CONTROL_REQUEST_METHOD,
        HeaderValue::from_static("POST"),
    );
    assert!(is_preflight(&Method::OPTIONS, &asked));
    assert!(!is_preflight(&Method::POST, &asked));
    let names = HeaderValue::from_static("authorization, mcp-param-x");
    asked.insert(ACCESS_CONTROL_REQUEST_HEADERS, names.clone());
    let mut answer = HeaderMap::new();
    preflight_headers(&asked, &mut answer);
    assert_eq!(answer[ACCESS_CONTROL_ALLOW_HEADERS], names);
    assert!(
        answer[ACCESS_CONTROL_ALLOW_METHODS]
            .to_str()
            .unwrap()
            .contains("DELETE")
    );
    assert!(!answer.contains_key("access-control-allow-credentials"));
}

proptest! {
    /// Nothing is let in but ours, the allowed, and what a browser takes for this machine.
    #[test]
    fn who_is_let_in_is_named_or_of_this_machine(
        origin in "(https?|ftp|vscode-webview)://(localhost|127\\.0\\.0\\.[0-9]|\\[::1\\]|app\\.example|proxy\\.example|[a-z.@]{1,12})(:[0-9]{1,4})?[/.a-z]{0,4}|.{0,20}",
    ) {
        prop_assume!(HeaderValue::from_str(&origin).is_ok());
        let is_named = ["https://proxy.example:8443", "https://app.example", "vscode-webview://abc"]
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(&origin));
        if check(&[&origin]) == Ok(Some(origin.clone())) && !is_named {
            let url = Url::parse(&origin).unwrap();
            prop_assert!(is_loopback(&url) && matches!(url.scheme(), "http" | "https"));
            prop_assert_eq!(url.origin().ascii_serialization(), origin.to_ascii_lowercase());
        }
    }
}
