use super::*;

/// A provider whose metadata has these members besides the usual ones.
async fn provider(fake: &Fake, members: &Value) -> UpstreamProvider {
    let mut metadata = openid_metadata(fake);
    for (name, value) in members.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    fake.always("/.well-known/openid-configuration", Reply::json(&metadata));
    connect(discovered(fake, "openid")).await.unwrap()
}

fn tokens(refresh_token: Option<&str>) -> IdentityTokens {
    IdentityTokens {
        access_token: SecretString::new("at-secret"),
        refresh_token: refresh_token.map(SecretString::new),
        expires_at: None,
        issued_at: Timestamp::from_unix(NOW),
        scope: "openid".to_owned(),
        id_token: None,
        extra: serde_json::Map::new(),
    }
}

#[tokio::test]
async fn the_refresh_token_is_given_back_else_the_access_token() {
    let fake = Fake::start().await;
    let endpoint = json!({ "revocation_endpoint": fake.url("/revoke") });
    let provider = provider(&fake, &endpoint).await;
    assert!(provider.can_revoke());
    fake.always("/revoke", Reply::status(200, ""));
    for (refresh_token, token, kind) in [
        (Some("rt-secret"), "rt-secret", "refresh_token"),
        (None, "at-secret", "access_token"),
    ] {
        provider.revoke(&tokens(refresh_token)).await.unwrap();
        let sent = fake.seen("/revoke").pop().unwrap();
        assert_eq!(sent.form()["token"], token);
        assert_eq!(sent.form()["token_type_hint"], kind);
        assert!(sent.headers.contains_key("authorization"));
    }
}

#[tokio::test]
async fn the_client_shows_itself_as_that_endpoint_or_the_token_endpoint_wants_it() {
    let post = json!(["client_secret_post"]);
    for (of_token, of_revocation, by_form) in [
        (post.clone(), Value::Null, true),
        (post.clone(), json!(["client_secret_basic"]), false),
        (Value::Null, post, true),
    ] {
        let fake = Fake::start().await;
        let mut members = json!({ "revocation_endpoint": fake.url("/revoke") });
        for (name, value) in [("token", of_token), ("revocation", of_revocation)] {
            if !value.is_null() {
                members[format!("{name}_endpoint_auth_methods_supported")] = value;
            }
        }
        let provider = provider(&fake, &members).await;
        fake.always("/revoke", Reply::status(204, ""));
        provider.revoke(&tokens(Some("rt"))).await.unwrap();
        let sent = fake.seen("/revoke").remove(0);
        assert_eq!(sent.form().contains_key("client_secret"), by_form);
        assert_eq!(sent.headers.contains_key("authorization"), !by_form);
    }
}

#[tokio::test]
async fn without_such_an_endpoint_nothing_is_asked() {
    let fake = Fake::start().await;
    let provider = provider(&fake, &json!({})).await;
    assert!(!provider.can_revoke());
    provider.revoke(&tokens(Some("rt"))).await.unwrap();
    assert!(fake.seen("/token").is_empty());
}

#[tokio::test]
async fn a_failure_is_said_without_the_token() {
    let fake = Fake::start().await;
    let endpoint = json!({ "revocation_endpoint": fake.url("/revoke") });
    let provider = provider(&fake, &endpoint).await;
    let told = json!({ "error": "unsupported_token_type", "error_description": "no rt-secret" });
    for reply in [
        Reply::status(400, &told.to_string()),
        Reply::status(503, "rt-secret"),
        Reply::status(404, "<html>"),
        Reply::status(302, "{\"access_token\":\"a\",\"token_type\":\"b\"}"),
    ] {
        fake.next("/revoke", reply);
        let failure = provider
            .revoke(&tokens(Some("rt-secret")))
            .await
            .unwrap_err();
        assert!(!failure.to_string().contains("rt-secret"), "{failure}");
    }
}
