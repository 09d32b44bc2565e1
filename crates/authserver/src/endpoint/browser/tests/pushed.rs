//! Logins that begin with a pushed request (RFC 9126).

use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::world::{
    BASE, Browser, CLIENT, Plan, REDIRECT, Reply, World, assert_error, authorize, encode, parameter,
};

const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// Pushes what a plain request would carry.
async fn push(world: &World, changes: &[(&str, Option<&str>)]) -> Reply {
    let path = authorize(changes);
    let (_, form) = path.split_once('?').unwrap();
    let request =
        Request::post("/request").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    world
        .send(request.body(form.to_owned().into()).unwrap())
        .await
}

async fn pushed(world: &World, changes: &[(&str, Option<&str>)]) -> String {
    let reply = push(world, changes).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    body["request_uri"].as_str().unwrap().to_owned()
}

fn by_reference(client: &str, request_uri: &str) -> String {
    let parameters = encode(&[("client_id", client), ("request_uri", request_uri)]);
    format!("/auth?{parameters}")
}

#[tokio::test]
async fn a_login_by_reference_ends_with_a_code_for_what_was_pushed() {
    let world = World::new().await;
    let request_uri = pushed(&world, &[("state", Some("pushed state"))]).await;
    // What stands beside the reference does not count (RFC 9101 §6.3).
    let path = format!(
        "{}&state=other&redirect_uri=https://evil.example/&scope=x",
        by_reference(CLIENT, &request_uri)
    );
    let mut browser = Browser::default();
    let begun = browser.get(&world, &path).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.body);
    let page = begun.location();
    let at_provider = browser.agree(&world, &page).await;
    world.provider_knows("alice");
    let back = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await
        .refresh();
    assert!(back.as_str().starts_with(REDIRECT), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("pushed state"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some(BASE));
    let code = parameter(&back, "code").unwrap();
    let (status, tokens) = world.redeem(&code, REDIRECT).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
}

#[tokio::test]
async fn a_reference_works_once_for_a_minute_and_for_its_own_client() {
    let world = World::new().await;
    world.register("client-2", "Another", &[REDIRECT]).await;
    let refused = |reply: Reply| reply.assert_problem(StatusCode::BAD_REQUEST, "has expired");

    let request_uri = pushed(&world, &[]).await;
    let foreign = by_reference("client-2", &request_uri);
    refused(Browser::default().get(&world, &foreign).await);
    // That used nothing up.
    let own = by_reference(CLIENT, &request_uri);
    let reply = Browser::default().get(&world, &own).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    refused(Browser::default().get(&world, &own).await);

    let late = by_reference(CLIENT, &pushed(&world, &[]).await);
    world.clock.forward(61);
    refused(Browser::default().get(&world, &late).await);

    for made_up in ["", "x", &"A".repeat(43)] {
        let path = by_reference(CLIENT, &format!("{URN}{made_up}"));
        refused(Browser::default().get(&world, &path).await);
    }
    let nameless = format!("/auth?{}", encode(&[("request_uri", request_uri.as_str())]));
    let reply = Browser::default().get(&world, &nameless).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "did not say who it is");
}

#[tokio::test]
async fn the_store_reveals_neither_reference_nor_request() {
    let world = World::new().await;
    let request_uri = pushed(&world, &[("state", Some("a-very-private-state"))]).await;
    let stored = world.stored_bytes();
    let reference = request_uri.strip_prefix(URN).unwrap();
    for secret in ["a-very-private-state", reference] {
        let found = stored
            .windows(secret.len())
            .any(|at| at == secret.as_bytes());
        assert!(!found, "{secret}");
    }
}

#[tokio::test]
async fn a_server_that_requires_pushed_requests_takes_no_others() {
    let world = World::of(Plan {
        require_pushed_requests: true,
        ..Plan::default()
    })
    .await;
    let reply = Browser::default().get(&world, &authorize(&[])).await;
    assert_error(&reply.way_back(), "invalid_request");
    let path = by_reference(CLIENT, &pushed(&world, &[]).await);
    let reply = Browser::default().get(&world, &path).await;
    assert!(reply.location().starts_with("/interaction/"));
}

#[tokio::test]
async fn a_client_that_registered_so_is_held_to_it() {
    let world = World::new().await;
    let metadata = json!({
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
        "require_pushed_authorization_requests": true,
    });
    let request = Request::post("/reg").body(metadata.to_string().into());
    let registered = world.send(request.unwrap()).await;
    let registered: Value = serde_json::from_str(&registered.body).unwrap();
    assert_eq!(registered["require_pushed_authorization_requests"], true);
    let client = registered["client_id"].as_str().unwrap();
    let changes = [("client_id", Some(client))];
    let reply = Browser::default().get(&world, &authorize(&changes)).await;
    assert_error(&reply.way_back(), "invalid_request");
    let path = by_reference(client, &pushed(&world, &changes).await);
    let reply = Browser::default().get(&world, &path).await;
    assert!(reply.location().starts_with("/interaction/"));
}
