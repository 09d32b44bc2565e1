use proptest::prelude::*;
use reqwest::StatusCode;
use serde_json::json;

use domain::time::Timestamp;

use super::*;
use crate::provider::IdentityTokens;

fn judged(status: u16, body: &str) -> Result<TokenAnswer, TokenFailure> {
    let answer = Answer {
        status: StatusCode::from_u16(status).unwrap(),
        body: body.as_bytes().to_vec(),
    };
    judge(&answer, &["the-refresh-token"])
}

fn tokens(body: &Value) -> TokenAnswer {
    judged(200, &body.to_string()).unwrap()
}

#[test]
fn a_definite_refusal_is_told_from_our_faults_and_theirs() {
    let refused = |text: &str| TokenFailure::Refused(text.to_owned());
    let ours = |text: &str| TokenFailure::Misconfigured(text.to_owned());
    for (status, body, expected) in [
        (
            400,
            r#"{"error":"invalid_grant"}"#,
            refused("invalid_grant"),
        ),
        (
            401,
            r#"{"error":"invalid_grant"}"#,
            refused("invalid_grant"),
        ),
        // GitHub answers its errors with 200.
        (
            200,
            r#"{"error":"bad_refresh_token"}"#,
            refused("bad_refresh_token"),
        ),
        (
            400,
            r#"{"error":"interaction_required"}"#,
            refused("interaction_required"),
        ),
        (401, r#"{"error":"invalid_client"}"#, ours("invalid_client")),
        (
            400,
            r#"{"error":"unauthorized_client"}"#,
            ours("unauthorized_client"),
        ),
        (400, r#"{"error":"invalid_scope"}"#, ours("invalid_scope")),
        (
            400,
            r#"{"error":"invalid_request"}"#,
            ours("invalid_request"),
        ),
        (400, r#"{"error":"something_new"}"#, ours("something_new")),
    ] {
        assert_eq!(
            judged(status, body).unwrap_err(),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn what_is_no_definite_word_is_passing() {
    for (status, body) in [
        (500, r#"{"error":"invalid_grant"}"#),
        (503, "maintenance"),
        (429, r#"{"error":"invalid_client"}"#),
        (408, ""),
        (400, "<html>"),
        (401, r#"{"message":"who are you"}"#),
        (403, r#"{"error":{"code":7}}"#),
        (302, "{}"),
        (404, "{}"),
        (200, "<html>"),
        (200, "[]"),
        (200, "{}"),
        (200, r#"{"access_token":""}"#),
        (200, r#"{"access_token":7}"#),
        (400, r#"{"access_token":"given in spite of the status"}"#),
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (400, r#"{"error":"server_error"}"#),
    ] {
        assert!(
            matches!(judged(status, body), Err(TokenFailure::Unavailable(_))),
            "{status} {body}"
        );
    }
}

#[test]
fn the_providers_words_are_quoted_without_our_secrets() {
    let body = r#"{"error":"invalid_grant","error_description":"the-refresh-token\nis revoked"}"#;
    assert_eq!(
        judged(400, body).unwrap_err(),
        TokenFailure::Refused("invalid_grant ([redacted] is revoked)".to_owned())
    );
}

#[test]
fn lifetimes_come_in_many_forms() {
    for (value, seconds) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(3599.9), Some(3599)),
        (json!(0), None),
        (json!(-1), None),
        (json!("soon"), None),
        (json!(null), None),
        (json!("inf"), None),
        (json!(1e300), None),
    ] {
        let answer = tokens(&json!({ "access_token": "a", "expires_in": value }));
        assert_eq!(
            answer.expires_in.map(|life| life.as_secs()),
            seconds,
            "{value}"
        );
    }
    assert_eq!(tokens(&json!({ "access_token": "a" })).expires_in, None);
}

#[test]
fn scopes_are_space_joined() {
    for (value, joined) in [
        (json!("openid email"), Some("openid email")),
        (json!("repo,gist"), Some("repo gist")),
        (
            json!(["chat:read", "chat:edit"]),
            Some("chat:read chat:edit"),
        ),
        (json!("global"), Some("global")),
        (json!("a  b\u{1}"), Some("a")),
        (json!(""), None),
        (json!([]), None),
        (json!(7), None),
    ] {
        let answer = tokens(&json!({ "access_token": "a", "scope": value }));
        assert_eq!(answer.scope.as_deref(), joined, "{value}");
    }
}

#[test]
fn further_members_are_kept_within_bounds() {
    let answer = tokens(&json!({
        "access_token": "a", "token_type": "bearer", "expires_in": 1,
        "instance_url": "https://na1.example", "user_id": 7, "huge": "x".repeat(5000),
    }));
    assert_eq!(
        Value::Object(answer.extra),
        json!({ "instance_url": "https://na1.example", "user_id": 7 })
    );
    let many: Map<String, Value> = (0..20)
        .map(|index| (format!("member{index}"), json!("x".repeat(2000))))
        .chain([("access_token".to_owned(), json!("a"))])
        .collect();
    let mut kept = tokens(&Value::Object(many)).extra;
    assert_eq!(kept.len(), 8);
    // Nor do they add up over refreshes, and what identifies somebody is never crowded out.
    for index in 0..20 {
        let mut answer = tokens(&json!({
            "access_token": "a", "user_id": 7, format!("more{index}"): "x".repeat(2000),
        }));
        answer.carry_over(&IdentityTokens {
            access_token: SecretString::new("a"),
            refresh_token: None,
            expires_at: None,
            issued_at: Timestamp::from_unix(0),
            scope: String::new(),
            id_token: None,
            extra: kept,
        });
        kept = answer.extra;
        assert_eq!(kept["user_id"], 7);
        assert!(kept.len() <= 9);
    }
}

#[test]
fn nothing_of_an_answer_is_printed() {
    let answer =
        tokens(&json!({ "access_token": "at-1", "refresh_token": "rt-1", "id_token": "it-1" }));
    let printed = format!("{answer:?}");
    assert!(!printed.contains("at-1") && !printed.contains("rt-1") && !printed.contains("it-1"));
}

proptest! {
    /// An access token is one that the provider gave with a success and without an error; nothing
    /// else is taken for one, and no refusal repeats the secret that was sent.
    #[test]
    fn only_a_success_without_an_error_has_tokens(
        status in 200_u16..600,
        body in r#".{0,100}|\{("(access_token|error)":("[a-z_]{0,14}"|null|7),?){0,2}("x":1)?\}|the-refresh-token"#,
    ) {
        let members: Option<Map<String, Value>> = serde_json::from_str(&body).ok();
        match judged(status, &body) {
            Ok(tokens) => {
                let members = members.unwrap();
                prop_assert!((200..300).contains(&status));
                prop_assert_eq!(members["access_token"].as_str(), Some(tokens.access_token.expose()));
                prop_assert!(!tokens.access_token.expose().is_empty());
                prop_assert!(!members.get("error").is_some_and(Value::is_string));
            }
            Err(failure) => {
                let is_refused = matches!(failure, TokenFailure::Refused(_));
                let names_error = members.is_some_and(|members| members.contains_key("error"));
                prop_assert!(!is_refused || (status < 500 && names_error));
                prop_assert!(!failure.into_reason().contains("the-refresh-token"));
            }
        }
    }

    /// Providers differ in how they say these; what comes out does not.
    #[test]
    fn members_are_bounded_and_of_one_form(
        text in "[0-9]{1,6}(\\.[0-9])?|.{0,40}",
        number in any::<f64>(),
        words in prop::collection::vec("[a-z:/.]{1,9}|.{0,4}", 0..5),
        joint in "[ ,]",
        extra in prop::collection::hash_map("[a-z]{1,5}", ".{0,80}", 0..9),
    ) {
        let mut by_text: Map<String, Value> =
            extra.into_iter().map(|(name, value)| (name, value.into())).collect();
        by_text.insert("access_token".to_owned(), json!("a"));
        by_text.insert("expires_in".to_owned(), json!(text));
        by_text.insert("scope".to_owned(), json!(words.join(&joint)));
        let by_number = json!({ "access_token": "a", "expires_in": number, "scope": words });
        for body in [Value::from(by_text), by_number] {
            let tokens = tokens(&body);
            if let Some(life) = tokens.expires_in {
                prop_assert!(life.as_secs() >= 1 && life.subsec_nanos() == 0);
            }
            if let Some(scope) = &tokens.scope {
                let all_are_scopes = scope.split(' ').all(|word| domain::scope::Scope::parse(word).is_ok());
                prop_assert!(!scope.is_empty() && all_are_scopes, "{}", scope);
            }
            for name in ["access_token", "refresh_token", "id_token", "expires_in", "scope"] {
                prop_assert!(!tokens.extra.contains_key(name));
            }
            prop_assert!(Value::from(tokens.extra).to_string().len() <= 17 * 1024);
        }
    }
}
