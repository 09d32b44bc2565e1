//! The MCP servers: those that this process started, and a look at those that run elsewhere.

use std::time::Duration;

use anyhow::Result;
use futures_util::future;
use gateway::{
    process::{McpServerProcess, ProcessSettings, exit_code},
    readiness,
};
use url::Url;

use crate::config::{Config, ServerConfig, environment};

/// How long an MCP server may take until it accepts connections.
const READY_WITHIN: Duration = Duration::from_secs(50);

/// How long one that runs elsewhere may take to accept a connection.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(5);

/// Where MCP servers are reached that this process does not start.
pub(crate) fn elsewhere(config: &Config) -> Vec<Url> {
    let elsewhere = |server: &&ServerConfig| server.run.is_none();
    let urls = config.servers.iter().filter(elsewhere);
    urls.map(|server| server.url.clone()).collect()
}

/// Tries once whether they are there, and warns where one is not: else that would be noticed only
/// by somebody who has logged in.
pub(crate) async fn look_for(urls: Vec<Url>) {
    let looking = urls.into_iter().map(|mut url| async move {
        if let Some(cause) = readiness::obstacle(&url, ACCEPTED_WITHIN).await {
            // It may hold a key.
            url.set_query(None);
            tracing::warn!(
                cause = %cause,
                "the MCP server does not accept connections at {url}: calls are answered 502 until \
                 it does. Start it there, or correct MCP_SERVER_URL (`--server` of the demo)"
            );
        }
    });
    future::join_all(looking).await;
}

/// All that were started; empty where they run elsewhere.
#[derive(Debug, Default)]
pub(crate) struct McpServers(Vec<McpServerProcess>);

// === impl McpServers ===

impl McpServers {
    /// Starts them all at once and waits until each accepts connections.
    ///
    /// # Errors
    /// If one does not come up; the others are stopped again.
    pub(crate) async fn start(config: &Config) -> Result<Self> {
        let starting = config.servers.iter().filter_map(|server| {
            let run = server.run.as_ref()?;
            let child = environment::for_mcp_server(run, &server.url, &config.inherited.0);
            for note in &child.notes {
                tracing::info!("{note}");
            }
            Some(McpServerProcess::start(ProcessSettings {
                command: run.command.clone(),
                directory: run.directory.clone(),
                environment: child.variables,
                url: server.url.clone(),
                ready_within: READY_WITHIN,
            }))
        });
        let started = future::join_all(starting).await;
        let mut servers = Self::default();
        let mut failure = None;
        for result in started {
            match result {
                Ok(server) => servers.0.push(server),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => Ok(servers),
            Some(error) => {
                servers.stop(config.drain).await;
                Err(error.into())
            }
        }
    }

    /// Waits for the first of them to end; its exit code for us. For ever where there is none.
    pub(crate) async fn first_exit(&mut self) -> u8 {
        if self.0.is_empty() {
            return future::pending().await;
        }
        let exits = self.0.iter_mut().map(|server| Box::pin(server.exited()));
        let (status, _, _) = future::select_all(exits).await;
        exit_code(status)
    }

    /// Asks all of them to stop; what is left of them after `within` is killed.
    pub(crate) async fn stop(mut self, within: Duration) {
        future::join_all(self.0.iter_mut().map(|server| server.stop(within))).await;
    }
}
