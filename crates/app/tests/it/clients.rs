//! Real MCP clients through a whole life: the first login, the end of the access token, the end of
//! the proxy, and their own. Each asks a person once.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::{
    browser::parameter,
    chromium::Chromium,
    http::{Http, Reply},
    inspector::Inspector,
    mcp_remote::McpRemote,
    sdk_client::{Sdk, SdkClient},
    wait,
};
use url::Url;

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
    life.log_in(&bridge.authorize_url().await?).await?;
    bridge.initialize().await?;
    life.lead(bridge).await?;
    Ok(())
}

/// A page of another origin: each request passes the browser's CORS checks.
#[tokio::test]
async fn the_inspector_in_a_browser_asks_for_one_login() -> Result<()> {
    let life = Life::begin().await?;
    let mut inspector = Inspector::open(&life.stage.mcp()?, &life.stage.witness).await?;
    inspector.connect().await?;
    agree_and_sign_in(&mut inspector.chromium).await?;
    inspector.connected().await?;
    let mcp = life.stage.mcp()?;
    let mut inspector = life.lead(inspector).await?;

    let chromium = &mut inspector.chromium;
    let requested = chromium.command("requested", Value::Null).await?;
    let requested: Vec<String> = serde_json::from_value(requested)?;
    assert!(requested.contains(&mcp.to_string()), "{requested:?}");
    let complaints = chromium.command("complaints", Value::Null).await?;
    assert!(!complaints.to_string().contains("CORS"), "{complaints:#}");
    Ok(())
}

async fn agree_and_sign_in(chromium: &mut Chromium) -> Result<()> {
    let confirmed = json!({ "selector": "input[name=confirmed]" });
    chromium.command("check", confirmed).await?;
    let submit = json!({ "selector": "button[type=submit]" });
    chromium.command("click", submit.clone()).await?;
    for name in ["login", "password"] {
        let field = json!({ "selector": format!("input[name={name}]"), "text": "alice" });
        chromium.command("fill", field).await?;
    }
    chromium.command("click", submit).await?;
    Ok(())
}

async fn of_sdk(sdk: Sdk) -> Result<()> {
    let life = Life::begin().await?;
    let mut client = SdkClient::start(sdk, &life.stage.mcp()?, None, &life.stage.witness)?;
    life.log_in(&client.authorize_url().await?).await?;
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

    /// The person's part: open the address that the client shows, agree, log in, come back.
    async fn log_in(&self, authorize: &Url) -> Result<()> {
        let redirect = parameter(authorize, "redirect_uri").context("a redirect URI")?;
        let mut browser = self.stage.browser_for(&redirect)?;
        let arrived = browser.log_in(authorize, "alice").await?;
        // Some begin to listen only when the browser has been opened.
        let page = wait::until("the client to take the person back", SOON, || async {
            Ok(Reply::to(Http::direct()?.get(&arrived)).await.ok())
        })
        .await?;
        assert_eq!(page.status, 200, "{}", page.text());
        Ok(())
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

// === impl SdkClient ===

impl Client for SdkClient {
    async fn tools(&mut self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(
            self.command("tools", Value::Null).await?,
        )?)
    }

    async fn echo(&mut self, message: &str) -> Result<String> {
        let answer = self.tool("echo", json!({ "message": message })).await;
        assert_eq!(self.invalidated, Vec::<String>::new());
        answer
    }

    async fn access_token(&mut self) -> Result<String> {
        access_token(&self.credentials().await?["tokens"])
    }

    async fn again(self) -> Result<Self> {
        let mut client = self.again().await?;
        client.connected().await?;
        Ok(client)
    }
}

// === impl McpRemote ===

impl Client for McpRemote {
    async fn tools(&mut self) -> Result<Vec<String>> {
        let list = self.request("tools/list", json!({})).await?;
        let tools = list["tools"].as_array().context("a list of tools")?;
        let name = |tool: &Value| tool["name"].as_str().map(str::to_owned);
        Ok(tools.iter().filter_map(name).collect())
    }

    async fn echo(&mut self, message: &str) -> Result<String> {
        let call = json!({ "name": "echo", "arguments": { "message": message } });
        let result = self.request("tools/call", call).await?;
        let text = result.pointer("/content/0/text").and_then(Value::as_str);
        text.map(str::to_owned).context("a text")
    }

    async fn access_token(&mut self) -> Result<String> {
        access_token(&self.tokens()?)
    }

    async fn again(self) -> Result<Self> {
        let mut bridge = self.again().await?;
        bridge.initialize().await?;
        Ok(bridge)
    }
}

// === impl Inspector ===

impl Client for Inspector {
    async fn tools(&mut self) -> Result<Vec<String>> {
        self.list_tools().await?;
        self.see("Echoes back").await?;
        Ok(vec!["echo".to_owned()])
    }

    async fn echo(&mut self, message: &str) -> Result<String> {
        self.run_echo(message).await?;
        let answer = format!("Echo: {message}");
        self.see(&answer).await?;
        Ok(answer)
    }

    /// It puts the token with which it connected into each call, also when it has a newer one. Its
    /// button "Reconnect" throws the tokens away.
    async fn revive(&mut self) -> Result<()> {
        self.reload().await?;
        self.connect().await?;
        self.connected().await?;
        self.list_tools().await
    }

    async fn access_token(&mut self) -> Result<String> {
        access_token(&self.tokens().await?)
    }

    async fn again(mut self) -> Result<Self> {
        self.revive().await?;
        Ok(self)
    }
}

fn access_token(tokens: &Value) -> Result<String> {
    let token = tokens["access_token"].as_str();
    token.map(str::to_owned).context("an access token")
}
