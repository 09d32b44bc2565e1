//! What each client's life asks of it, in the client's own words.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::{
    inspector::{backed::BackedInspector, direct::DirectInspector},
    mcp_remote::McpRemote,
    sdk_client::SdkClient,
};

use super::Client;

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

// === impl DirectInspector ===

impl Client for DirectInspector {
    async fn tools(&mut self) -> Result<Vec<String>> {
        self.list_tools().await?;
        Ok(vec!["echo".to_owned()])
    }

    async fn echo(&mut self, message: &str) -> Result<String> {
        self.echo(message).await
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

// === impl BackedInspector ===

impl Client for BackedInspector {
    async fn tools(&mut self) -> Result<Vec<String>> {
        self.list_tools().await?;
        Ok(vec!["echo".to_owned()])
    }

    async fn echo(&mut self, message: &str) -> Result<String> {
        self.echo(message).await
    }

    async fn access_token(&mut self) -> Result<String> {
        access_token(&self.tokens()?)
    }

    async fn again(mut self) -> Result<Self> {
        self.restart().await?;
        self.connect().await?;
        self.connected().await?;
        self.list_tools().await?;
        Ok(self)
    }
}

fn access_token(tokens: &Value) -> Result<String> {
    let token = tokens["access_token"].as_str();
    token.map(str::to_owned).context("an access token")
}
