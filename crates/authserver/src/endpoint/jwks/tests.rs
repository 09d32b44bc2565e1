use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, header},
};
use domain::{secret::SecretString, time::Clock as _};
use jose::{
    signing::{SigningAlgorithm, SigningKeys},
    verifying::VerifyingKeys,
};
use serde_json::{Map, Value, json};

use crate::testing::{Answer, TestServer, decoded, text};

const HOUR: Duration = Duration::from_secs(3600);

fn key(times: &Value) -> Value {
    let text = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let mut members: Map<String, Value> = serde_json::from_str(text.expose()).unwrap();
    members.extend(times.as_object().unwrap().clone());
    members.into()
}

/// A server whose key is replaced in an hour and published for one more, and both keys' names.
fn before_a_switch() -> (TestServer, String, String) {
    let server = TestServer::start();
    let switch = server.clock.now().plus(HOUR);
    let new = key(&json!({ "nbf": switch.as_unix() }));
    let old = key(&json!({ "exp": switch.plus(HOUR * 2).as_unix() }));
    let keys = SecretString::new(json!([new, old]).to_string());
    server.server.keys.replace(keys.expose()).unwrap();
    (server, text(&new, "kid"), text(&old, "kid"))
}

async fn id_token(server: &TestServer, client: &str) -> String {
    let code = server.code(client).await;
    let answer = server.redeem(client, &code).await;
    text(&answer.json(), "id_token")
}

fn kid(token: &str) -> String {
    text(&decoded(token.split('.').next().unwrap()), "kid")
}

async fn published(server: &TestServer) -> VerifyingKeys {
    VerifyingKeys::parse(&server.get("/jwks").await.json()).unwrap()
}

async fn conditional(server: &TestServer, tag: &str) -> Answer {
    let request = Request::get("/jwks").header(header::IF_NONE_MATCH, tag);
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_was_signed_before_a_switch_is_verified_after_it() {
    let (server, new, old) = before_a_switch();
    let client = server.public_client().await;
    // What a verifier fetched before the switch.
    let cached = published(&server).await;
    let before = id_token(&server, &client).await;
    assert_eq!(kid(&before), old);

    server.clock.advance(HOUR);
    let after = id_token(&server, &client).await;
    assert_eq!(kid(&after), new);
    let fetched = published(&server).await;
    for token in [&before, &after] {
        cached.verify(token).unwrap();
        fetched.verify(token).unwrap();
    }

    server.clock.advance(HOUR * 2);
    let fetched = published(&server).await;
    fetched.verify(&after).unwrap();
    fetched.verify(&before).unwrap_err();
}

#[tokio::test]
async fn a_hint_signed_by_a_retired_key_still_names_its_session() {
    let (server, _, _) = before_a_switch();
    let client = server.public_client().await;
    let hint = id_token(&server, &client).await;
    server.clock.advance(HOUR);
    let path = format!("/session/end?id_token_hint={hint}");
    let page = server.get(&path).await;
    assert_eq!(page.status, 200, "{page:?}");
    let body = String::from_utf8_lossy(&page.body).into_owned();
    assert!(body.contains("name=\"id_token_hint\""), "{body}");

    server.clock.advance(HOUR * 2);
    assert_eq!(server.get(&path).await.status, 400);
}

#[tokio::test]
async fn a_user_code_given_before_a_switch_leads_to_its_device_after_it() {
    use domain::address::ClientNetwork;

    use crate::flow::{browser::BrowserId, device};

    let (server, _, _) = before_a_switch();
    server
        .clock
        .advance(HOUR.saturating_sub(Duration::from_secs(60)));
    let metadata = json!({
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
        "token_endpoint_auth_method": "none",
    });
    let registered = server.post_json("/reg", &metadata).await.json();
    let client = text(&registered, "client_id");
    let fields = [("client_id", client.as_str())];
    let begun = server.post("/device/auth", &fields).await.json();
    server.clock.advance(Duration::from_secs(60));

    let browser = BrowserId::random(server.server.random.as_ref());
    let network = ClientNetwork::of("192.0.2.7".parse().unwrap());
    let code = text(&begun, "user_code");
    device::enter(&server.server, &code, &browser, network)
        .await
        .unwrap();
}

#[tokio::test]
async fn keys_are_kept_by_whoever_fetched_them_until_they_change() {
    let (server, _, _) = before_a_switch();
    let first = server.get("/jwks").await;
    assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
    let tag = first.header("etag").unwrap().to_owned();
    for known in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let answer = conditional(&server, &known).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    assert_eq!(conditional(&server, "\"other\"").await.status, 200);

    server.clock.advance(HOUR * 3);
    let answer = conditional(&server, &tag).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("etag"), Some(tag.as_str()));
    assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_metadata_offers_an_algorithm_once_a_key_signs_by_it() {
    let server = TestServer::start();
    let mut next = key(&json!({ "nbf": server.clock.now().plus(HOUR).as_unix() }));
    let es384 = SigningKeys::generate(SigningAlgorithm::Es384).unwrap();
    let es384: Map<String, Value> = serde_json::from_str(es384.expose()).unwrap();
    next.as_object_mut().unwrap().extend(es384);
    let keys = json!([key(&json!({})), next]).to_string();
    server.server.keys.replace(&keys).unwrap();
    let path = "/.well-known/openid-configuration";
    let member = "id_token_signing_alg_values_supported";
    assert_eq!(server.get(path).await.json()[member], json!(["ES256"]));
    server.clock.advance(HOUR);
    assert_eq!(
        server.get(path).await.json()[member],
        json!(["ES256", "ES384"])
    );
}
