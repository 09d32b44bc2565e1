//! Clients that are described by a document at their own URL.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use domain::client::{ClientDomains, DomainList};
use serde_json::{Value, json};

use super::world::{Browser, Plan, Reply, World, authorize, encode, parameter};
use crate::testing::document_host::DocumentHost;

const REDIRECT: &str = "http://127.0.0.1:50123/callback";
const PATH: &str = "/oauth/client.json";
const HOUR: u64 = 3600;

async fn world_trusting(domains: ClientDomains) -> World {
    World::of(Plan {
        documents: Some(DocumentHost::settings(domains)),
        ..Plan::default()
    })
    .await
}

async fn world() -> World {
    world_trusting(ClientDomains::default()).await
}

async fn ask(world: &World, client: &str) -> Reply {
    let changes = [
        ("client_id", Some(client)),
        ("redirect_uri", Some(REDIRECT)),
    ];
    Browser::default().get(world, &authorize(&changes)).await
}

/// A whole login; the tokens.
async fn log_in(world: &World, client: &str) -> Value {
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let changes = [
        ("client_id", Some(client)),
        ("redirect_uri", Some(REDIRECT)),
    ];
    let page = browser.begin(world, &changes).await;
    let at_provider = browser.agree(world, &page).await;
    let reply = browser
        .come_back(world, &at_provider, &[("code", "provider-code")])
        .await;
    let url = reply.refresh();
    assert!(url.as_str().starts_with(REDIRECT), "{url}");
    let code = parameter(&url, "code").unwrap();
    let (status, tokens) = token(
        world,
        &[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", super::world::VERIFIER),
        ],
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    tokens
}

async fn refresh(world: &World, client: &str, tokens: &Value) -> (StatusCode, Value) {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    token(world, &fields).await
}

async fn token(world: &World, fields: &[(&str, &str)]) -> (StatusCode, Value) {
    let request = Request::post("/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(encode(fields)))
        .unwrap();
    let reply = world.send(request).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[tokio::test]
async fn a_client_is_known_by_its_document() {
    let (world, host) = (world().await, DocumentHost::start().await);
    let client = host.describe(PATH, &json!({}));
    let tokens = log_in(&world, &client).await;
    let (status, refreshed) = refresh(&world, &client, &tokens).await;
    assert_eq!(status, StatusCode::OK, "{refreshed}");
    assert_eq!(host.asked(), 1, "one document, one fetch");
}

#[tokio::test]
async fn the_page_shows_who_publishes_the_client_and_warns_of_loopback() {
    let (world, host) = (world().await, DocumentHost::start().await);
    let website = host.url("/about");
    let client = host.describe(PATH, &json!({ "client_uri": website }));
    let mut browser = Browser::default();
    let changes = [
        ("client_id", Some(client.as_str())),
        ("redirect_uri", Some(REDIRECT)),
    ];
    let page = browser.begin(&world, &changes).await;
    let reply = browser.get(&world, &page).await;
    reply.assert_page(StatusCode::OK, "The client is published by");
    let large = format!("<p class=\"large\"><bdi>{}</bdi></p>", host.host());
    assert!(reply.body.contains(&large), "{}", reply.body);
    assert!(
        reply.body.contains("does not show that it is this one"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains("Its website: "), "{}", reply.body);
    // A client that registered has no publisher.
    let page = browser.begin(&world, &[]).await;
    let reply = browser.get(&world, &page).await;
    assert!(!reply.body.contains("published by"), "{}", reply.body);
}

#[tokio::test]
async fn a_redirect_uri_that_is_not_in_the_document_is_refused() {
    let (world, host) = (world().await, DocumentHost::start().await);
    let client = host.describe(PATH, &json!({}));
    for uri in [
        "http://127.0.0.1:50123/other",
        "http://localhost:50123/callback",
        "https://evil.example/callback",
    ] {
        let changes = [
            ("client_id", Some(client.as_str())),
            ("redirect_uri", Some(uri)),
        ];
        let reply = Browser::default().get(&world, &authorize(&changes)).await;
        reply.assert_problem(StatusCode::BAD_REQUEST, "return address is not the client");
    }
}

#[tokio::test]
async fn a_document_that_is_not_right_is_told_with_its_fault() {
    let (world, host) = (world().await, DocumentHost::start().await);
    for (changes, text) in [
        (json!({ "client_id": host.url("/other") }), "client_id"),
        (json!({ "client_name": null }), "client_name"),
        (json!({ "redirect_uris": [] }), "redirect_uris"),
        (
            json!({ "token_endpoint_auth_method": "client_secret_post" }),
            "token_endpoint_auth_method",
        ),
        (json!({ "client_secret": "s" }), "client_secret"),
    ] {
        let client = host.describe(PATH, &changes);
        let reply = ask(&world, &client).await;
        reply.assert_problem(StatusCode::BAD_REQUEST, text);
    }
    host.answer(PATH, 200, "[]");
    let reply = ask(&world, &host.url(PATH)).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "not a JSON object");
    let reply = ask(&world, &host.url("/nowhere")).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "status 404");
    // None of that was remembered.
    let client = host.describe(PATH, &json!({}));
    assert_eq!(ask(&world, &client).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_identifier_that_is_no_url_of_a_document_is_told() {
    let world = world().await;
    for (client, text) in [
        ("http://client.example/c", "must begin with https"),
        ("https://client.example", "must have a path"),
        ("https://client.example/a/../c", ". or .. segments"),
        ("https://u:p@client.example/c", "user information"),
        ("https://client.example/c#f", "fragment"),
        ("https://10.0.0.1/c", "not on the public internet"),
        ("https://169.254.169.254/c", "not on the public internet"),
        ("https://[::ffff:127.0.0.1]/c", "not on the public internet"),
    ] {
        let reply = ask(&world, client).await;
        reply.assert_problem(StatusCode::BAD_REQUEST, text);
    }
}

#[tokio::test]
async fn a_passing_fault_is_told_as_one() {
    let (world, host) = (world().await, DocumentHost::start().await);
    let client = host.describe(PATH, &json!({}));
    host.answer(PATH, 503, "");
    let reply = ask(&world, &client).await;
    reply.assert_problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "cannot be looked up right now",
    );
    assert!(reply.headers.contains_key(header::RETRY_AFTER));
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", client.as_str()),
        ("refresh_token", "mprt1_anything"),
    ];
    let (status, error) = token(&world, &fields).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error["error"], "temporarily_unavailable");
    // What is not there for good is an unknown client.
    let gone = host.url("/nowhere");
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", gone.as_str()),
        ("refresh_token", "mprt1_anything"),
    ];
    let (status, error) = token(&world, &fields).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(error["error"], "invalid_client");
}

#[tokio::test]
async fn a_session_outlives_a_host_that_is_down_for_days() {
    let (world, host) = (world().await, DocumentHost::start().await);
    let client = host.describe(PATH, &json!({}));
    let mut tokens = log_in(&world, &client).await;
    host.answer(PATH, 500, "");
    // By the copy in memory for a day, by the one in the store for another.
    for _ in 0..2 {
        world.clock.forward(20 * HOUR);
        let (status, refreshed) = refresh(&world, &client, &tokens).await;
        assert_eq!(status, StatusCode::OK, "{refreshed}");
        tokens = refreshed;
    }
    world.clock.forward(20 * HOUR);
    let (status, error) = refresh(&world, &client, &tokens).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{error}");
    assert_eq!(error["error"], "temporarily_unavailable");
    host.describe(PATH, &json!({}));
    let (status, refreshed) = refresh(&world, &client, &tokens).await;
    assert_eq!(status, StatusCode::OK, "{refreshed}");
}

#[tokio::test]
async fn the_operator_decides_whose_documents_are_taken() {
    let host = DocumentHost::start().await;
    let client = host.describe(PATH, &json!({}));
    let list = |text| DomainList::parse(text).unwrap();
    for domains in [
        ClientDomains {
            allowed: list("claude.ai"),
            denied: DomainList::default(),
        },
        ClientDomains {
            allowed: DomainList::default(),
            denied: list("127.0.0.1"),
        },
    ] {
        let world = world_trusting(domains).await;
        let reply = ask(&world, &client).await;
        reply.assert_problem(StatusCode::FORBIDDEN, "does not take that client");
        let fields = [("grant_type", "refresh_token"), ("client_id", &client)];
        let (status, error) = token(&world, &fields).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{error}");
    }
    assert_eq!(host.asked(), 0);
}

#[tokio::test]
async fn the_metadata_says_whether_documents_are_taken() {
    for (world, expected) in [(world().await, true), (World::new().await, false)] {
        let request = Request::get("/.well-known/oauth-authorization-server");
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        let metadata: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(metadata["client_id_metadata_document_supported"], expected);
    }
    let off = World::new().await;
    let reply = ask(&off, "https://client.example/c").await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "metadata documents turned off");
}
