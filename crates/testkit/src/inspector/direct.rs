//! The first generation, which connects directly: each request passes the browser's CORS checks.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{browser, command, listening};
use crate::{chromium::Chromium, port::Port, process::Process, witness::Witness};

/// An open Inspector.
#[derive(Debug)]
pub struct DirectInspector {
    /// The person's browser.
    pub chromium: Chromium,
    page: Url,
    witness: Witness,
    _process: Process,
    _directory: TempDir,
    _port: Port,
}

const PROGRAM: &str = "@modelcontextprotocol/inspector-client/bin/client.js";

// === impl DirectInspector ===

impl DirectInspector {
    /// Opens it, for a connection to an MCP endpoint by streamable HTTP.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn open(mcp: &Url, witness: &Witness) -> Result<Self> {
        let port = Port::reserve()?;
        let directory = tempfile::tempdir()?;
        let command = command(PROGRAM, directory.path(), port.number())?;
        let output = directory.path().join("output");
        let process = Process::start("MCP Inspector 1", command, &output)?;
        listening(&process, port.number()).await?;
        let mut inspector = Self {
            chromium: browser().await?,
            page: Url::parse(&format!("http://localhost:{}/", port.number()))?,
            witness: witness.clone(),
            _process: process,
            _directory: directory,
            _port: port,
        };
        inspector.choose(mcp).await?;
        Ok(inspector)
    }

    /// Presses "Connect".
    ///
    /// # Errors
    /// If there is no such button.
    pub async fn connect(&mut self) -> Result<()> {
        self.chromium.click("button:text-is('Connect')").await
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// If it never is.
    pub async fn connected(&mut self) -> Result<()> {
        self.chromium.see("Reconnect").await
    }

    /// Opens its page anew in the same tab: what it has kept, it keeps.
    ///
    /// # Errors
    /// If the page does not open.
    pub async fn reload(&mut self) -> Result<()> {
        self.chromium.open(&self.page).await?;
        Ok(())
    }

    /// Lists the tools.
    ///
    /// # Errors
    /// If `echo` is not among them.
    pub async fn list_tools(&mut self) -> Result<()> {
        self.chromium
            .click("button[role=tab]:has-text('Tools')")
            .await?;
        self.chromium.click("button:text-is('List Tools')").await?;
        self.chromium.see("Echo Tool").await
    }

    /// Runs the tool `echo` of the list, and waits for what it says.
    ///
    /// # Errors
    /// If it says something else.
    pub async fn echo(&mut self, message: &str) -> Result<String> {
        self.chromium.click("span:text-is('Echo Tool')").await?;
        self.chromium.fill("#message", message).await?;
        self.chromium.click("button:has-text('Run Tool')").await?;
        let answer = format!("Echo: {message}");
        self.chromium.see(&answer).await?;
        Ok(answer)
    }

    /// The tokens it has kept; remembered as secrets.
    ///
    /// # Errors
    /// If there are none.
    pub async fn tokens(&mut self) -> Result<Value> {
        const SCRIPT: &str =
            "Object.entries(sessionStorage).find(([name]) => name.endsWith('mcp_tokens'))?.[1]";
        let kept = self
            .chromium
            .command("evaluate", json!({ "script": SCRIPT }))
            .await?;
        let kept = kept.as_str().context("it has kept no tokens")?;
        let tokens = serde_json::from_str(kept)?;
        self.witness.remember_members(&tokens);
        Ok(tokens)
    }

    async fn choose(&mut self, mcp: &Url) -> Result<()> {
        self.reload().await?;
        self.select("#transport-type-select", "Streamable HTTP")
            .await?;
        self.chromium.fill("#sse-url-input", mcp.as_str()).await?;
        self.select("#connection-type-select", "Direct").await
    }

    async fn select(&mut self, field: &str, option: &str) -> Result<()> {
        self.chromium.click(field).await?;
        let option = format!("[role=option]:has-text('{option}')");
        self.chromium.click(&option).await
    }
}
