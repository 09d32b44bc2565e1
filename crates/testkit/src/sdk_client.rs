//! SDKs as MCP clients, each in a process of its own.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    certificate::Certificate, port::Port, process::Conversation, tools::Tools, witness::Witness,
};

/// Whose SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// `@modelcontextprotocol/sdk`.
    TypeScript,
    /// `@modelcontextprotocol/client`, the second generation.
    TypeScript2,
    /// `mcp` from `PyPI`.
    Python,
    /// `fastmcp` from `PyPI`, with its own callback server and token store.
    FastMcp,
}

/// An MCP client that uses an SDK's own OAuth code.
#[derive(Debug)]
pub struct SdkClient {
    conversation: Conversation,
    sdk: Sdk,
    url: Url,
    witness: Witness,
    /// Which credentials the SDK threw away.
    pub invalidated: Vec<String>,
    directory: TempDir,
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
        Self::start_in(tempfile::tempdir()?, sdk, url, state, None, witness)
    }

    /// The same for an endpoint whose certificate nobody else has signed. The SDK runs in Node.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_trusting(
        certificate: &Certificate,
        sdk: Sdk,
        url: &Url,
        witness: &Witness,
    ) -> Result<Self> {
        let trusted = certificate.path();
        Self::start_in(
            tempfile::tempdir()?,
            sdk,
            url,
            None,
            Some(&trusted),
            witness,
        )
    }

    /// Ends it, and starts it again with what it has kept.
    ///
    /// # Errors
    /// If that fails.
    pub async fn again(mut self) -> Result<Self> {
        let kept = self.credentials().await?;
        self.conversation.end().await?;
        let (url, witness) = (&self.url, &self.witness);
        Self::start_in(self.directory, self.sdk, url, Some(&kept), None, witness)
    }

    fn start_in(
        directory: TempDir,
        sdk: Sdk,
        url: &Url,
        state: Option<&Value>,
        trusted: Option<&Path>,
        witness: &Witness,
    ) -> Result<Self> {
        let port = Port::reserve()?;
        let settings = json!({
            "url": url,
            "redirect_port": port.number(),
            "name": format!("{sdk:?} story client"),
            "state": state,
            "generation": if sdk == Sdk::TypeScript2 { 2 } else { 1 },
            "directory": directory.path(),
        });
        let tools = Tools::find()?;
        let mut command = match sdk {
            Sdk::TypeScript | Sdk::TypeScript2 => tools.script("sdk-client.mjs"),
            Sdk::Python => tools.python_script("sdk_client.py"),
            Sdk::FastMcp => tools.python_script("fastmcp_client.py"),
        };
        command.arg(settings.to_string());
        if let Some(trusted) = trusted {
            command.env("NODE_EXTRA_CA_CERTS", trusted);
        }
        // Everything is on this machine.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        Ok(Self {
            conversation: Conversation::start(&format!("{sdk:?} SDK client"), command)?,
            sdk,
            url: url.clone(),
            witness: witness.clone(),
            invalidated: Vec::new(),
            directory,
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
