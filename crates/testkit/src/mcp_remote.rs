//! `mcp-remote`: the bridge that clients start who speak with a process on its pipes only.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    port::Port,
    process::{Conversation, START},
    tools::Tools,
    wait,
    witness::Witness,
};

/// A running bridge, and the client on its pipes.
#[derive(Debug)]
pub struct McpRemote {
    conversation: Conversation,
    requests: u64,
    places: Places,
}

/// What outlives a bridge.
#[derive(Debug)]
struct Places {
    url: Url,
    port: Port,
    directory: TempDir,
    witness: Witness,
}

/// What it starts on macOS; elsewhere it respects `BROWSER`.
const OPENER_NAME: &str = "open";

/// Stands in for the program that opens a person's browser: writes the address down, whole or not
/// at all.
const OPENER: &str = r#"#!/bin/sh
printf '%s' "$1" > "$MCP_TESTKIT_OPENED.part" && mv "$MCP_TESTKIT_OPENED.part" "$MCP_TESTKIT_OPENED"
"#;

// === impl McpRemote ===

impl McpRemote {
    /// Starts a bridge that knows nobody yet.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(url: &Url, witness: &Witness) -> Result<Self> {
        let places = Places {
            url: url.clone(),
            port: Port::reserve()?,
            directory: tempfile::tempdir()?,
            witness: witness.clone(),
        };
        fs::create_dir(places.programs())?;
        let opener = places.programs().join(OPENER_NAME);
        fs::write(&opener, OPENER)?;
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755))?;
        Self::start_at(places)
    }

    /// Ends it, and starts it again with what it has kept.
    ///
    /// # Errors
    /// If that fails.
    pub async fn again(self) -> Result<Self> {
        self.conversation.end().await?;
        Self::start_at(self.places)
    }

    /// The address that it opens in the person's browser.
    ///
    /// # Errors
    /// If it opens none.
    pub async fn authorize_url(&self) -> Result<Url> {
        let opened = self.places.opened();
        let url = wait::until("mcp-remote to open a browser", START, || {
            let url = fs::read_to_string(&opened).ok();
            async move { Ok(url) }
        })
        .await?;
        Ok(Url::parse(&url)?)
    }

    /// Says hello to the server behind the bridge, as every client does.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn initialize(&mut self) -> Result<()> {
        let parameters = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "story client", "version": "1.0.0" },
        });
        self.request("initialize", parameters).await?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.conversation.send(&initialized).await
    }

    /// Sends a JSON-RPC request and returns its result.
    ///
    /// # Errors
    /// If the answer is an error.
    pub async fn request(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.requests += 1;
        let id = json!(self.requests);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters });
        self.conversation.send(&request).await?;
        loop {
            let mut message = self.conversation.listen().await?;
            let is_answer = message.get("method").is_none() && message.get("id") == Some(&id);
            if !is_answer {
                continue;
            }
            let Some(result) = message.get_mut("result") else {
                bail!("{method} failed: {message}");
            };
            return Ok(result.take());
        }
    }

    /// The tokens it has kept; remembered as secrets.
    ///
    /// # Errors
    /// If there are none.
    pub fn tokens(&self) -> Result<Value> {
        let path = file_ending(&self.places.store(), "_tokens.json")?
            .context("mcp-remote has kept no tokens")?;
        let tokens = serde_json::from_slice(&fs::read(path)?)?;
        self.places.witness.remember_members(&tokens);
        Ok(tokens)
    }

    fn start_at(places: Places) -> Result<Self> {
        let conversation = Conversation::start("mcp-remote", places.command()?)?;
        Ok(Self {
            conversation,
            requests: 0,
            places,
        })
    }
}

// === impl Places ===

impl Places {
    fn command(&self) -> Result<Command> {
        let mut path = vec![self.programs()];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let mut command = Tools::find()?.package("mcp-remote/dist/proxy.js");
        command
            .arg(self.url.as_str())
            .arg(self.port.number().to_string())
            // Whoever runs the tests may sit at a desktop: no browser of theirs is to open.
            .env_clear()
            .env("PATH", std::env::join_paths(path)?)
            .env("HOME", self.directory.path())
            .env("BROWSER", self.programs().join(OPENER_NAME))
            .env("MCP_TESTKIT_OPENED", self.opened())
            .env("MCP_REMOTE_CONFIG_DIR", self.store());
        Ok(command)
    }

    fn programs(&self) -> PathBuf {
        self.directory.path().join("programs")
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn opened(&self) -> PathBuf {
        self.directory.path().join("opened")
    }
}

fn file_ending(directory: &Path, end: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = file_ending(&path, end)? {
                return Ok(Some(found));
            }
        } else if path.to_string_lossy().ends_with(end) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
