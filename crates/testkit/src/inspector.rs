//! MCP Inspector of the first generation in a real browser: a page that speaks with the MCP server
//! directly, as a script of another origin. (The second generation speaks through a process of its
//! own.)

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use url::Url;

use crate::{
    chromium::{Chromium, ChromiumOptions},
    port::Port,
    process::{Process, START},
    tools::Tools,
    wait,
    witness::Witness,
};

/// An open Inspector.
#[derive(Debug)]
pub struct Inspector {
    /// The person's browser.
    pub chromium: Chromium,
    page: Url,
    witness: Witness,
    _process: Process,
    _directory: TempDir,
    _port: Port,
}

// === impl Inspector ===

impl Inspector {
    /// Opens it, for a direct connection to an MCP endpoint by streamable HTTP.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn open(mcp: &Url, witness: &Witness) -> Result<Self> {
        let port = Port::reserve()?;
        let directory = tempfile::tempdir()?;
        let mut command =
            Tools::find()?.package("@modelcontextprotocol/inspector-client/bin/client.js");
        command
            .env("CLIENT_PORT", port.number().to_string())
            .env("HOST", "localhost")
            .env("MCP_AUTO_OPEN_ENABLED", "false");
        let output = directory.path().join("output");
        let process = Process::start("MCP Inspector", command, &output)?;
        wait::until("MCP Inspector to listen", START, || async {
            let connected = TcpStream::connect(("localhost", port.number())).await;
            Ok(connected.ok().map(drop))
        })
        .await
        .with_context(|| process.output())?;

        let page = Url::parse(&format!("http://localhost:{}/", port.number()))?;
        let options = ChromiumOptions {
            width: 1600,
            ..ChromiumOptions::default()
        };
        let mut inspector = Self {
            chromium: Chromium::start(options).await?,
            page,
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
        self.click("button:text-is('Connect')").await
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// If it never is.
    pub async fn connected(&mut self) -> Result<()> {
        self.see("Reconnect").await
    }

    /// Opens its page anew in the same tab: what it has kept, it keeps.
    ///
    /// # Errors
    /// If the page does not open.
    pub async fn reload(&mut self) -> Result<()> {
        let page = self.page.clone();
        self.chromium.open(&page).await?;
        Ok(())
    }

    /// Lists the tools.
    ///
    /// # Errors
    /// If the button is not there.
    pub async fn list_tools(&mut self) -> Result<()> {
        self.click("button[role=tab]:has-text('Tools')").await?;
        self.click("button:text-is('List Tools')").await
    }

    /// Runs the tool `echo` of the list.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn run_echo(&mut self, message: &str) -> Result<()> {
        self.click("span:text-matches('^Echo', 'i')").await?;
        let field = json!({ "selector": "#message", "text": message });
        self.chromium.command("fill", field).await?;
        self.click("button:has-text('Run Tool')").await
    }

    /// Waits until a text stands on the page.
    ///
    /// # Errors
    /// If it never does.
    pub async fn see(&mut self, text: &str) -> Result<()> {
        let seen = self
            .chromium
            .command("wait_for_text", json!({ "text": text }))
            .await;
        if seen.is_err() {
            self.picture("inspector-in-vain").await?;
        }
        seen.with_context(|| format!("`{text}` is not on the page"))?;
        Ok(())
    }

    /// Takes a picture of the page.
    ///
    /// # Errors
    /// If there is no page.
    pub async fn picture(&mut self, name: &str) -> Result<()> {
        let name = json!({ "name": name });
        self.chromium.command("screenshot", name).await?;
        Ok(())
    }

    /// The tokens it has kept; remembered as secrets.
    ///
    /// # Errors
    /// If there are none.
    pub async fn tokens(&mut self) -> Result<Value> {
        let script =
            "Object.entries(sessionStorage).find(([name]) => name.endsWith('mcp_tokens'))?.[1]";
        let kept = self
            .chromium
            .command("evaluate", json!({ "script": script }))
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
        let field = json!({ "selector": "#sse-url-input", "text": mcp });
        self.chromium.command("fill", field).await?;
        self.select("#connection-type-select", "Direct").await
    }

    async fn select(&mut self, field: &str, option: &str) -> Result<()> {
        self.click(field).await?;
        self.click(&format!("[role=option]:has-text('{option}')"))
            .await
    }

    async fn click(&mut self, selector: &str) -> Result<()> {
        let clicked = self
            .chromium
            .command("click", json!({ "selector": selector }))
            .await;
        if clicked.is_err() {
            self.picture("inspector-in-vain").await?;
        }
        clicked.map(drop)
    }
}
