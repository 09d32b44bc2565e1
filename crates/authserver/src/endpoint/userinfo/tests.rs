use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::json;

use crate::testing::{Answer, EMAIL, SUBJECT, Setup, TestServer, text};

const SCOPES: &str = "openid profile email groups offline_access";

fn offering_all() -> TestServer {
    TestServer::with(&Setup {
        scopes: SCOPES,
        ..Setup::default()
    })
}

/// What a client got for these scopes.
async fn tokens(server: &TestServer, scopes: &str) -> serde_json::Value {
    let client = server.public_client().await;
    let code = server.code_for(&client, 0, scopes).await;
    server.redeem(&client, &code).await.json()
}

async fn ask(server: &TestServer, method: Method, token: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri("/me")
        .header("authorization", format!("Bearer {token}"));
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn scopes_open_their_claims_and_no_others() {
    let server = offering_all();
    for (scopes, claims) in [
        ("openid", json!({ "sub": SUBJECT })),
        ("openid email", json!({ "sub": SUBJECT, "email": EMAIL })),
        (
            "openid profile",
            json!({ "sub": SUBJECT, "name": "Alice Example" }),
        ),
        (
            SCOPES,
            json!({ "sub": SUBJECT, "email": EMAIL, "name": "Alice Example", "groups": ["staff"] }),
        ),
    ] {
        let token = text(&tokens(&server, scopes).await, "access_token");
        for method in [Method::GET, Method::POST] {
            let answer = ask(&server, method, &token).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json(), claims, "{scopes}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        }
    }
}

/// OpenID Connect Core §5.3.2: a client must compare the two.
#[tokio::test]
async fn the_subject_is_that_of_the_id_token() {
    let server = offering_all();
    let tokens = tokens(&server, "openid").await;
    let id_token = text(&tokens, "id_token");
    let claims = id_token.split('.').nth(1).unwrap();
    let claims = crate::testing::decoded(claims);
    let answer = ask(&server, Method::GET, &text(&tokens, "access_token")).await;
    assert_eq!(answer.json()["sub"], claims["sub"]);
}

#[tokio::test]
async fn refusals_are_those_of_rfc_6750() {
    let server = offering_all();
    let all = tokens(&server, SCOPES).await;
    let without = tokens(&server, "email").await;
    let refresh = text(&all, "refresh_token");
    let without = text(&without, "access_token");
    for (token, status, code) in [
        ("junk", 401, "invalid_token"),
        (refresh.as_str(), 401, "invalid_token"),
        (without.as_str(), 403, "insufficient_scope"),
    ] {
        let answer = ask(&server, Method::GET, token).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, code));
        let challenge = answer.header("www-authenticate").unwrap();
        let start = format!("Bearer realm=\"userinfo\", error=\"{code}\", error_description=\"");
        assert!(challenge.starts_with(&start), "{challenge}");
        assert_eq!(
            challenge.ends_with(", scope=\"openid\""),
            status == 403,
            "{challenge}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    let answer = server.get("/me").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"userinfo\"")
    );
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_token_in_the_form_is_no_credential() {
    let server = offering_all();
    let token = text(&tokens(&server, SCOPES).await, "access_token");
    let form = [("access_token", token.as_str())];
    assert_eq!(server.post("/me", &form).await.status, 401);
    let bearer = format!("Bearer {token}");
    let answer = server
        .post_with("/me", &[("authorization", &bearer)], &form)
        .await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, "invalid_request")
    );
}

#[tokio::test]
async fn an_ended_session_tells_nothing_and_a_store_that_is_away_is_passing() {
    let server = offering_all();
    let client = server.public_client().await;
    let code = server.code_for(&client, 0, SCOPES).await;
    let token = text(&server.redeem(&client, &code).await.json(), "access_token");
    let fields = [("client_id", client.as_str()), ("token", &token)];
    assert_eq!(server.post("/token/revocation", &fields).await.status, 200);
    let answer = ask(&server, Method::GET, &token).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (401, "invalid_token")
    );
    let unknown = text(&tokens(&offering_all(), "openid").await, "access_token");
    server.store.set_away(true);
    tokio::time::pause();
    let answer = ask(&server, Method::GET, &unknown).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "temporarily_unavailable")
    );
    assert_eq!(answer.header("www-authenticate"), None);
}

/// Announced and served, or neither.
#[tokio::test]
async fn without_openid_there_is_no_userinfo() {
    let server = TestServer::with(&Setup {
        scopes: "tools offline_access",
        ..Setup::default()
    });
    assert_eq!(server.get("/me").await.status, 404);
    let path = "/.well-known/openid-configuration";
    let metadata = server.get(path).await.json();
    assert_eq!(metadata.get("userinfo_endpoint"), None);
}

#[tokio::test]
async fn the_metadata_names_the_claims_that_scopes_open() {
    let path = "/.well-known/openid-configuration";
    let metadata = offering_all().get(path).await.json();
    let claims = metadata["claims_supported"].as_array().unwrap();
    for claim in ["sub", "email", "name", "groups"] {
        assert!(claims.contains(&claim.into()), "{claim}");
    }
    assert!(!claims.contains(&"address".into()));
    let metadata = TestServer::start().get(path).await.json();
    let claims = metadata["claims_supported"].as_array().unwrap();
    assert!(!claims.contains(&"email".into()));
}
