use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use store::seal::sha256;

use crate::testing::{REDIRECT_URI, Setup, TestServer, VERIFIER, basic, text};

fn request(changes: &[(&'static str, Option<&str>)]) -> Vec<(String, String)> {
    let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
    let mut fields: Vec<(String, String)> = [
        ("response_type", "code"),
        ("redirect_uri", REDIRECT_URI),
        ("state", "a state"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    for (name, value) in changes {
        fields.retain(|(held, _)| held != name);
        if let Some(value) = value {
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    fields
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[tokio::test]
async fn each_kind_of_client_pushes_as_it_proves_itself_at_the_token_endpoint() {
    let server = TestServer::start();
    let public = server.public_client().await;
    let confidential = server.register("client_secret_basic").await;
    let (id, secret) = (
        text(&confidential, "client_id"),
        text(&confidential, "client_secret"),
    );
    let by_header = [("authorization", basic(&id, &secret))];
    let by_header: Vec<_> = by_header.iter().map(|(n, v)| (*n, v.as_str())).collect();
    for (headers, changes) in [
        (vec![], vec![("client_id", Some(public.as_str()))]),
        (by_header.clone(), vec![]),
        (by_header, vec![("client_id", Some(id.as_str()))]),
        (
            vec![],
            vec![
                ("client_id", Some(id.as_str())),
                ("client_secret", Some(secret.as_str())),
            ],
        ),
    ] {
        let fields = request(&changes);
        let answer = server
            .post_with("/request", &headers, &borrowed(&fields))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(body["expires_in"], 60);
        let request_uri = text(&body, "request_uri");
        assert!(request_uri.starts_with("urn:ietf:params:oauth:request_uri:"));
        let who = headers.first().map_or(public.as_str(), |_| id.as_str());
        let who = changes
            .iter()
            .find(|(name, _)| *name == "client_id")
            .map_or(who, |(_, value)| value.unwrap());
        let path = format!("/auth?client_id={who}&request_uri={request_uri}");
        let begun = server.get(&path).await;
        assert_eq!(begun.status, 303, "{begun:?}");
        let page = begun.header("location").unwrap();
        assert!(page.starts_with("/interaction/"), "{page}");
    }
}

#[tokio::test]
async fn who_cannot_prove_itself_pushes_nothing() {
    let server = TestServer::start();
    let confidential = server.register("client_secret_post").await;
    let id = text(&confidential, "client_id");
    for (changes, status, error) in [
        (vec![], 400, "invalid_request"),
        (vec![("client_id", Some("nobody"))], 401, "invalid_client"),
        (
            vec![("client_id", Some(id.as_str()))],
            401,
            "invalid_client",
        ),
        (
            vec![
                ("client_id", Some(id.as_str())),
                ("client_secret", Some("x")),
            ],
            401,
            "invalid_client",
        ),
    ] {
        let fields = request(&changes);
        let answer = server.post("/request", &borrowed(&fields)).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, error));
    }
}

#[tokio::test]
async fn what_the_authorization_endpoint_would_refuse_is_refused_at_once() {
    let server = TestServer::start();
    let client = server.public_client().await;
    for (changes, error) in [
        (
            ("redirect_uri", Some("https://evil.example/")),
            "invalid_request",
        ),
        (
            ("redirect_uri", Some("javascript:alert(1)")),
            "invalid_request",
        ),
        (
            ("response_type", Some("token")),
            "unsupported_response_type",
        ),
        (("response_type", None), "invalid_request"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("scope", Some("\"")), "invalid_scope"),
        (("prompt", Some("none")), "login_required"),
        (
            ("resource", Some("https://other.example/")),
            "invalid_target",
        ),
        (("request", Some("eyJ")), "request_not_supported"),
        // RFC 9126 §2.1.
        (
            ("request_uri", Some("urn:ietf:params:oauth:request_uri:x")),
            "invalid_request",
        ),
    ] {
        let fields = request(&[("client_id", Some(client.as_str())), changes]);
        let answer = server.post("/request", &borrowed(&fields)).await;
        assert_eq!(answer.status, 400, "{changes:?}");
        assert_eq!(answer.error(), error, "{changes:?}");
    }
    let mut twice = request(&[("client_id", Some(client.as_str()))]);
    twice.push(("state".to_owned(), "another".to_owned()));
    let answer = server.post("/request", &borrowed(&twice)).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, "invalid_request")
    );
    let answer = server.get("/request").await;
    assert_eq!(answer.status, 405);
    let answer = server
        .post_json("/request", &json!({ "client_id": client }))
        .await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (400, "invalid_request")
    );
}

#[tokio::test]
async fn pushes_are_counted() {
    let server = TestServer::with(&Setup {
        requests: Some(3),
        ..Setup::default()
    });
    let client = server.public_client().await;
    let fields = request(&[("client_id", Some(client.as_str()))]);
    for status in [201, 201, 429] {
        let answer = server.post("/request", &borrowed(&fields)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn a_fault_of_the_store_is_a_passing_one() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let fields = request(&[("client_id", Some(client.as_str()))]);
    server.store.set_away(true);
    let answer = server.post("/request", &borrowed(&fields)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error(), "temporarily_unavailable");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn the_requirement_is_announced() {
    for required in [false, true] {
        let server = TestServer::with(&Setup {
            require_pushed_requests: required,
            ..Setup::default()
        });
        let path = "/.well-known/oauth-authorization-server";
        let metadata = server.get(path).await.json();
        assert_eq!(metadata["require_pushed_authorization_requests"], required);
        assert_eq!(metadata["request_uri_parameter_supported"], false);
    }
}
