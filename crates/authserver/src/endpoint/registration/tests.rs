use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, header},
};
use domain::id::ClientId;
use serde_json::{Value, json};

use crate::testing::{REDIRECT_URI, Setup, TestServer, text};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn refused(server: &TestServer, metadata: &Value) -> String {
    let answer = server.post_json("/reg", metadata).await;
    assert_eq!(answer.status, 400, "{metadata}");
    answer.error()
}

#[tokio::test]
async fn a_public_client_gets_a_complete_answer() {
    let server = TestServer::start();
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI, "cursor://anysphere.cursor-mcp/oauth/callback"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
        "client_name": "Tool",
        "client_uri": "https://tool.example",
        "logo_uri": "https://tool.example/logo.png",
        "tos_uri": "https://tool.example/terms",
        "policy_uri": "https://tool.example/privacy",
        "contacts": ["help@tool.example"],
        "scope": "openid",
        "software_id": "tool",
        "software_version": "1.2.3",
        "id_token_signed_response_alg": "Ed25519",
    });
    let answer = server.post_json("/reg", &metadata).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let mut information = answer.json();
    let members = information.as_object_mut().unwrap();
    assert!(members.remove("client_id").unwrap().as_str().unwrap().len() >= 20);
    let issued_at = members.remove("client_id_issued_at").unwrap();
    assert_eq!(issued_at, 1_800_000_000);
    assert_eq!(information, metadata);
}

#[tokio::test]
async fn a_confidential_client_gets_a_secret_that_does_not_expire() {
    let server = TestServer::start();
    for method in ["client_secret_basic", "client_secret_post"] {
        let information = server.register(method).await;
        assert!(text(&information, "client_secret").starts_with("mpcs1_"));
        assert_eq!(information["client_secret_expires_at"], 0);
        assert_eq!(text(&information, "token_endpoint_auth_method"), method);
    }
    let metadata = json!({ "redirect_uris": [REDIRECT_URI] });
    let information = server.post_json("/reg", &metadata).await.json();
    assert_eq!(
        text(&information, "token_endpoint_auth_method"),
        "client_secret_basic"
    );
    assert_eq!(text(&information, "application_type"), "native");
    assert_eq!(
        information["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    assert_eq!(information["response_types"], json!(["code"]));
}

#[tokio::test]
async fn only_a_hash_of_the_secret_is_kept() {
    let server = TestServer::start();
    let information = server.register("client_secret_post").await;
    let id = ClientId::parse(text(&information, "client_id")).unwrap();
    let client = server
        .server
        .clients
        .remembered(&id)
        .await
        .unwrap()
        .unwrap();
    let kept = serde_json::to_string(&client).unwrap();
    assert!(!kept.contains("mpcs1_"));
    assert!(client.secret_hash.is_some());
    let public = ClientId::parse(server.public_client().await).unwrap();
    let public = server
        .server
        .clients
        .remembered(&public)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(public.secret_hash, None);
}

#[tokio::test]
async fn members_of_our_own_making_are_neither_kept_nor_echoed() {
    let server = TestServer::start();
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "none",
        "client_id": "chosen",
        "client_secret": "chosen",
        "secret_hash": [1, 2, 3],
        "client_id_issued_at": 1,
        "confirmed": true,
        "identityAuthAccessToken": "smuggled",
        "registration_access_token": "smuggled",
    });
    let answer = server.post_json("/reg", &metadata).await;
    assert_eq!(answer.status, 201);
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    for word in ["chosen", "smuggled", "confirmed", "secret", "registration_"] {
        assert!(!body.contains(word), "{word}: {body}");
    }
    let id = ClientId::parse(text(&answer.json(), "client_id")).unwrap();
    let client = server
        .server
        .clients
        .remembered(&id)
        .await
        .unwrap()
        .unwrap();
    let kept = serde_json::to_string(&client).unwrap();
    assert!(
        !kept.contains("smuggled") && !kept.contains("confirmed"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_script_is_refused_in_every_uri() {
    let server = TestServer::start();
    for uri in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
    ] {
        for member in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
            let mut metadata = json!({ "redirect_uris": [REDIRECT_URI] });
            metadata[member] = uri.into();
            let error = refused(&server, &metadata).await;
            assert_eq!(error, "invalid_client_metadata", "{member} {uri}");
        }
        let metadata = json!({ "redirect_uris": [REDIRECT_URI, uri] });
        assert_eq!(
            refused(&server, &metadata).await,
            "invalid_redirect_uri",
            "{uri}"
        );
    }
}

#[tokio::test]
async fn redirect_uris_have_an_error_of_their_own() {
    let server = TestServer::start();
    for uris in [
        json!([]),
        json!(["http://tool.example/callback"]),
        json!(["https://tool.example/#fragment"]),
        json!(["https://user@tool.example/"]),
        json!(["file:///etc/passwd"]),
        json!(["not a uri"]),
        Value::Null,
    ] {
        let metadata = json!({ "redirect_uris": uris });
        assert_eq!(
            refused(&server, &metadata).await,
            "invalid_redirect_uri",
            "{metadata}"
        );
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let server = TestServer::start();
    for body in [
        "",
        "[]",
        "\"text\"",
        "{",
        "redirect_uris=x",
        "\u{0}",
        "null",
    ] {
        let request = Request::post("/reg").body(Body::from(body)).unwrap();
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, "invalid_client_metadata")
        );
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let server = TestServer::start();
    let body = json!({ "redirect_uris": [REDIRECT_URI] }).to_string();
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
    ] {
        let request = Request::post("/reg")
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.clone()))
            .unwrap();
        assert_eq!(server.send(request).await.status, 201, "{kind}");
    }
    let request = Request::post("/register").body(Body::from(body)).unwrap();
    assert_eq!(server.send(request).await.status, 201);
}

#[tokio::test]
async fn size_is_bounded() {
    let server = TestServer::start();
    let huge = json!({ "redirect_uris": [REDIRECT_URI], "unknown": "x".repeat(65_536) });
    let answer = server.post_json("/reg", &huge).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (413, "invalid_request")
    );
    let uris: Vec<_> = (0..10)
        .map(|index| format!("https://tool.example/{index}{}", "x".repeat(1000)))
        .collect();
    let large = json!({ "redirect_uris": uris });
    assert_eq!(refused(&server, &large).await, "invalid_client_metadata");
}

#[tokio::test]
async fn the_answer_says_which_algorithm_will_sign() {
    let server = TestServer::start();
    for (asked, signs) in [
        ("Ed25519", "Ed25519"),
        ("none", "ES256"),
        ("HS256", "ES256"),
    ] {
        let metadata = json!({
            "redirect_uris": [REDIRECT_URI],
            "id_token_signed_response_alg": asked,
        });
        let information = server.post_json("/reg", &metadata).await.json();
        assert_eq!(
            text(&information, "id_token_signed_response_alg"),
            signs,
            "{asked}"
        );
    }
}

#[tokio::test]
async fn an_unused_registration_is_forgotten_after_thirty_days() {
    let server = TestServer::start();
    let client = server.public_client().await;
    server.clock.advance(29 * DAY);
    let known = server.refresh(&client, "junk").await;
    assert_eq!(
        (known.status, known.error().as_str()),
        (400, "invalid_grant")
    );
    server.clock.advance(2 * DAY);
    let forgotten = server.refresh(&client, "junk").await;
    assert_eq!(
        (forgotten.status, forgotten.error().as_str()),
        (401, "invalid_client")
    );
}

#[tokio::test]
async fn a_flood_is_refused_by_address() {
    let server = TestServer::with(&Setup {
        requests: Some(3),
        ..Setup::default()
    });
    for _ in 0..3 {
        server.public_client().await;
    }
    let metadata = json!({ "redirect_uris": [REDIRECT_URI] });
    let answer = server.post_json("/reg", &metadata).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (429, "temporarily_unavailable")
    );
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    let elsewhere = Request::post("/reg")
        .body(Body::from(metadata.to_string()))
        .unwrap();
    assert_eq!(server.send_from("192.0.2.9", elsewhere).await.status, 201);
}

#[tokio::test]
async fn a_refused_registration_is_counted_once() {
    let server = TestServer::with(&Setup {
        requests: Some(2),
        ..Setup::default()
    });
    let wrong = json!({ "redirect_uris": [] });
    refused(&server, &wrong).await;
    refused(&server, &wrong).await;
    assert_eq!(server.post_json("/reg", &wrong).await.status, 429);
}

#[tokio::test]
async fn a_store_that_is_away_is_a_passing_fault() {
    let server = TestServer::start();
    server.store.set_away(true);
    tokio::time::pause();
    let answer = server
        .post_json("/reg", &json!({ "redirect_uris": [REDIRECT_URI] }))
        .await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "temporarily_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("5"));
}
