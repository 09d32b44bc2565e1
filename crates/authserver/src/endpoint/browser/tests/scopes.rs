//! Scopes that the operator describes, and what they ask of the identity provider.

use axum::http::{Request, StatusCode};
use domain::scope::{Scope, ScopeSet};
use serde_json::{Value, json};

use super::world::{Browser, Plan, REDIRECT, World, parameter};
use crate::ScopeDetail;

async fn world() -> World {
    let detail = |name, description: &str, identity_scopes| ScopeDetail {
        name: Scope::parse(name).unwrap(),
        description: Some(description.to_owned()),
        identity_scopes: ScopeSet::parse(identity_scopes).unwrap(),
    };
    World::of(Plan {
        scope_details: vec![
            detail("openid", "see <who> you are", ""),
            detail("files:write", "change your files", "drive global"),
        ],
        ..Plan::default()
    })
    .await
}

async fn metadata(world: &World, path: &str) -> Value {
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    serde_json::from_str(&world.send(request).await.body).unwrap()
}

#[tokio::test]
async fn what_is_granted_is_described_and_asks_more_of_the_provider() {
    let world = world().await;
    let mut browser = Browser::default();
    let changes = [("scope", Some("openid files:write other"))];
    let page = browser.begin(&world, &changes).await;
    let shown = browser.get(&world, &page).await;
    shown.assert_page(StatusCode::OK, "change your files <code>files:write</code>");
    for text in [
        "see &lt;who&gt; you are <code>openid</code>",
        "<code>read-protected</code>",
        "<code>drive</code>",
    ] {
        assert!(shown.body.contains(text), "{text}: {}", shown.body);
    }
    let at_provider = browser.agree(&world, &page).await;
    assert_eq!(
        parameter(&at_provider, "scope").as_deref(),
        Some("global read-protected drive")
    );
    world.provider_knows("alice");
    let back = browser
        .come_back(&world, &at_provider, &[("code", "provider-code")])
        .await
        .refresh();
    let code = parameter(&back, "code").unwrap();
    let (status, tokens) = world.redeem(&code, REDIRECT).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(tokens["scope"], "openid files:write");
}

#[tokio::test]
async fn who_does_not_ask_for_it_gets_the_usual() {
    let world = world().await;
    for scope in [None, Some("unknown"), Some("offline_access openid")] {
        let mut browser = Browser::default();
        let page = browser.begin(&world, &[("scope", scope)]).await;
        let shown = browser.get(&world, &page).await;
        assert!(!shown.body.contains("files:write"), "{}", shown.body);
        let at_provider = browser.agree(&world, &page).await;
        assert_eq!(
            parameter(&at_provider, "scope").as_deref(),
            Some("global read-protected")
        );
    }
}

#[tokio::test]
async fn it_is_announced_by_the_authorization_server_and_not_as_what_a_client_needs() {
    let world = world().await;
    let server = metadata(&world, "/.well-known/oauth-authorization-server").await;
    let all = json!(["openid", "offline_access", "files:write"]);
    assert_eq!(server["scopes_supported"], all);
    let resource = metadata(&world, "/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(resource["scopes_supported"], json!(["openid"]));
}
