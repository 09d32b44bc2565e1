//! The second generation: its pages stand before a process of its own, which speaks with the MCP
//! server and keeps the tokens.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{browser, command, listening};
use crate::{chromium::Chromium, port::Port, process::Process, witness::Witness};

/// An open Inspector.
#[derive(Debug)]
pub struct BackedInspector {
    /// The person's browser.
    pub chromium: Chromium,
    witness: Witness,
    process: Process,
    directory: TempDir,
    port: Port,
}

const PROGRAM: &str = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";

// === impl BackedInspector ===

impl BackedInspector {
    /// Opens it, with an MCP endpoint in its list of servers.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn open(mcp: &Url, witness: &Witness) -> Result<Self> {
        let port = Port::reserve()?;
        let directory = tempfile::tempdir()?;
        let catalog = json!({ "mcpServers": { "story": { "type": "http", "url": mcp } } });
        std::fs::write(directory.path().join("mcp.json"), catalog.to_string())?;
        let process = serve(&directory, &port)?;
        listening(&process, port.number()).await?;
        let mut inspector = Self {
            chromium: browser().await?,
            witness: witness.clone(),
            process,
            directory,
            port,
        };
        inspector.load().await?;
        Ok(inspector)
    }

    /// Kills its process, starts it again with what it has kept, and opens its page anew.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = serve(&self.directory, &self.port)?;
        listening(&self.process, self.port.number()).await?;
        self.load().await
    }

    /// Switches the connection on.
    ///
    /// # Errors
    /// If there is no such switch.
    pub async fn connect(&mut self) -> Result<()> {
        self.chromium.click(".mantine-Switch-track").await
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// If it never is.
    pub async fn connected(&mut self) -> Result<()> {
        self.chromium
            .appear("[data-testid=connection-status][data-status=connected]")
            .await
    }

    /// Lists the tools.
    ///
    /// # Errors
    /// If `echo` is not among them.
    pub async fn list_tools(&mut self) -> Result<()> {
        self.chromium.click("label:has-text('Tools')").await?;
        self.chromium.see("Echo Tool").await
    }

    /// Runs the tool `echo` of the list, and waits for what it says.
    ///
    /// # Errors
    /// If it says something else.
    pub async fn echo(&mut self, message: &str) -> Result<String> {
        self.chromium.click("button:has-text('Echo Tool')").await?;
        let field = ".mantine-InputWrapper-root:has-text('message') input";
        self.chromium.fill(field, message).await?;
        self.chromium
            .click("button:has-text('Execute Tool')")
            .await?;
        let answer = format!("Echo: {message}");
        self.chromium.see(&answer).await?;
        self.chromium.click("[aria-label='Close results']").await?;
        Ok(answer)
    }

    /// The tokens it has kept; remembered as secrets.
    ///
    /// # Errors
    /// If there are none.
    pub fn tokens(&self) -> Result<Value> {
        let file = self.directory.path().join("storage/secrets.json");
        let store: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let kept = store
            .get("secrets")
            .and_then(Value::as_object)
            .and_then(|secrets| secrets.iter().find(|(name, _)| name.contains(":tokens:")))
            .and_then(|(_, kept)| kept.as_str())
            .context("it has kept no tokens")?;
        let tokens = serde_json::from_str(kept)?;
        self.witness.remember_members(&tokens);
        Ok(tokens)
    }

    async fn load(&mut self) -> Result<()> {
        let page = Url::parse(&format!("http://localhost:{}/", self.port.number()))?;
        self.chromium.open(&page).await?;
        Ok(())
    }
}

fn serve(directory: &TempDir, port: &Port) -> Result<Process> {
    let home = directory.path();
    let mut command = command(PROGRAM, home, port.number())?;
    command
        .arg("--web")
        .env("MCP_CATALOG_PATH", home.join("mcp.json"))
        .env("MCP_STORAGE_DIR", home.join("storage"))
        .env("MCP_INSPECTOR_SECRET_STORE", "file")
        // Servers that no story needs, at any free ports.
        .env("MCP_SANDBOX_PORT", "0")
        .env("MCP_APP_ORIGIN_PORT", "0");
    Process::start("MCP Inspector 2", command, &home.join("output"))
}
