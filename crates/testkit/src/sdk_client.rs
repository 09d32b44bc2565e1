//! The official SDKs as MCP clients, each in a process of its own.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use url::Url;

use crate::{port::Port, process::Conversation, tools::Tools, witness::Witness};

/// Whose SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// `@modelcontextprotocol/sdk`.
    TypeScript,
    /// `mcp` from `PyPI`.
    Python,
}

/// An MCP client that uses an SDK's own OAuth code.
#[derive(Debug)]
pub struct SdkClient {
    conversation: Conversation,
    witness: Witness,
    /// Which credentials the SDK threw away.
    pub invalidated: Vec<String>,
    _port: Port,
}

// === impl SdkClient ===

impl SdkClient {
    /// Starts a client that connects to an MCP endpoint. `state` is what an earlier one's
    /// [`Self::credentials`] were.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(sdk: Sdk, url: &Url, state: Option<&Value>, witness: &Witness) -> Result<Self> {
        let port = Port::reserve()?;
        let settings = json!({
            "url": url,
            "redirect_port": port.number(),
            "name": format!("{sdk:?} story client"),
            "state": state,
        });
        let tools = Tools::find()?;
        let mut command = match sdk {
            Sdk::TypeScript => tools.script("sdk-client.mjs"),
            Sdk::Python => tools.python_script("sdk_client.py"),
        };
        command.arg(settings.to_string());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        Ok(Self {
            conversation: Conversation::start(&format!("{sdk:?} SDK client"), command)?,
            witness: witness.clone(),
            invalidated: Vec::new(),
            _port: port,
        })
    }

    /// The address it would open in the person's browser.
    ///
    /// # Errors
    /// If it does something else.
    pub async fn authorize_url(&mut self) -> Result<Url> {
        let line = self.next().await?;
        let url = line
            .get("authorize")
            .and_then(Value::as_str)
            .with_context(|| format!("it wants no login: {line}"))?;
        Ok(Url::parse(url)?)
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// If it fails, or asks for a login.
    pub async fn connected(&mut self) -> Result<()> {
        let line = self.next().await?;
        if line.get("connected").is_some() {
            return Ok(());
        }
        bail!("it is not connected: {line}")
    }

    /// Gives a command.
    ///
    /// # Errors
    /// If it fails.
    pub async fn command(&mut self, command: &str, parameters: Value) -> Result<Value> {
        let invalidated = &mut self.invalidated;
        self.conversation
            .command(command, parameters, |line| note(invalidated, &line))
            .await
    }

    /// Calls a tool and returns the text it gave.
    ///
    /// # Errors
    /// If it gives none.
    pub async fn tool(&mut self, name: &str, arguments: Value) -> Result<String> {
        let result = self
            .command("call", json!({ "name": name, "arguments": arguments }))
            .await?;
        result
            .pointer("/content/0/text")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .with_context(|| format!("no text in {result}"))
    }

    /// Its registration and tokens; remembered as secrets.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn credentials(&mut self) -> Result<Value> {
        let credentials = self.command("credentials", Value::Null).await?;
        self.witness.remember_members(&credentials);
        Ok(credentials)
    }

    async fn next(&mut self) -> Result<Value> {
        loop {
            let line = self.conversation.listen().await?;
            if line.get("invalidated").is_some() {
                note(&mut self.invalidated, &line);
                continue;
            }
            return Ok(line);
        }
    }
}

fn note(invalidated: &mut Vec<String>, line: &Value) {
    if let Some(what) = line.get("invalidated").and_then(Value::as_str) {
        invalidated.push(what.to_owned());
    }
}
