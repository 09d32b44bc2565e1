use proptest::prelude::*;

use super::*;

fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse(text).unwrap()
}

fn required(value: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
    required_scopes(&headers).map(|scopes| scopes.to_string())
}

#[test]
fn a_challenge_names_metadata_scopes_and_what_was_wrong() {
    let url = "https://p.example/.well-known/oauth-protected-resource/mcp";
    assert_eq!(
        challenge(url, &scopes("openid a"), None),
        format!("Bearer resource_metadata=\"{url}\", scope=\"openid a\"").as_str()
    );
    let error = ChallengeError {
        code: "invalid_token",
        description: "it is \"old\"\u{e9}".into(),
    };
    assert_eq!(
        challenge(url, &ScopeSet::default(), Some(&error)),
        format!(
            "Bearer resource_metadata=\"{url}\", error=\"invalid_token\", error_description=\"it is 'old'?\""
        )
        .as_str()
    );
}

#[test]
fn the_scopes_a_server_asks_for_are_read_from_its_challenge() {
    for value in [
        r#"Bearer error="insufficient_scope", scope="files:write admin""#,
        r#"bearer scope="files:write admin",error=insufficient_scope"#,
        r#"Basic realm="a, b", Bearer realm="x", error="insufficient_scope", scope="files:write admin""#,
        r#"Bearer error="insufficient_scope", error_description="say \"please\", then", scope="files:write admin", Basic realm="x""#,
    ] {
        assert_eq!(
            required(value),
            Some("files:write admin".to_owned()),
            "{value}"
        );
    }
    assert_eq!(
        required(r#"Bearer error="insufficient_scope""#),
        Some(String::new())
    );
}

#[test]
fn other_challenges_ask_for_no_scope() {
    for value in [
        r#"Bearer error="invalid_token", scope="a""#,
        r#"Basic error="insufficient_scope", scope="a""#,
        r#"Bearer scope="a""#,
        "Bearer",
        "",
    ] {
        assert_eq!(required(value), None, "{value}");
    }
}

#[test]
fn the_client_is_asked_for_what_it_has_and_what_it_lacks() {
    let union = union(&scopes("openid offline_access a"), &scopes("b a"));
    assert_eq!(union.to_string(), "openid a b");
}

proptest! {
    /// However a server writes its challenge (order, case, quotes, others beside it), the scopes
    /// are those that it names.
    #[test]
    fn scopes_are_read_however_a_challenge_is_written(
        words in prop::collection::vec("[!#-+.-<>-Z^-~]{1,6}", 1..4),
        scheme in "(?i)bearer",
        realm in "[ !#-Z^-~]{0,12}",
        is_first: bool,
        others in any::<(bool, bool)>(),
        joint in ", ?",
    ) {
        let scope = format!("scope=\"{}\"", words.join(" "));
        let error = "error=\"insufficient_scope\"".to_owned();
        let realm = format!("realm=\"{realm}\"");
        let mut parameters = vec![realm, error];
        parameters.insert(if is_first { 0 } else { 2 }, scope);
        let mut text = format!("{scheme} {}", parameters.join(&joint));
        if others.0 {
            text = format!("Digest realm=\"a, scope=b\", qop=auth{joint}{text}");
        }
        if others.1 {
            text = format!("{text}{joint}Basic realm=\"x\"");
        }
        let expected = ScopeSet::parse(&words.join(" ")).unwrap();
        prop_assert_eq!(required(&text), Some(expected.to_string()));
    }

    #[test]
    fn only_a_challenge_for_scope_asks_for_one(value in "[ -~]{0,80}|(Bearer|Basic) [a-z=\", ]{0,60}") {
        if required(&value).is_some() {
            prop_assert!(value.contains("insufficient_scope"));
            prop_assert!(value.to_ascii_lowercase().contains("bearer"));
        }
    }

    #[test]
    fn a_description_stays_in_its_quotes(text in ".{0,60}") {
        let error = ChallengeError { code: "invalid_token", description: text.into() };
        let value = challenge("https://p.example/x", &ScopeSet::default(), Some(&error));
        let quotes = value.to_str().unwrap().matches('"').count();
        prop_assert_eq!(quotes, 6);
    }
}
