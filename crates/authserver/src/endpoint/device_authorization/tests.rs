use std::time::Duration;

use domain::client::GrantType;
use serde_json::{Value, json};

use crate::testing::{Answer, REDIRECT_URI, Setup, TestServer, basic, text};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn register(server: &TestServer, method: &str) -> Value {
    let metadata = json!({
        "client_name": "Television",
        "token_endpoint_auth_method": method,
        "grant_types": [DEVICE_CODE],
    });
    let answer = server.post_json("/reg", &metadata).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn device_client(server: &TestServer) -> String {
    text(&register(server, "none").await, "client_id")
}

async fn poll(server: &TestServer, client: &str, code: &str) -> Answer {
    let fields = [
        ("grant_type", DEVICE_CODE),
        ("client_id", client),
        ("device_code", code),
    ];
    server.post("/token", &fields).await
}

#[tokio::test]
async fn a_device_gets_its_codes() {
    let server = TestServer::start();
    let client = device_client(&server).await;
    let answer = server
        .post("/device/auth", &[("client_id", client.as_str())])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let codes = answer.json();
    assert!(text(&codes, "device_code").starts_with("mpdc1_"));
    let user_code = text(&codes, "user_code");
    assert_eq!(user_code.len(), 9);
    let page = "https://proxy.example/device";
    assert_eq!(text(&codes, "verification_uri"), page);
    assert_eq!(
        text(&codes, "verification_uri_complete"),
        format!("{page}?user_code={user_code}")
    );
    assert_eq!(
        (&codes["expires_in"], &codes["interval"]),
        (&json!(900), &json!(5))
    );
}

#[tokio::test]
async fn a_client_that_is_a_device_only_registers_without_redirects() {
    let server = TestServer::start();
    let client = register(&server, "none").await;
    assert_eq!(client["grant_types"], json!(["refresh_token", DEVICE_CODE]));
    assert_eq!(client["response_types"], json!([]));
    assert_eq!(client["redirect_uris"], json!([]));
    let id = text(&client, "client_id");
    let page = server.get(&format!("/auth?client_id={id}")).await;
    assert_eq!(page.status, 400);
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(page.contains("devices without a browser"), "{page}");
}

#[tokio::test]
async fn a_redirect_of_a_client_that_did_not_register_for_it_is_refused() {
    let server = TestServer::start();
    let metadata = json!({
        "token_endpoint_auth_method": "none",
        "grant_types": [DEVICE_CODE],
        "redirect_uris": [REDIRECT_URI],
    });
    let client = text(
        &server.post_json("/reg", &metadata).await.json(),
        "client_id",
    );
    let answer = server
        .get(&format!("/auth?client_id={client}&response_type=code"))
        .await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let location = answer.header("location").unwrap();
    assert!(location.contains("error=unauthorized_client"), "{location}");
}

#[tokio::test]
async fn only_clients_that_registered_for_it_are_devices() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let answer = server
        .post("/device/auth", &[("client_id", client.as_str())])
        .await;
    assert_eq!(
        (answer.status, answer.error()),
        (400, "unauthorized_client".to_owned())
    );
    let answer = poll(&server, &client, "mpdc1_x").await;
    assert_eq!(
        (answer.status, answer.error()),
        (400, "unauthorized_client".to_owned())
    );
}

#[tokio::test]
async fn each_bad_request_has_its_error() {
    let server = TestServer::with(&Setup {
        paths: &["/a", "/b"],
        ..Setup::default()
    });
    let client = device_client(&server).await;
    let id = ("client_id", client.as_str());
    let of = |resource| ("resource", resource);
    let a = "https://proxy.example/a";
    for (fields, status, error) in [
        (vec![], 400, "invalid_request"),
        (vec![("client_id", "unknown")], 401, "invalid_client"),
        (vec![id, ("client_secret", "x")], 401, "invalid_client"),
        (vec![id, id], 400, "invalid_request"),
        (vec![id], 400, "invalid_target"),
        (
            vec![id, of("https://elsewhere.example")],
            400,
            "invalid_target",
        ),
        (
            vec![id, of(a), of("https://proxy.example/b")],
            400,
            "invalid_target",
        ),
        (vec![id, of(a), ("scope", "a\"b")], 400, "invalid_scope"),
    ] {
        let answer = server.post("/device/auth", &fields).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (status, error),
            "{fields:?}"
        );
    }
    let answer = server
        .post("/device/auth", &[id, of(a), ("scope", "openid x")])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = server
        .post_json("/device/auth", &json!({ "client_id": client }))
        .await;
    assert_eq!(
        (json.status, json.error()),
        (400, "invalid_request".to_owned())
    );
}

#[tokio::test]
async fn a_confidential_device_proves_itself_both_times() {
    let server = TestServer::start();
    let client = register(&server, "client_secret_basic").await;
    let (id, secret) = (text(&client, "client_id"), text(&client, "client_secret"));
    let refused = server
        .post("/device/auth", &[("client_id", id.as_str())])
        .await;
    assert_eq!(
        (refused.status, refused.error()),
        (401, "invalid_client".to_owned())
    );
    let header = basic(&id, &secret);
    let headers = [("authorization", header.as_str())];
    let answer = server.post_with("/device/auth", &headers, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let code = text(&answer.json(), "device_code");
    let refused = poll(&server, &id, &code).await;
    assert_eq!(
        (refused.status, refused.error()),
        (401, "invalid_client".to_owned())
    );
    let fields = [("grant_type", DEVICE_CODE), ("device_code", code.as_str())];
    let answer = server.post_with("/token", &headers, &fields).await;
    assert_eq!(
        (answer.status, answer.error()),
        (400, "authorization_pending".to_owned())
    );
}

#[tokio::test]
async fn a_poll_is_answered_in_the_words_of_the_rfc() {
    let server = TestServer::start();
    let client = device_client(&server).await;
    let begin = async || {
        let fields = [("client_id", client.as_str())];
        text(
            &server.post("/device/auth", &fields).await.json(),
            "device_code",
        )
    };
    let code = begin().await;
    let error = async |code: &str| {
        let answer = poll(&server, &client, code).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.error()
    };
    assert_eq!(error(&code).await, "authorization_pending");
    assert_eq!(error(&code).await, "slow_down");
    server.clock.advance(Duration::from_secs(2));
    assert_eq!(error(&code).await, "slow_down");
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(error(&code).await, "authorization_pending");
    server.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(error(&code).await, "expired_token");
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(error(&code).await, "expired_token");
    assert_eq!(error("mpdc1_junk").await, "invalid_grant");
    assert_eq!(error("").await, "invalid_request");
    let other = device_client(&server).await;
    let foreign = poll(&server, &other, &begin().await).await;
    assert_eq!(foreign.error(), "invalid_grant");
}

#[tokio::test]
async fn waiting_uses_up_no_budget_but_each_new_code_does() {
    let server = TestServer::with(&Setup {
        requests: Some(5),
        ..Setup::default()
    });
    let client = device_client(&server).await;
    let fields = [("client_id", client.as_str())];
    let code = text(
        &server.post("/device/auth", &fields).await.json(),
        "device_code",
    );
    for _ in 0..20 {
        let answer = poll(&server, &client, &code).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let mut last = server.post("/device/auth", &fields).await;
    for _ in 0..5 {
        last = server.post("/device/auth", &fields).await;
    }
    assert_eq!(
        (last.status, last.error()),
        (429, "temporarily_unavailable".to_owned())
    );
    assert!(last.header("retry-after").is_some());
}

#[tokio::test]
async fn an_absent_store_is_a_passing_fault() {
    let server = TestServer::start();
    let client = device_client(&server).await;
    let fields = [("client_id", client.as_str())];
    let code = text(
        &server.post("/device/auth", &fields).await.json(),
        "device_code",
    );
    server.store.set_away(true);
    tokio::time::pause();
    let answer = server.post("/device/auth", &fields).await;
    assert_eq!(
        (answer.status, answer.error()),
        (503, "temporarily_unavailable".to_owned())
    );
    let answer = poll(&server, &client, &code).await;
    assert_eq!(
        (answer.status, answer.error()),
        (503, "temporarily_unavailable".to_owned())
    );
}

#[tokio::test]
async fn turned_off_nothing_of_it_is_left() {
    let server = TestServer::with(&Setup {
        device_flow: false,
        ..Setup::default()
    });
    let metadata = server
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(metadata.get("device_authorization_endpoint"), None);
    assert_eq!(
        metadata["grant_types_supported"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(server.post("/device/auth", &[]).await.status, 404);
    assert_eq!(server.get("/device").await.status, 404);
    let answer = poll(&server, "client", "code").await;
    assert_eq!(answer.error(), "unsupported_grant_type");
    let only = json!({ "grant_types": [DEVICE_CODE] });
    let refused = server.post_json("/reg", &only).await;
    assert_eq!(
        (refused.status, refused.error()),
        (400, "invalid_client_metadata".to_owned())
    );
    let both = json!({
        "grant_types": [DEVICE_CODE, "authorization_code"], "redirect_uris": [REDIRECT_URI],
    });
    let registered = server.post_json("/reg", &both).await.json();
    assert_eq!(
        registered["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
}

#[tokio::test]
async fn it_is_announced_where_it_is_served() {
    let server = TestServer::start();
    let metadata = server
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    assert_eq!(
        text(&metadata, "device_authorization_endpoint"),
        "https://proxy.example/device/auth"
    );
    assert_eq!(
        metadata["grant_types_supported"],
        json!(GrantType::ALL.map(GrantType::as_str))
    );
}
