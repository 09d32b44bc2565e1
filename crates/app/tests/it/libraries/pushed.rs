//! Pushed authorization requests (RFC 9126) by libraries; signed ones (RFC 9101) are not offered.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{
    browser::parameter,
    oauth_library::{Library, LibraryClient},
};

use super::{SCOPE, begin, by, call, log_in, registered, text};
use crate::harness::Stage;

#[tokio::test]
async fn pushed_requests_lead_to_a_login() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        for algorithm in [None, Some("ES256")] {
            let mut client = begin(&stage, library)?;
            let metadata = algorithm.map_or_else(|| by("none"), |_| json!({}));
            client.register(metadata, algorithm).await?;
            log_in_pushed(&stage, &mut client).await?;
        }
    }
    Ok(())
}

async fn log_in_pushed(stage: &Stage, client: &mut LibraryClient) -> Result<()> {
    let asked = json!({ "pushed": true, "scope": SCOPE, "resource": stage.mcp()? });
    let authorize = client.authorize(asked).await?;
    for parameter in ["state", "redirect_uri", "code_challenge", "scope"] {
        let is_in_address = authorize.query_pairs().any(|(name, _)| name == parameter);
        assert!(!is_in_address, "{parameter}");
    }
    let arrived = stage.browser()?.log_in(&authorize, "alice").await?;
    let url = json!({ "url": arrived });
    let answer = client.command("callback", url).await?;
    let reply = call(stage, text(&answer, "/tokens/access_token")?).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());

    // The address works once.
    let again = stage.browser()?.page(&authorize).await?;
    assert_eq!(again.reply.status, 400, "{}", again.text());
    Ok(())
}

#[tokio::test]
async fn a_client_can_require_that_its_requests_are_pushed() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [Library::Oauth4webapi, Library::OpenidClient] {
        let metadata = json!({
            "token_endpoint_auth_method": "none",
            "require_pushed_authorization_requests": true,
        });
        let mut client = registered(&stage, library, metadata).await?;
        assert_needs_push(&stage, &mut client).await?;
        log_in_pushed(&stage, &mut client).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_operator_can_require_that_all_requests_are_pushed() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_REQUIRE_PUSHED_REQUESTS", "true")
        .open()
        .await?;
    let mut client = begin(&stage, Library::Oauth4webapi)?;
    client.register(by("none"), None).await?;
    let found = client.command("discover", Value::Null).await?;
    assert_eq!(
        found.pointer("/oauth/require_pushed_authorization_requests"),
        Some(&true.into())
    );
    assert_needs_push(&stage, &mut client).await?;
    log_in_pushed(&stage, &mut client).await
}

async fn assert_needs_push(stage: &Stage, client: &mut LibraryClient) -> Result<()> {
    let authorize = client.authorize(json!({ "scope": SCOPE })).await?;
    let arrived = stage.browser()?.open(&authorize).await?.client()?;
    let refused = client
        .refusal("callback", json!({ "url": arrived }))
        .await?;
    assert!(refused.contains("invalid_request"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn signed_requests_are_refused_clearly() -> Result<()> {
    let stage = Stage::open().await?;
    let mut client = begin(&stage, Library::Oauth4webapi)?;
    client.register(json!({}), Some("ES256")).await?;
    let signed = json!({ "signed": true, "scope": SCOPE });
    let authorize = client.authorize(signed).await?;
    let arrived = stage.browser()?.open(&authorize).await?.client()?;
    let refused = client
        .refusal("callback", json!({ "url": arrived }))
        .await?;
    assert!(refused.contains("request_not_supported"), "{refused}");

    let pushed = json!({ "signed": true, "pushed": true, "scope": SCOPE });
    let refused = client.refusal("authorize", pushed).await?;
    assert!(refused.contains("request_not_supported"), "{refused}");

    // A client that works without them has lost nothing.
    log_in(&stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_signed_as_a_whole_is_told_so() -> Result<()> {
    let stage = Stage::open().await?;
    let mut client = begin(&stage, Library::OpenidClient)?;
    client.register(json!({}), Some("ES256")).await?;
    let signed = json!({ "signed": true, "scope": SCOPE });
    let authorize = client.authorize(signed).await?;
    assert!(parameter(&authorize, "redirect_uri").is_none());
    let arrived = stage.browser()?.open(&authorize).await?.client()?;
    let error = parameter(&arrived, "error");
    assert_eq!(error.as_deref(), Some("request_not_supported"));
    Ok(())
}
