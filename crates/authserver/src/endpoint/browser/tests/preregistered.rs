//! Clients that the configuration names.

use axum::http::{StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    client::{Client, ClientMetadata},
    id::ClientId,
    redirect_uri::AllowedRedirectHosts,
    scope::ScopeSet,
    time::{Clock as _, Timestamp},
};
use jose::signing::{SigningAlgorithm, SigningKeys};
use serde_json::{Value, json};

use super::world::{Browser, LOOPBACK, Plan, REDIRECT, VERIFIER, World, encode, parameter};
use crate::PreregisteredClient;

const PORTAL: &str = "portal";
const SECRET: &str = "a secret that was never registered";

fn portal() -> PreregisteredClient {
    let members = json!({
        "client_name": "Company portal",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let hosts = AllowedRedirectHosts::all();
    PreregisteredClient {
        client: Client {
            id: ClientId::parse(PORTAL).unwrap(),
            issued_at: Timestamp::from_unix(0),
            secret_hash: Some(store::seal::sha256(SECRET.as_bytes())),
            metadata: ClientMetadata::parse(members.as_object().unwrap(), &hosts).unwrap(),
        },
        scopes: None,
        skips_consent: false,
    }
}

async fn world_with(client: PreregisteredClient) -> World {
    World::of(Plan {
        clients: vec![client],
        ..Plan::default()
    })
    .await
}

/// Redeems a code with HTTP Basic.
async fn redeem(world: &World, code: &str, secret: &str) -> (StatusCode, Value) {
    let basic = STANDARD.encode(format!("{PORTAL}:{}", secret.replace(' ', "+")));
    let request = axum::http::Request::post("/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::AUTHORIZATION, format!("Basic {basic}"));
    let form = encode(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]);
    let reply = world.send(request.body(form.into()).unwrap()).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

/// An operator may have chosen a short one (RFC 6749 §2.3.1).
#[tokio::test]
async fn secrets_that_an_operator_chose_cannot_be_guessed_one_after_the_other() {
    let world = world_with(portal()).await;
    for number in 0..10 {
        let (status, error) = redeem(&world, "code", &format!("guess {number}")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{error}");
    }
    // Not even the right one is let in now, and clients keep their tokens on this answer.
    let (status, error) = redeem(&world, "code", SECRET).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{error}");
    assert_eq!(error["error"], "temporarily_unavailable");
    world.clock.forward(30);
    for _ in 0..3 {
        let (status, error) = redeem(&world, "code", SECRET).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
        assert_eq!(error["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn a_client_of_the_configuration_logs_in_without_registering_and_never_expires() {
    let world = world_with(portal()).await;
    world.clock.forward(5 * 365 * 24 * 3600);
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[("client_id", Some(PORTAL))]).await;
    let shown = browser.get(&world, &page).await;
    shown.assert_page(StatusCode::OK, "Company portal");
    let at_provider = browser.agree(&world, &page).await;
    world.provider_knows("alice");
    let back = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await
        .refresh();
    let code = parameter(&back, "code").unwrap();
    let (status, refused) = redeem(&world, &code, "another secret").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{refused}");
    let (status, tokens) = redeem(&world, &code, SECRET).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
}

#[tokio::test]
async fn a_client_of_the_configuration_proves_itself_by_its_keys() {
    let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let (keys, _) = SigningKeys::parse(&format!("[{}]", key.expose())).unwrap();
    let members = json!({
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": keys.public_jwks(),
    });
    let hosts = AllowedRedirectHosts::all();
    let mut signer = portal();
    signer.client.secret_hash = None;
    signer.client.metadata = ClientMetadata::parse(members.as_object().unwrap(), &hosts).unwrap();
    let world = world_with(signer).await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[("client_id", Some(PORTAL))]).await;
    let at_provider = browser.agree(&world, &page).await;
    world.provider_knows("alice");
    let back = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await
        .refresh();
    let code = parameter(&back, "code").unwrap();

    let (status, refused) = redeem(&world, &code, SECRET).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{refused}");
    let now = world.clock.now().as_unix();
    let issuer = world.server.settings.base_url.issuer();
    let claims =
        json!({ "iss": PORTAL, "sub": PORTAL, "aud": issuer, "exp": now + 60, "jti": "1" });
    let assertion = keys.sign(None, "JWT", claims.as_object().unwrap()).unwrap();
    let form = encode(&[
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion.expose()),
    ]);
    let request = axum::http::Request::post("/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let reply = world.send(request.body(form.into()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
}

#[tokio::test]
async fn no_registration_takes_its_place() {
    let world = world_with(portal()).await;
    // Whatever the store holds under the id.
    world.register(PORTAL, "Impostor", &[LOOPBACK]).await;
    let mut browser = Browser::default();
    let changes = [
        ("client_id", Some(PORTAL)),
        ("redirect_uri", Some(LOOPBACK)),
    ];
    let reply = browser
        .get(&world, &super::world::authorize(&changes))
        .await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "return address is not the client");
    assert!(reply.body.contains("Company portal"));

    let metadata = json!({ "client_id": PORTAL, "redirect_uris": [LOOPBACK] });
    let request = axum::http::Request::post("/reg").body(metadata.to_string().into());
    let reply = world.send(request.unwrap()).await;
    let registered: Value = serde_json::from_str(&reply.body).unwrap();
    assert_ne!(registered["client_id"], PORTAL);
}

/// OAuth 2.1 §7.5.1 would let clients that authenticate do without; here none may.
#[tokio::test]
async fn a_client_with_a_secret_needs_pkce_too() {
    let world = world_with(portal()).await;
    for changes in [
        [("code_challenge", None), ("code_challenge_method", None)],
        [
            ("code_challenge", None),
            ("nonce", Some("a-nonce-of-openid-connect")),
        ],
    ] {
        let mut all = vec![("client_id", Some(PORTAL))];
        all.extend(changes);
        let reply = Browser::default()
            .get(&world, &super::world::authorize(&all))
            .await;
        super::world::assert_error(&reply.way_back(), "invalid_request");
    }
}

#[tokio::test]
async fn its_scopes_bound_what_it_is_granted() {
    for (asked, granted) in [
        (Some("openid offline_access"), "openid"),
        (Some("offline_access"), "openid"),
        (None, "openid"),
    ] {
        let client = PreregisteredClient {
            scopes: Some(ScopeSet::parse("openid").unwrap()),
            ..portal()
        };
        let world = world_with(client).await;
        let mut browser = Browser::default();
        let changes = [("client_id", Some(PORTAL)), ("scope", asked)];
        let page = browser.begin(&world, &changes).await;
        let at_provider = browser.agree(&world, &page).await;
        world.provider_knows("alice");
        let back = browser
            .come_back(&world, &at_provider, &[("code", "provider-code")])
            .await
            .refresh();
        let (_, tokens) = redeem(&world, &parameter(&back, "code").unwrap(), SECRET).await;
        assert_eq!(tokens["scope"], granted, "{asked:?}");
    }
}

#[tokio::test]
async fn consent_is_skipped_only_where_it_is_configured_so() {
    let trusted = PreregisteredClient {
        skips_consent: true,
        ..portal()
    };
    let world = world_with(trusted).await;
    let mut browser = Browser::default();
    let portal = ("client_id", Some(PORTAL));
    let page = browser.begin(&world, &[portal]).await;
    let at_provider = browser.get(&world, &page).await.refresh();
    // Who comes back without an answer can cancel.
    let again = browser.get(&world, &page).await;
    again.assert_page(StatusCode::OK, "Cancel");
    world.provider_knows("alice");
    let back = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await
        .refresh();
    let (status, tokens) = redeem(&world, &parameter(&back, "code").unwrap(), SECRET).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");

    // Where the client asks for it, and for every other client, the page is there.
    for changes in [vec![portal, ("prompt", Some("consent"))], vec![]] {
        let page = browser.begin(&world, &changes).await;
        let shown = browser.get(&world, &page).await;
        shown.assert_page(StatusCode::OK, "I trust this client");
    }
}

#[tokio::test]
async fn a_local_login_without_consent_begins_at_the_login_page() {
    let trusted = PreregisteredClient {
        skips_consent: true,
        ..portal()
    };
    let world = World::of(Plan {
        local: true,
        clients: vec![trusted],
        ..Plan::default()
    })
    .await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[("client_id", Some(PORTAL))]).await;
    let reply = browser.get(&world, &page).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.location(), page);
    let login = browser.get(&world, &page).await;
    login.assert_page(StatusCode::OK, "type=\"password\"");
}
