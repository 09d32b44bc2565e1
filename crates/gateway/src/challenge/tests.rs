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
    #[test]
    fn no_challenge_of_a_server_upsets_the_reader(value in "[ -~]{0,80}") {
        let _ = required(&value);
    }

    #[test]
    fn a_description_stays_in_its_quotes(text in ".{0,60}") {
        let error = ChallengeError { code: "invalid_token", description: text.into() };
        let value = challenge("https://p.example/x", &ScopeSet::default(), Some(&error));
        let quotes = value.to_str().unwrap().matches('"').count();
        prop_assert_eq!(quotes, 6);
    }
}
