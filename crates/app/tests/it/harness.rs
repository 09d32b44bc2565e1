//! Starts the real binary and its counterparts, and looks at the end of each story whether a
//! secret stands where none may.

mod proxy;
mod stage;

pub(crate) use proxy::{Proxy, ProxyBuilder};
pub(crate) use stage::{Stage, StageBuilder};

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::{port::Port, process::Process, tools::Tools, wait};
use tokio::net::TcpStream;
use url::Url;

/// How long something may take that takes no time on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// npm `@modelcontextprotocol/server-everything`, streamable HTTP.
#[derive(Debug)]
pub(crate) struct Everything {
    port: Port,
    process: Process,
    directory: tempfile::TempDir,
}

// === impl Everything ===

impl Everything {
    pub(crate) async fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = Port::reserve()?;
        let output = directory.path().join("output");
        let process = Process::start("server-everything", Self::command(port.number())?, &output)?;
        let everything = Self {
            port,
            process,
            directory,
        };
        everything.listening().await?;
        Ok(everything)
    }

    /// Ends it, and starts it again at the same place.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        let output = self.directory.path().join("output");
        let command = Self::command(self.port.number())?;
        self.process = Process::start("server-everything", command, &output)?;
        self.listening().await
    }

    pub(crate) fn url(&self) -> Result<Url> {
        Ok(Url::parse(&format!(
            "http://127.0.0.1:{}/mcp",
            self.port.number()
        ))?)
    }

    fn command(port: u16) -> Result<Command> {
        let mut command =
            Tools::find()?.package("@modelcontextprotocol/server-everything/dist/index.js");
        command.arg("streamableHttp").env("PORT", port.to_string());
        Ok(command)
    }

    async fn listening(&self) -> Result<()> {
        listening(self.port.number()).await.with_context(|| {
            format!(
                "server-everything does not listen: {}",
                self.process.output()
            )
        })
    }
}

/// Waits until something listens at a port of the loopbacks.
pub(crate) async fn listening(port: u16) -> Result<()> {
    wait::until("a listener", testkit::process::START, || async move {
        Ok(TcpStream::connect(("localhost", port)).await.ok().map(drop))
    })
    .await
}

/// A JSON-RPC call of a tool.
pub(crate) fn tool_call(name: &str, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": name, "arguments": arguments },
    })
}

/// A JSON-RPC ping.
pub(crate) fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" })
}
