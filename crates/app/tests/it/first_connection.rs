//! Somebody connects for the first time: official SDKs with their own OAuth code, a real provider,
//! a real MCP server.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::sdk_client::{Sdk, SdkClient};

use crate::harness::{Everything, Stage};

#[tokio::test]
async fn typescript_sdk_logs_in_and_calls_a_real_server() -> Result<()> {
    connects(Sdk::TypeScript).await
}

#[tokio::test]
async fn python_sdk_logs_in_and_calls_a_real_server() -> Result<()> {
    connects(Sdk::Python).await
}

async fn connects(sdk: Sdk) -> Result<()> {
    let everything = Everything::start().await?;
    let stage = Stage::builder()?.server(&everything.url()?).open().await?;
    let mut client = SdkClient::start(sdk, &stage.mcp()?, None, &stage.witness)?;
    log_in(&stage, &mut client, "alice").await?;

    let tools = client.command("tools", Value::Null).await?;
    let tools = tools.as_array().unwrap();
    assert!(tools.contains(&"echo".into()), "{tools:?}");
    let echo = client.tool("echo", json!({ "message": "hello" })).await?;
    assert_eq!(echo, "Echo: hello");
    let first = client.credentials().await?;

    // When the access token's time is over, the SDK refreshes by itself and nobody is asked.
    client.command("forget_access_token", Value::Null).await?;
    let echo = client.tool("echo", json!({ "message": "again" })).await?;
    assert_eq!(echo, "Echo: again");
    let second = client.credentials().await?;
    // A client with a secret may get the same token again within one second: nothing is random in it.
    if sdk == Sdk::TypeScript {
        assert_ne!(
            first.pointer("/tokens/access_token"),
            second.pointer("/tokens/access_token")
        );
    }
    assert_eq!(client.invalidated, Vec::<String>::new());

    let authorizations = stage.control().seen().await?["authorizations"].clone();
    assert_eq!(authorizations.as_array().unwrap().len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_server_gets_the_person_s_own_identity_token() -> Result<()> {
    let stage = Stage::open().await?;
    let mut client = SdkClient::start(Sdk::TypeScript, &stage.mcp()?, None, &stage.witness)?;
    log_in(&stage, &mut client, "alice").await?;
    let headers: Value = serde_json::from_str(&client.tool("whoami", json!({})).await?)?;
    let bearer = headers["authorization"].as_str().unwrap();
    let token = bearer.strip_prefix("bearer ").unwrap();
    assert_eq!(
        stage.control().subject_of(token).await?.as_deref(),
        Some("alice")
    );
    let credentials = client.credentials().await?;
    assert_eq!(
        headers["x-dynamic-client-id"],
        credentials["client"]["client_id"]
    );
    Ok(())
}

#[tokio::test]
async fn a_client_that_remembers_its_tokens_needs_no_login() -> Result<()> {
    let stage = Stage::open().await?;
    let mut client = SdkClient::start(Sdk::TypeScript, &stage.mcp()?, None, &stage.witness)?;
    log_in(&stage, &mut client, "alice").await?;
    let credentials = client.credentials().await?;
    drop(client);

    let mut next = SdkClient::start(
        Sdk::TypeScript,
        &stage.mcp()?,
        Some(&credentials),
        &stage.witness,
    )?;
    next.connected().await?;
    let echo = next.tool("echo", json!({ "message": "me again" })).await?;
    assert_eq!(echo, "Echo: me again");
    Ok(())
}

#[tokio::test]
async fn the_secret_may_be_wanted_in_the_form() -> Result<()> {
    let stage = Stage::builder()?
        .auth_method("client_secret_post")
        .open()
        .await?;
    stage.logged_in("alice").await?;
    Ok(())
}

/// A person logs in, and the client is connected.
pub(crate) async fn log_in(stage: &Stage, client: &mut SdkClient, user: &str) -> Result<()> {
    let authorize = client.authorize_url().await?;
    stage.person_logs_in(&authorize, user).await?;
    client.connected().await
}
