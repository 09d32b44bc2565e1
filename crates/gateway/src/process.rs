//! The MCP server as a sub-process: started, watched, stopped, never left behind.

use std::{ffi::OsString, path::PathBuf, process::ExitStatus, time::Duration};

use url::Url;

/// What is started.
#[derive(Clone, Debug)]
pub enum Command {
    /// One string for `sh -c`.
    Shell(String),
    /// A program with its arguments.
    Program {
        /// The program, found by `PATH`.
        program: String,
        /// Its arguments, as they are.
        arguments: Vec<String>,
    },
}

/// How the MCP server is started.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// What is started.
    pub command: Command,
    /// Its working directory; absent: ours.
    pub directory: Option<PathBuf>,
    /// Its whole environment (may hold secrets: never printed).
    pub environment: Vec<(OsString, OsString)>,
    /// Where it will accept connections.
    pub url: Url,
    /// How long it may take to do so.
    pub ready_within: Duration,
}

/// A running MCP server.
#[derive(Debug)]
pub struct McpServerProcess {}

/// Why the MCP server did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be started at all.
    #[error("the MCP server cannot be started: {0}")]
    Spawn(String),
    /// It ended before it accepted connections.
    #[error(
        "the MCP server ended before it accepted connections at {url} ({status}); its output is in the log above"
    )]
    Ended {
        /// Where it was expected.
        url: Url,
        /// How it ended.
        status: ExitStatus,
    },
    /// It did not accept connections in time.
    #[error("the MCP server does not accept connections at {url} after {} s: it must listen there (PORT is set for it); check MCP_SERVER_URL", within.as_secs())]
    NotReady {
        /// Where it was expected.
        url: Url,
        /// How long was waited.
        within: Duration,
    },
}

impl McpServerProcess {
    /// Starts the server in a process group of its own and waits until it accepts connections.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(_settings: ProcessSettings) -> Result<Self, StartError> {
        todo!()
    }

    /// Waits for its end.
    pub async fn exited(&mut self) -> ExitStatus {
        todo!()
    }

    /// Asks it to stop (SIGTERM to its group) and kills the group at the end of `within`.
    pub async fn stop(&mut self, _within: Duration) -> Option<ExitStatus> {
        todo!()
    }
}
