use axum::{
    body::Body,
    http::{Method, Request},
};
use domain::{id::ClientId, secret::SecretString};
use serde_json::{Value, json};

use crate::{
    Registration,
    testing::{Answer, REDIRECT_URI, Setup, TestServer, text},
};

fn managing() -> TestServer {
    TestServer::with(&Setup {
        registration: Registration {
            management: true,
            initial_token: None,
        },
        ..Setup::default()
    })
}

/// A request at the URI that the registration's answer names.
async fn manage(server: &TestServer, method: Method, client: &Value, body: &Value) -> Answer {
    let token = text(client, "registration_access_token");
    manage_with(server, method, client, &token, body).await
}

async fn manage_with(
    server: &TestServer,
    method: Method,
    client: &Value,
    token: &str,
    body: &Value,
) -> Answer {
    let uri = text(client, "registration_client_uri");
    let request = Request::builder()
        .method(method)
        .uri(uri.strip_prefix("https://proxy.example").unwrap())
        .header("authorization", format!("Bearer {token}"));
    let body = Body::from(body.to_string());
    server.send(request.body(body).unwrap()).await
}

/// A registration as its client sends it back to change it.
fn sendable(client: &Value) -> Value {
    let mut body = client.clone();
    let members = body.as_object_mut().unwrap();
    for name in super::super::super::flow::registration_management::NOT_YOURS {
        members.remove(name);
    }
    body
}

#[tokio::test]
async fn a_client_reads_what_it_registered() {
    let server = managing();
    for method in ["none", "client_secret_basic"] {
        let client = server.register(method).await;
        assert!(text(&client, "registration_access_token").starts_with("mprg1_"));
        let answer = manage(&server, Method::GET, &client, &Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let mut expected = client;
        // Only its hash is kept.
        expected.as_object_mut().unwrap().remove("client_secret");
        assert_eq!(answer.json(), expected);
    }
}

#[tokio::test]
async fn a_change_replaces_all_that_was_said() {
    let server = managing();
    let client = server.register("none").await;
    let mut body = sendable(&client);
    body["redirect_uris"] = json!(["https://tool.example/callback"]);
    body["client_uri"] = json!("https://tool.example");
    body.as_object_mut().unwrap().remove("client_name");
    let answer = manage(&server, Method::PUT, &client, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let changed = answer.json();
    for name in [
        "client_id",
        "client_id_issued_at",
        "registration_access_token",
        "registration_client_uri",
    ] {
        assert_eq!(changed[name], client[name], "{name}");
    }
    assert_eq!(changed["redirect_uris"], body["redirect_uris"]);
    assert_eq!(changed.get("client_name"), None);
    let read = manage(&server, Method::GET, &client, &Value::Null).await;
    assert_eq!(read.json(), changed);
    let id = ClientId::parse(text(&client, "client_id")).unwrap();
    let kept = server
        .server
        .clients
        .remembered(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.metadata.redirect_uris.len(), 1);
    assert_eq!(
        kept.metadata.client_uri.as_deref(),
        Some("https://tool.example")
    );
}

#[tokio::test]
async fn a_secret_comes_and_goes_with_its_need() {
    let server = managing();
    let client = server.register("none").await;
    let mut body = sendable(&client);
    body["token_endpoint_auth_method"] = "client_secret_post".into();
    let confidential = manage(&server, Method::PUT, &client, &body).await.json();
    let secret = text(&confidential, "client_secret");
    let id = text(&client, "client_id");
    let fields = [
        ("client_id", id.as_str()),
        ("client_secret", &secret),
        ("token", "junk"),
    ];
    assert_eq!(server.post("/token/revocation", &fields).await.status, 200);
    // It stays, and is shown to whoever has it.
    let again = manage(&server, Method::PUT, &client, &body).await.json();
    assert_eq!(again.get("client_secret"), None);
    body["client_secret"] = secret.as_str().into();
    let again = manage(&server, Method::PUT, &client, &body).await.json();
    assert_eq!(text(&again, "client_secret"), secret);
    assert_eq!(server.post("/token/revocation", &fields).await.status, 200);
    body["token_endpoint_auth_method"] = "none".into();
    let public = manage(&server, Method::PUT, &client, &body).await.json();
    assert_eq!(public.get("client_secret"), None);
    assert_eq!(public.get("client_secret_expires_at"), None);
    assert_eq!(server.post("/token/revocation", &fields).await.status, 401);
}

#[tokio::test]
async fn what_a_change_may_not_hold_changes_nothing() {
    let server = managing();
    let client = server.register("client_secret_basic").await;
    let other = server.register("none").await;
    for (name, value, error) in [
        (
            "client_id",
            other["client_id"].clone(),
            "invalid_client_metadata",
        ),
        ("client_id", Value::Null, "invalid_client_metadata"),
        ("client_secret", "mine".into(), "invalid_client_metadata"),
        ("client_secret", json!(7), "invalid_client_metadata"),
        ("client_id_issued_at", json!(1), "invalid_client_metadata"),
        (
            "registration_access_token",
            "a".into(),
            "invalid_client_metadata",
        ),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        (
            "redirect_uris",
            json!(["javascript:alert(1)"]),
            "invalid_redirect_uri",
        ),
    ] {
        let mut body = sendable(&client);
        body[name] = value;
        let answer = manage(&server, Method::PUT, &client, &body).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (400, error),
            "{name}"
        );
    }
    let answer = manage(&server, Method::PUT, &client, &json!("junk")).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, "invalid_client_metadata")
    );
    let read = manage(&server, Method::GET, &client, &Value::Null)
        .await
        .json();
    assert_eq!(read["redirect_uris"], json!([REDIRECT_URI]));
}

#[tokio::test]
async fn a_client_that_took_its_registration_back_is_unknown() {
    let server = managing();
    let client = server.register("none").await;
    let id = text(&client, "client_id");
    let code = server.code(&id).await;
    let tokens = server.redeem(&id, &code).await.json();
    let answer = manage(&server, Method::DELETE, &client, &Value::Null).await;
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty());
    let refresh = server.refresh(&id, &text(&tokens, "refresh_token")).await;
    assert_eq!(
        (refresh.status, refresh.error().as_str()),
        (401, "invalid_client")
    );
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = manage(&server, method, &client, &sendable(&client)).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (401, "invalid_token")
        );
    }
}

/// Who lacks the token is not even told whether there is such a client.
#[tokio::test]
async fn nobody_else_may() {
    let server = managing();
    let client = server.register("none").await;
    let other = server.register("none").await;
    let mut unknown = client.clone();
    unknown["registration_client_uri"] = "https://proxy.example/reg/nobody".into();
    let foreign = text(&other, "registration_access_token");
    let own = text(&client, "registration_access_token");
    let mut bodies = Vec::new();
    for (client, token) in [
        (&client, foreign.as_str()),
        (&unknown, &own),
        (&client, "junk"),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let body = sendable(client);
            let answer = manage_with(&server, method, client, token, &body).await;
            assert_eq!(
                (answer.status, answer.error().as_str()),
                (401, "invalid_token")
            );
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer realm=\"registration\", error="));
            bodies.push(answer.body);
        }
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let answer = manage(&server, Method::GET, &client, &Value::Null).await;
    assert_eq!(answer.status, 200);
    let path = format!("/reg/{}", text(&client, "client_id"));
    assert_eq!(server.get(&path).await.status, 401);
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let server = TestServer::start();
    let client = server.register("none").await;
    assert_eq!(client.get("registration_access_token"), None);
    assert_eq!(client.get("registration_client_uri"), None);
    let path = format!("/reg/{}", text(&client, "client_id"));
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn an_initial_access_token_closes_the_registration() {
    let server = TestServer::with(&Setup {
        registration: Registration {
            management: false,
            initial_token: Some(SecretString::new("the-operators-word")),
        },
        ..Setup::default()
    });
    let metadata = json!({ "redirect_uris": [REDIRECT_URI] });
    let register = async |path: &str, authorization: Option<&str>| {
        let mut request = Request::post(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let body = Body::from(metadata.to_string());
        server.send(request.body(body).unwrap()).await
    };
    for path in ["/reg", "/register"] {
        let answer = register(path, None).await;
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"registration\"")
        );
        let answer = register(path, Some("Bearer another-word")).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (401, "invalid_token")
        );
        let answer = register(path, Some("Bearer the-operators-word")).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_a_passing_fault() {
    let server = managing();
    let client = server.register("none").await;
    server.store.set_away(true);
    tokio::time::pause();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = manage(&server, method, &client, &sendable(&client)).await;
        let error = answer.error();
        assert_eq!(
            (answer.status, error.as_str()),
            (503, "temporarily_unavailable")
        );
    }
}
