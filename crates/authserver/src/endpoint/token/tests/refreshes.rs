use std::time::Duration;

use serde_json::Value;

use super::assert_refused;
use crate::testing::{Setup, TestServer, basic, refresh_fields, text};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn tokens(server: &TestServer, client: &str) -> Value {
    let code = server.code(client).await;
    server.redeem(client, &code).await.json()
}

#[tokio::test]
async fn a_public_client_gets_the_next_refresh_token() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let first = tokens(&server, &client).await;
    let answer = server
        .refresh(&client, &text(&first, "refresh_token"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let second = answer.json();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(second["scope"], first["scope"]);
    assert_eq!(second["expires_in"], 3600);
    assert!(second.get("id_token").is_some());
}

#[tokio::test]
async fn a_confidential_client_keeps_its_refresh_token() {
    let server = TestServer::start();
    let registered = server.register("client_secret_basic").await;
    let (id, secret) = (
        text(&registered, "client_id"),
        text(&registered, "client_secret"),
    );
    let authorization = basic(&id, &secret);
    let headers = [("authorization", authorization.as_str())];
    let code = server.code(&id).await;
    let fields = crate::testing::code_fields(&id, &code);
    let first = server.post_with("/token", &headers, &fields).await.json();
    let refresh_token = text(&first, "refresh_token");
    let fields = refresh_fields(&id, &refresh_token);
    let second = server.post_with("/token", &headers, &fields).await.json();
    assert_eq!(text(&second, "refresh_token"), refresh_token);
}

#[tokio::test]
async fn an_absent_refresh_token_is_an_invalid_request_and_junk_an_invalid_grant() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let fields = refresh_fields(&client, "");
    assert_refused(
        &server.post("/token", &fields).await,
        400,
        "invalid_request",
    );
    assert_refused(&server.refresh(&client, "junk").await, 400, "invalid_grant");
    let first = tokens(&server, &client).await;
    let access_token = text(&first, "access_token");
    assert_refused(
        &server.refresh(&client, &access_token).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn another_client_gets_nothing_and_ends_nothing() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let other = server.public_client().await;
    let refresh_token = text(&tokens(&server, &client).await, "refresh_token");
    assert_refused(
        &server.refresh(&other, &refresh_token).await,
        400,
        "invalid_grant",
    );
    assert_eq!(server.refresh(&client, &refresh_token).await.status, 200);
}

#[tokio::test]
async fn scopes_may_not_be_more_and_those_not_offered_here_do_not_matter() {
    let server = TestServer::with(&Setup {
        scopes: "openid offline_access extra",
        ..Setup::default()
    });
    let client = server.public_client().await;
    let refresh_token = text(&tokens(&server, &client).await, "refresh_token");
    // A refresh answers with what the grant has, and says so (RFC 6749 §3.3).
    for (scope, status, outcome) in [
        ("openid", 200, "openid offline_access"),
        ("openid unheard-of", 200, "openid offline_access"),
        ("unheard-of", 200, "openid offline_access"),
        ("extra", 400, "invalid_scope"),
        ("openid extra", 400, "invalid_scope"),
        ("a\"b", 400, "invalid_scope"),
    ] {
        let mut fields = refresh_fields(&client, &refresh_token).to_vec();
        fields.push(("scope", scope));
        let answer = server.post("/token", &fields).await;
        assert_eq!(answer.status, status, "{scope} {answer:?}");
        let member = if status == 200 { "scope" } else { "error" };
        assert_eq!(text(&answer.json(), member), outcome, "{scope}");
    }
}

#[tokio::test]
async fn a_foreign_resource_is_an_invalid_target_and_ends_nothing() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let refresh_token = text(&tokens(&server, &client).await, "refresh_token");
    let mut fields = refresh_fields(&client, &refresh_token).to_vec();
    fields.push(("resource", "https://elsewhere.example/mcp"));
    assert_refused(&server.post("/token", &fields).await, 400, "invalid_target");
    fields[3].1 = "https://proxy.example/mcp/";
    assert_eq!(server.post("/token", &fields).await.status, 200);
}

#[tokio::test]
async fn an_idle_session_ends_and_its_client_is_still_known() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let refresh_token = text(&tokens(&server, &client).await, "refresh_token");
    server.clock.advance(15 * DAY);
    assert_refused(
        &server.refresh(&client, &refresh_token).await,
        400,
        "invalid_grant",
    );
    server.clock.advance(340 * DAY);
    assert_refused(
        &server.refresh(&client, &refresh_token).await,
        400,
        "invalid_grant",
    );
    server.clock.advance(20 * DAY);
    assert_refused(
        &server.refresh(&client, &refresh_token).await,
        401,
        "invalid_client",
    );
}

#[tokio::test]
async fn each_refresh_keeps_the_registration_for_a_year_more() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let mut refresh_token = text(&tokens(&server, &client).await, "refresh_token");
    for _ in 0..6 {
        server.clock.advance(13 * DAY);
        let answer = server.refresh(&client, &refresh_token).await;
        refresh_token = text(&answer.json(), "refresh_token");
    }
    // 300 days after the last refresh, 378 after the login.
    server.clock.advance(300 * DAY);
    assert_refused(
        &server.refresh(&client, &refresh_token).await,
        400,
        "invalid_grant",
    );
}
