//! Real MCP clients through a whole life: the first login, the end of the access token, the end of
//! the proxy, and their own. Each asks a person once.

mod adapters;

use anyhow::Result;
use serde_json::Value;
use testkit::{
    chromium::Chromium,
    http::Reply,
    inspector::{backed::BackedInspector, direct::DirectInspector},
    mcp_remote::McpRemote,
    sdk_client::{Sdk, SdkClient},
    wait,
};

use crate::harness::{Everything, SOON, Stage, ping};

/// Short enough to be waited for, long enough for a login on a busy machine.
const ACCESS_TTL: &str = "5s";

#[tokio::test]
async fn the_typescript_sdk_asks_for_one_login() -> Result<()> {
    of_sdk(Sdk::TypeScript).await
}

#[tokio::test]
async fn the_second_typescript_sdk_asks_for_one_login() -> Result<()> {
    of_sdk(Sdk::TypeScript2).await
}

#[tokio::test]
async fn the_python_sdk_asks_for_one_login() -> Result<()> {
    of_sdk(Sdk::Python).await
}

#[tokio::test]
async fn fastmcp_asks_for_one_login() -> Result<()> {
    of_sdk(Sdk::FastMcp).await
}

#[tokio::test]
async fn mcp_remote_asks_for_one_login() -> Result<()> {
    let life = Life::begin().await?;
    let mut bridge = McpRemote::start(&life.stage.mcp()?, &life.stage.witness)?;
    let authorize = bridge.authorize_url().await?;
    life.stage.person_logs_in(&authorize, "alice").await?;
    bridge.initialize().await?;
    life.lead(bridge).await?;
    Ok(())
}

/// A page of another origin: each request passes the browser's CORS checks.
#[tokio::test]
async fn the_inspector_in_a_browser_asks_for_one_login() -> Result<()> {
    let life = Life::begin().await?;
    let mcp = life.stage.mcp()?;
    let mut inspector = DirectInspector::open(&mcp, &life.stage.witness).await?;
    inspector.connect().await?;
    agree_and_sign_in(&mut inspector.chromium).await?;
    inspector.connected().await?;
    let mut inspector = life.lead(inspector).await?;

    let chromium = &mut inspector.chromium;
    let requested = chromium.command("requested", Value::Null).await?;
    let requested: Vec<String> = serde_json::from_value(requested)?;
    assert!(requested.contains(&mcp.to_string()), "{requested:?}");
    let complaints = chromium.command("complaints", Value::Null).await?;
    assert!(!complaints.to_string().contains("CORS"), "{complaints:#}");
    Ok(())
}

#[tokio::test]
async fn the_second_inspector_asks_for_one_login() -> Result<()> {
    let life = Life::begin().await?;
    let mcp = life.stage.mcp()?;
    let mut inspector = BackedInspector::open(&mcp, &life.stage.witness).await?;
    inspector.connect().await?;
    agree_and_sign_in(&mut inspector.chromium).await?;
    inspector.connected().await?;
    life.lead(inspector).await?;
    Ok(())
}

async fn agree_and_sign_in(chromium: &mut Chromium) -> Result<()> {
    chromium.tick("input[name=confirmed]").await?;
    chromium.click("button[type=submit]").await?;
    chromium.fill("input[name=login]", "alice").await?;
    chromium.fill("input[name=password]", "any").await?;
    chromium.click("button[type=submit]").await
}

async fn of_sdk(sdk: Sdk) -> Result<()> {
    let life = Life::begin().await?;
    let mut client = SdkClient::start(sdk, &life.stage.mcp()?, None, &life.stage.witness)?;
    let authorize = client.authorize_url().await?;
    life.stage.person_logs_in(&authorize, "alice").await?;
    client.connected().await?;
    life.lead(client).await?;
    Ok(())
}

/// A client as its life meets it, connected.
trait Client: Sized {
    /// The names of the tools it finds.
    async fn tools(&mut self) -> Result<Vec<String>>;

    /// What the tool `echo` answers.
    async fn echo(&mut self, message: &str) -> Result<String>;

    /// What a person does at it when the connection or its token has ended.
    async fn revive(&mut self) -> Result<()> {
        Ok(())
    }

    /// The access token that it has now.
    async fn access_token(&mut self) -> Result<String>;

    /// Ends it, and starts it again with what it has kept, until it is connected.
    async fn again(self) -> Result<Self>;
}

/// Between a client and a real MCP server stand the proxy and a recorder of what reaches the server.
struct Life {
    stage: Stage,
    _everything: Everything,
}

// === impl Life ===

impl Life {
    async fn begin() -> Result<Self> {
        let everything = Everything::start().await?;
        let stage = Stage::builder()?
            .env("MCP_AUTH_PROXY_ACCESS_TTL", ACCESS_TTL)
            .open()
            .await?;
        stage.recorder.relay_to(&everything.url()?)?;
        Ok(Self {
            stage,
            _everything: everything,
        })
    }

    async fn lead<C: Client>(mut self, mut client: C) -> Result<C> {
        let tools = client.tools().await?;
        assert!(tools.iter().any(|name| name == "echo"), "{tools:?}");
        self.works(&mut client, "hello").await?;

        let first = client.access_token().await?;
        self.refused(&first).await?;
        client.revive().await?;
        self.works(&mut client, "after the token's end").await?;
        assert_ne!(client.access_token().await?, first, "it was not refreshed");

        self.stage.proxy.kill_and_restart().await?;
        client.revive().await?;
        self.works(&mut client, "after the proxy's end").await?;

        self.refused(&client.access_token().await?).await?;
        self.stage.proxy.kill_and_restart().await?;
        let mut client = client.again().await?;
        self.works(&mut client, "after all ends").await?;
        self.asked_once().await?;
        Ok(client)
    }

    /// A call reaches the server, with the person's own identity token.
    async fn works(&self, client: &mut impl Client, message: &str) -> Result<()> {
        self.stage.recorder.forget();
        assert_eq!(client.echo(message).await?, format!("Echo: {message}"));
        let calls = self.stage.recorder.requests();
        let arrived = |request: &testkit::recorder::Recorded| {
            String::from_utf8_lossy(&request.body).contains(message)
        };
        assert!(calls.iter().any(arrived), "the call went another way");
        let subject = self.stage.subject_at_server().await?;
        assert_eq!(subject.as_deref(), Some("alice"));
        Ok(())
    }

    /// Waits until an access token's time is over.
    async fn refused(&self, access_token: &str) -> Result<()> {
        let (http, mcp) = (self.stage.http()?, self.stage.mcp()?);
        wait::until("the end of the access token", SOON, || async {
            let request = http.post(&mcp).bearer_auth(access_token).json(&ping());
            Ok((Reply::to(request).await?.status == 401).then_some(()))
        })
        .await
    }

    async fn asked_once(&self) -> Result<()> {
        let seen = self.stage.control().seen().await?;
        assert_eq!(seen["authorizations"].as_array().map(Vec::len), Some(1));
        let grants = self.stage.proxy.log().matches("grant opened").count();
        assert_eq!(grants, 1);
        Ok(())
    }
}
