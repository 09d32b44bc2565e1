use super::*;

async fn provider(fake: &Fake, limit: Duration) -> UpstreamProvider {
    let metadata = openid_metadata(fake);
    fake.always("/.well-known/openid-configuration", Reply::json(&metadata));
    connect_with(discovered(fake, "openid email"), ManualClock::new(), limit)
        .await
        .unwrap()
}

fn current() -> IdentityTokens {
    IdentityTokens {
        access_token: SecretString::new("at-1"),
        refresh_token: Some(SecretString::new("rt-1")),
        expires_at: Some(Timestamp::from_unix(NOW)),
        issued_at: Timestamp::from_unix(NOW - 300),
        scope: "openid".to_owned(),
        id_token: Some(SecretString::new("it-1")),
        extra: json!({ "instance_url": "https://na1.example", "kept": 1 })
            .as_object()
            .unwrap()
            .clone(),
    }
}

fn alice() -> Subject {
    Subject::parse("alice").unwrap()
}

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_rotated_answer_replaces_what_it_names() {
    let fake = Fake::start().await;
    let provider = provider(&fake, LIMIT).await;
    fake.next(
        "/token",
        Reply::json(&json!({
            "access_token": "at-2", "refresh_token": "rt-2", "expires_in": 60,
            "scope": "openid email", "id_token": "not even a token",
            "instance_url": "https://na2.example",
        })),
    );
    let tokens = provider.refresh(&alice(), &current()).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "at-2");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "rt-2");
    assert_eq!(tokens.expires_at, Some(Timestamp::from_unix(NOW + 60)));
    assert_eq!(tokens.scope, "openid email");
    // The answer is to be stored before it is judged.
    assert_eq!(tokens.id_token.unwrap().expose(), "not even a token");
    assert_eq!(
        Value::Object(tokens.extra),
        json!({ "instance_url": "https://na2.example", "kept": 1 })
    );
    let sent = fake.seen("/token").remove(0);
    assert_eq!(sent.form()["grant_type"], "refresh_token");
    assert_eq!(sent.form()["refresh_token"], "rt-1");
    assert!(sent.headers.contains_key("authorization"));
    assert_eq!(fake.seen("/keys").len() + fake.seen("/userinfo").len(), 0);
}

#[tokio::test]
async fn what_the_answer_leaves_out_is_carried_over() {
    let fake = Fake::start().await;
    let provider = provider(&fake, LIMIT).await;
    fake.next("/token", Reply::json(&json!({ "access_token": "at-2" })));
    let tokens = provider.refresh(&alice(), &current()).await.unwrap();
    assert_eq!(tokens.access_token.expose(), "at-2");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "rt-1");
    assert_eq!(tokens.scope, "openid");
    assert_eq!(tokens.id_token.unwrap().expose(), "it-1");
    // The old end says nothing about the new token.
    assert_eq!(tokens.expires_at, None);
}

#[tokio::test]
async fn only_a_definite_word_refuses() {
    let fake = Fake::start().await;
    let provider = provider(&fake, LIMIT).await;
    fake.next(
        "/token",
        Reply::status(
            400,
            r#"{"error":"invalid_grant","error_description":"rt-1 is revoked"}"#,
        ),
    );
    let error = provider.refresh(&alice(), &current()).await.unwrap_err();
    assert!(matches!(error, RefreshError::Refused(_)), "{error}");
    assert!(!error.to_string().contains("rt-1"), "{error}");

    for reply in [
        Reply::status(401, r#"{"error":"invalid_client"}"#),
        Reply::status(400, r#"{"error":"invalid_scope"}"#),
    ] {
        fake.next("/token", reply);
        let error = provider.refresh(&alice(), &current()).await.unwrap_err();
        assert!(matches!(error, RefreshError::Misconfigured(_)), "{error}");
    }
    for reply in [
        Reply::status(500, r#"{"error":"invalid_grant"}"#),
        Reply::status(429, ""),
        Reply::status(400, "<html>no</html>"),
        Reply::status(200, "{}"),
        Reply::redirect(&fake.url("/elsewhere")),
    ] {
        fake.next("/token", reply);
        let error = provider.refresh(&alice(), &current()).await.unwrap_err();
        assert!(matches!(error, RefreshError::Unavailable(_)), "{error}");
    }
    // One attempt each, and a refresh token does not wander.
    assert_eq!(fake.seen("/token").len(), 8);
    assert_eq!(fake.seen("/elsewhere").len(), 0);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_unavailable() {
    let fake = Fake::start().await;
    let provider = provider(&fake, Duration::from_millis(50)).await;
    fake.next("/token", Reply::never());
    let error = provider.refresh(&alice(), &current()).await.unwrap_err();
    assert!(matches!(error, RefreshError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("no answer"), "{error}");
}

#[tokio::test]
async fn without_refresh_token_nobody_is_asked() {
    let fake = Fake::start().await;
    let provider = provider(&fake, LIMIT).await;
    let mut tokens = current();
    assert!(provider.can_refresh(&tokens));
    tokens.refresh_token = None;
    assert!(!provider.can_refresh(&tokens));
    let error = provider.refresh(&alice(), &tokens).await.unwrap_err();
    assert!(matches!(error, RefreshError::NoRefreshToken));
    assert_eq!(fake.seen("/token").len(), 0);
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let fake = Fake::start().await;
    let provider = provider(&fake, LIMIT).await;
    let printed = format!("{provider:?} {:?} {:?}", secrets(), current());
    for secret in [SECRET, NONCE, VERIFIER, "at-1", "rt-1", "it-1"] {
        assert!(!printed.contains(secret));
    }
}
