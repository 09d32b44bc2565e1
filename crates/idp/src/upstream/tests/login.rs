use std::collections::HashMap;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose};

use super::*;
use crate::provider::Identity;

async fn log_in(fake: &Fake, answer: &Value) -> Result<Identity, LoginError> {
    fake.always("/token", Reply::json(answer));
    let provider = connect(discovered(fake, "openid email profile"))
        .await
        .unwrap();
    provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
}

/// A plain OAuth server, described by a file.
async fn plain(fake: &Fake, scope: &str, changes: &Value) -> (UpstreamProvider, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut metadata = json!({
        "issuer": "https://id.example",
        "authorization_endpoint": fake.url("/authorize?audience=api&prompt=consent&state=x"),
        "token_endpoint": fake.url("/token"),
    });
    for (name, value) in changes.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    let source = write(directory.path(), &metadata);
    (connect(settings(source, scope)).await.unwrap(), directory)
}

fn query(url: &Url) -> HashMap<String, String> {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let names: HashMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(
        names.len(),
        pairs.len(),
        "a parameter stands there twice: {url}"
    );
    names
}

#[tokio::test]
async fn the_authorization_url_carries_what_the_login_needs() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let provider = connect(discovered(&fake, "openid email")).await.unwrap();
    let request = LoginRequest {
        state: "state-1",
        prompt: Some("login"),
        max_age: Some(60),
        login_hint: Some("alice@example.com"),
        more_scopes: ScopeSet::parse("email files").unwrap(),
    };
    let url = provider.authorization_url(&request, &secrets());
    assert_eq!(url.path(), "/authorize");
    let challenge = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
    let challenge = general_purpose::URL_SAFE_NO_PAD.encode(challenge);
    let query = query(&url);
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        (
            "redirect_uri",
            "https://proxy.example/interaction/identity/callback",
        ),
        ("scope", "openid email files"),
        ("state", "state-1"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("nonce", NONCE),
        ("prompt", "login"),
        ("max_age", "60"),
        ("login_hint", "alice@example.com"),
    ] {
        assert_eq!(query[name], value);
    }
    assert_eq!(query.len(), 11);
    assert!(!url.as_str().contains(VERIFIER));
    assert!(!format!("{request:?}").contains("state-1"));
}

#[tokio::test]
async fn a_query_of_the_endpoint_is_kept_and_nonce_is_for_openid_only() {
    let fake = Fake::start().await;
    let (provider, _file) = plain(&fake, "global", &json!({})).await;
    let request = LoginRequest {
        state: "state-1",
        ..LoginRequest::default()
    };
    let first = query(&provider.authorization_url(&request, &secrets()));
    assert_eq!(first["audience"], "api");
    assert_eq!(first["prompt"], "consent");
    assert_eq!(first["state"], "state-1");
    assert!(!first.contains_key("nonce") && !first.contains_key("max_age"));
    let again = LoginRequest {
        prompt: Some("select_account consent"),
        ..request
    };
    let second = query(&provider.authorization_url(&again, &secrets()));
    assert_eq!(second["prompt"], "consent select_account");
}

#[tokio::test]
async fn a_login_gives_identity_and_tokens() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let answer = json!({
        "access_token": "at-1", "token_type": "Bearer", "refresh_token": "rt-1",
        "expires_in": "3600", "scope": "openid email", "instance_url": "https://na1.example",
        "id_token": id_token(&fake, &keys, &json!({})),
    });
    let identity = log_in(&fake, &answer).await.unwrap();
    assert_eq!(identity.issuer, fake.issuer());
    assert_eq!(identity.subject.as_str(), "alice");
    assert_eq!(
        Value::Object(identity.claims),
        json!({ "email": "alice@example.com", "name": "Alice" })
    );
    assert_eq!(identity.auth_time, Some(Timestamp::from_unix(NOW - 5)));
    let tokens = identity.tokens;
    assert_eq!(tokens.access_token.expose(), "at-1");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "rt-1");
    assert_eq!(tokens.expires_at, Some(Timestamp::from_unix(NOW + 3600)));
    assert_eq!(tokens.issued_at, Timestamp::from_unix(NOW));
    assert_eq!(tokens.scope, "openid email");
    assert_eq!(
        Value::Object(tokens.extra),
        json!({ "instance_url": "https://na1.example" })
    );
    assert!(tokens.id_token.is_some());
    // All was in the ID token.
    assert_eq!(fake.seen("/userinfo").len(), 0);
}

#[tokio::test]
async fn the_code_is_sent_with_pkce_and_basic_authentication() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let token = id_token(&fake, &keys, &json!({}));
    log_in(&fake, &json!({ "access_token": "a", "id_token": token }))
        .await
        .unwrap();
    let sent = fake.seen("/token").remove(0);
    let form = sent.form();
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], "code-1");
    assert_eq!(form["code_verifier"], VERIFIER);
    // As registered, without the callback's query.
    assert_eq!(
        form["redirect_uri"],
        "https://proxy.example/interaction/identity/callback"
    );
    assert_eq!(form.len(), 4);
    let basic = general_purpose::STANDARD.encode("my%3Aclient:s3cr3t%2F%2B%C3%A4");
    assert_eq!(sent.headers["authorization"], format!("Basic {basic}"));
    assert_eq!(
        sent.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
}

#[tokio::test]
async fn post_authentication_is_used_where_only_that_is_offered() {
    let fake = Fake::start().await;
    let methods = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] });
    let (provider, _file) = plain(&fake, "global", &methods).await;
    fake.always(
        "/token",
        Reply::json(&json!({ "access_token": "a", "user_id": 7 })),
    );
    provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    let sent = fake.seen("/token").remove(0);
    assert_eq!(sent.form()["client_id"], CLIENT);
    assert_eq!(sent.form()["client_secret"], SECRET);
    assert!(!sent.headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_id_token_that_is_wrong_in_one_respect_is_no_login() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    for changes in [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "other" }),
        json!({ "azp": "other" }),
        json!({ "exp": NOW - 61 }),
        json!({ "iat": NOW + 61 }),
        json!({ "nonce": "nonce-2" }),
        json!({ "nonce": null }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
    ] {
        let token = id_token(&fake, &keys, &changes);
        let error = log_in(&fake, &json!({ "access_token": "a", "id_token": token }))
            .await
            .unwrap_err();
        assert!(
            matches!(error, LoginError::Invalid(_)),
            "{changes}: {error}"
        );
    }
    let absent = log_in(&fake, &json!({ "access_token": "a" })).await;
    assert!(matches!(absent, Err(LoginError::Invalid(_))));
}

#[tokio::test]
async fn a_forged_or_unsigned_id_token_is_no_login() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    // Signed by somebody else under the provider's key id.
    let kid = keys.public_jwks()["keys"][0]["kid"].clone();
    let text = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let mut other: Value = serde_json::from_str(text.expose()).unwrap();
    other["kid"] = kid;
    let (impostor, _) = SigningKeys::parse(&json!([other]).to_string()).unwrap();
    let forged = id_token(&fake, &impostor, &json!({}));
    let error = log_in(&fake, &json!({ "access_token": "a", "id_token": forged }))
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Invalid(_)), "{error}");

    let header = general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    let good = id_token(&fake, &keys, &json!({}));
    let payload = good.split('.').nth(1).unwrap();
    let unsigned = format!("{header}.{payload}.");
    let error = log_in(&fake, &json!({ "access_token": "a", "id_token": unsigned }))
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Misconfigured(_)), "{error}");
}

#[tokio::test]
async fn rotated_keys_are_fetched_once_and_not_more_often_than_allowed() {
    let (old, new) = (signing_keys(), signing_keys());
    let fake = openid(&old).await;
    let clock = ManualClock::new();
    let provider = connect_with(
        discovered(&fake, "openid"),
        Arc::clone(&clock),
        Duration::from_secs(5),
    )
    .await
    .unwrap();
    let log_in = async |keys: &SigningKeys| {
        let token = id_token(&fake, keys, &json!({}));
        let answer = json!({ "access_token": "a", "id_token": token });
        fake.always("/token", Reply::json(&answer));
        provider
            .exchange("code-1", &secrets(), &ScopeSet::default())
            .await
    };
    log_in(&old).await.unwrap();
    log_in(&old).await.unwrap();
    assert_eq!(fake.seen("/keys").len(), 1);

    fake.always("/keys", Reply::json(&new.public_jwks()));
    log_in(&new).await.unwrap();
    assert_eq!(fake.seen("/keys").len(), 2);

    // Tokens of nobody's key make one fetch in ten seconds.
    let nobody = signing_keys();
    for _ in 0..3 {
        assert!(log_in(&nobody).await.is_err());
    }
    assert_eq!(fake.seen("/keys").len(), 2);
    clock.forward(10);
    assert!(log_in(&nobody).await.is_err());
    assert_eq!(fake.seen("/keys").len(), 3);

    // A fetch that fails says so, and the known keys serve on.
    clock.forward(10);
    fake.next("/keys", Reply::status(500, ""));
    assert!(matches!(
        log_in(&nobody).await,
        Err(LoginError::Unavailable(_))
    ));
    log_in(&new).await.unwrap();
}

#[tokio::test]
async fn keys_are_renewed_hourly_and_the_old_ones_bridge_an_outage() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let clock = ManualClock::new();
    let limit = Duration::from_secs(5);
    let provider = connect_with(discovered(&fake, "openid"), Arc::clone(&clock), limit)
        .await
        .unwrap();
    let times = json!({ "exp": NOW + 100_000 });
    let answer = json!({ "access_token": "a", "id_token": id_token(&fake, &keys, &times) });
    fake.always("/token", Reply::json(&answer));
    provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    clock.forward(3600);
    fake.next("/keys", Reply::status(503, ""));
    provider
        .exchange("code-2", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    provider
        .exchange("code-3", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    assert_eq!(fake.seen("/keys").len(), 2);
    clock.forward(10);
    provider
        .exchange("code-4", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    provider
        .exchange("code-5", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    assert_eq!(fake.seen("/keys").len(), 3);
}

#[tokio::test]
async fn userinfo_completes_a_small_id_token_but_never_changes_the_user() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let small = id_token(&fake, &keys, &json!({ "email": null, "name": null }));
    let answer = json!({ "access_token": "at-1", "id_token": small });

    fake.next(
        "/userinfo",
        Reply::json(&json!({ "sub": "alice", "email": "a@example.com", "groups": ["x"] })),
    );
    let identity = log_in(&fake, &answer).await.unwrap();
    assert_eq!(identity.claims["email"], "a@example.com");
    assert_eq!(identity.claims["groups"], json!(["x"]));
    let sent = fake.seen("/userinfo").remove(0);
    assert_eq!(sent.headers["authorization"], "Bearer at-1");

    fake.next(
        "/userinfo",
        Reply::json(&json!({ "sub": "bob", "email": "b@example.com" })),
    );
    let error = log_in(&fake, &answer).await.unwrap_err();
    assert!(matches!(error, LoginError::Invalid(_)), "{error}");

    // The user is known without it.
    fake.next("/userinfo", Reply::status(500, ""));
    let identity = log_in(&fake, &answer).await.unwrap();
    assert_eq!(identity.subject.as_str(), "alice");
    assert!(!identity.claims.contains_key("email"));
}

#[tokio::test]
async fn without_openid_userinfo_says_who_it_is_and_its_failure_is_an_error() {
    let fake = Fake::start().await;
    let userinfo = json!({ "userinfo_endpoint": fake.url("/userinfo") });
    let (provider, _file) = plain(&fake, "read:user", &userinfo).await;
    // The next rule's member is there, and is not taken.
    let answer = json!({ "access_token": "at-1", "user_id": "from-token" });
    fake.always("/token", Reply::json(&answer));

    fake.next(
        "/userinfo",
        Reply::json(&json!({ "id": 583_231, "login": "octocat" })),
    );
    let identity = provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap();
    assert_eq!(identity.subject.as_str(), "583231");
    assert_eq!(identity.claims["login"], "octocat");
    assert_eq!(identity.tokens.scope, "read:user");
    assert_eq!(identity.auth_time, None);

    for (reply, passing) in [
        (Reply::status(503, ""), true),
        (Reply::status(429, ""), true),
        (Reply::status(403, "{}"), false),
        (Reply::status(200, "<html>"), false),
        (Reply::json(&json!({ "login": "octocat" })), false),
    ] {
        fake.next("/userinfo", reply.clone());
        let error = provider
            .exchange("code-2", &secrets(), &ScopeSet::default())
            .await
            .unwrap_err();
        assert_eq!(
            matches!(error, LoginError::Unavailable(_)),
            passing,
            "{reply:?}: {error}"
        );
    }
}

#[tokio::test]
async fn without_userinfo_the_token_response_says_who_it_is() {
    let fake = Fake::start().await;
    let (provider, _file) = plain(&fake, "global", &json!({})).await;
    for (answer, subject) in [
        (
            json!({ "access_token": "a", "user_id": "heroku-user" }),
            "heroku-user",
        ),
        (json!({ "access_token": "a", "user_id": 7 }), "7"),
        (
            json!({ "access_token": "a", "id": "https://login.salesforce.com/id/00D/005" }),
            "https://login.salesforce.com/id/00D/005",
        ),
    ] {
        fake.always("/token", Reply::json(&answer));
        let identity = provider
            .exchange("code-1", &secrets(), &ScopeSet::default())
            .await
            .unwrap();
        assert_eq!(identity.subject.as_str(), subject);
        assert!(identity.claims.is_empty());
    }
    fake.always("/token", Reply::json(&json!({ "access_token": "a" })));
    let error = provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Invalid(_)), "{error}");
}

#[tokio::test]
async fn a_refused_code_our_fault_and_an_outage_are_told_apart() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let provider = connect(discovered(&fake, "openid")).await.unwrap();
    let echo = format!(
        r#"{{"error":"invalid_grant","error_description":"code-1 {VERIFIER} {SECRET} are unknown"}}"#
    );
    fake.next("/token", Reply::status(400, &echo));
    let error = provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Refused(_)), "{error}");
    for secret in ["code-1", VERIFIER, SECRET] {
        assert!(!error.to_string().contains(secret), "{error}");
    }
    fake.next(
        "/token",
        Reply::status(401, r#"{"error":"invalid_client"}"#),
    );
    let error = provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Misconfigured(_)), "{error}");
    fake.next("/token", Reply::status(502, "bad gateway"));
    let error = provider
        .exchange("code-1", &secrets(), &ScopeSet::default())
        .await
        .unwrap_err();
    assert!(matches!(error, LoginError::Unavailable(_)), "{error}");
    // One request each: a code is good for one.
    assert_eq!(fake.seen("/token").len(), 3);
}

#[tokio::test]
async fn the_callbacks_issuer_is_checked_where_it_is_given_or_promised() {
    let keys = signing_keys();
    let fake = openid(&keys).await;
    let silent = connect(discovered(&fake, "openid")).await.unwrap();
    assert!(silent.check_callback_issuer(None).is_ok());
    assert!(silent.check_callback_issuer(Some(fake.issuer())).is_ok());
    let foreign = silent.check_callback_issuer(Some("https://evil.example"));
    assert!(matches!(foreign, Err(LoginError::Invalid(_))));

    let mut metadata = openid_metadata(&fake);
    metadata["authorization_response_iss_parameter_supported"] = json!(true);
    fake.always("/.well-known/openid-configuration", Reply::json(&metadata));
    let naming = connect(discovered(&fake, "openid")).await.unwrap();
    assert!(naming.check_callback_issuer(Some(fake.issuer())).is_ok());
    assert!(naming.check_callback_issuer(None).is_err());
}

#[tokio::test]
async fn an_answer_without_scope_grants_all_that_was_asked() {
    let fake = Fake::start().await;
    let (provider, _file) = plain(&fake, "global", &json!({})).await;
    let more = ScopeSet::parse("drive").unwrap();
    for (said, held) in [(None, "global drive"), (Some("global"), "global")] {
        let mut answer = json!({ "access_token": "at", "token_type": "Bearer", "user_id": "u" });
        if let Some(said) = said {
            answer["scope"] = said.into();
        }
        fake.next("/token", Reply::json(&answer));
        let identity = provider.exchange("code", &secrets(), &more).await.unwrap();
        assert_eq!(identity.tokens.scope, held);
    }
}
