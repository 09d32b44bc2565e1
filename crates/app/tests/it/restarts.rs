//! What goes down comes back, and sessions go on.

use anyhow::Result;
use serde_json::json;
use testkit::{
    client::Tokens,
    recorder::Recorder,
    sdk_client::{Sdk, SdkClient},
};

use crate::{
    first_connection::log_in,
    harness::{Everything, Stage, ping},
};

#[tokio::test]
async fn the_mcp_server_may_restart() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);

    let port = stage.recorder.url().port().unwrap();
    let fresh = Recorder::start().await?;
    std::mem::replace(&mut stage.recorder, fresh).stop().await;
    for id in [json!(7), json!("seven")] {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
        let reply = client.call(&tokens.access, &message).await?;
        assert_eq!(reply.status, 502, "{}", reply.text());
        let error = reply.json()?;
        assert_eq!(error["jsonrpc"], "2.0");
        assert!(error["error"]["message"].is_string(), "{error}");
    }

    stage.recorder = Recorder::start_at(port).await?;
    for _ in 0..5 {
        let reply = client.call(&tokens.access, &ping()).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_real_server_may_restart_under_a_real_client() -> Result<()> {
    let mut everything = Everything::start().await?;
    let stage = Stage::builder()?.server(&everything.url()?).open().await?;
    let mut client = SdkClient::start(Sdk::TypeScript, &stage.mcp()?, None, &stage.witness)?;
    log_in(&stage, &mut client, "alice").await?;
    everything.restart().await?;
    client.command("reconnect", json!({})).await?;
    let echo = client.tool("echo", json!({ "message": "back" })).await?;
    assert_eq!(echo, "Echo: back");
    Ok(())
}

#[tokio::test]
async fn killing_the_proxy_loses_nothing_that_was_answered() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let bob = client.log_in(&mut stage.browser()?, "bob").await?;
    // Killed right behind an answer.
    let rotated = Tokens::of(&client.refresh(&bob.refresh).await?)?;
    stage.proxy.kill_and_restart().await?;

    for (access, user) in [(&tokens.access, "alice"), (&rotated.access, "bob")] {
        assert_eq!(client.call(access, &ping()).await?.status, 200);
        assert_eq!(stage.subject_at_server().await?.as_deref(), Some(user));
    }
    let tokens = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Tokens::of(&client.refresh(&rotated.refresh).await?)?;
    stage.proxy.kill_and_restart().await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    // The registration is still known as well.
    client.log_in(&mut stage.browser()?, "carol").await?;
    Ok(())
}

#[tokio::test]
async fn a_login_under_way_survives_the_proxy() -> Result<()> {
    let mut stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let authorization = client.authorization()?;
    let consent = browser.page(&authorization.url()).await?;
    stage.proxy.kill_and_restart().await?;
    let login = browser.agree(&consent).await?.page()?;
    stage.proxy.kill_and_restart().await?;
    let arrived = browser.sign_in(&login, "alice", "any").await?.client()?;
    stage.proxy.kill_and_restart().await?;
    let code = authorization.code(&arrived)?;
    let reply = client.redeem(&code, &authorization.verifier).await?;
    let tokens = Tokens::of(&reply)?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_ended_session_stays_ended_after_a_kill() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let endpoint = testkit::client::endpoint(&client.metadata, "revocation_endpoint")?;
    let form = [
        ("token", tokens.access.as_str()),
        ("client_id", client.id()),
    ];
    let reply = testkit::http::Reply::to(stage.http()?.post(&endpoint).form(&form)).await?;
    assert_eq!(reply.status, 200);
    stage.proxy.kill_and_restart().await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 401);
    assert_eq!(
        client.refresh(&tokens.refresh).await?.error(),
        "invalid_grant"
    );
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_the_same_store_is_refused() -> Result<()> {
    let stage = Stage::open().await?;
    let data = stage.proxy.data();
    let mut second = crate::harness::Proxy::builder(&stage.witness)?
        .server(stage.recorder.url())
        .provider(&stage.provider)
        .env("MCP_AUTH_PROXY_DATA_DIR", &data.display().to_string())
        .spawn()?;
    let status = second.process()?.exited(crate::harness::SOON).await?;
    assert!(!status.success());
    let first = stage.proxy.id().to_string();
    assert!(second.log().contains(&first), "it does not name {first}");
    Ok(())
}
