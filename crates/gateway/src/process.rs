//! The MCP server as a sub-process: started, watched, stopped, never left behind.
//!
//! Between the proxy and the MCP server stands a guard: our own binary, started anew with
//! [`guard::ARGUMENT`]. It holds one end of a socket whose other end is the proxy's, so it learns
//! of the proxy's end in whatever way that came (`kill -9` too), and then ends the server and
//! everything that the server started. See [`guard`] for its side; this is the proxy's.

use std::{
    ffi::OsString,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdUnixStream, process::ExitStatusExt as _},
    },
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Child,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::{
    link::{Order, Report},
    output::Channel,
};
use crate::readiness;

pub mod guard;

mod link;
mod output;

#[cfg(test)]
mod tests;

/// What the MCP server gets to end by itself when the proxy has gone without a word.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);

/// What the guard gets to report the end of everything that it has killed.
const KILLED_WITHIN: Duration = Duration::from_secs(3);

/// How long the last output is waited for when everything has ended. Something that escaped may
/// hold the pipe open for ever.
const LAST_OUTPUT_WITHIN: Duration = Duration::from_millis(500);

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
#[derive(Clone)]
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

/// A running MCP server. Dropping it ends the server as if the proxy had gone.
#[derive(Debug)]
pub struct McpServerProcess {
    orders: OwnedWriteHalf,
    life: watch::Receiver<Life>,
    /// Ends the guard itself, when it does not do what it is told.
    give_up: CancellationToken,
}

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

/// What is known of the server.
#[derive(Clone, Debug)]
enum Life {
    Starting,
    Running,
    /// It could not be started.
    Failed(String),
    /// The server itself has ended; what it had started is being ended.
    Ending,
    /// Nothing is left.
    Ended(ExitStatus),
}

/// The exit code that passes a status on: the code itself, or 128 + n after signal n, as shells
/// have it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

// === impl ProcessSettings ===

/// Without arguments and environment: either may hold secrets.
impl std::fmt::Debug for ProcessSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ProcessSettings")
            .field("directory", &self.directory)
            .field("url", &self.url.as_str())
            .field("ready_within", &self.ready_within)
            .finish_non_exhaustive()
    }
}

// === impl Command ===

impl Command {
    fn words(&self) -> Vec<OsString> {
        match self {
            Self::Shell(line) => vec!["sh".into(), "-c".into(), line.into()],
            Self::Program { program, arguments } => std::iter::once(program)
                .chain(arguments)
                .map(OsString::from)
                .collect(),
        }
    }
}

// === impl McpServerProcess ===

impl McpServerProcess {
    /// Starts the server in a process group of its own and waits until it accepts connections.
    /// Its output goes to the log. Must be called within a Tokio runtime; `main` must call
    /// [`guard::enter_if_asked`] first of all.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(settings: ProcessSettings) -> Result<Self, StartError> {
        let launcher = guard::Launcher::own_binary().map_err(|error| {
            StartError::Spawn(format!("our own binary cannot be found: {error}"))
        })?;
        Self::start_by(&launcher, ORPHAN_GRACE, settings).await
    }

    async fn start_by(
        launcher: &guard::Launcher,
        orphan_grace: Duration,
        settings: ProcessSettings,
    ) -> Result<Self, StartError> {
        if let Some(directory) = &settings.directory
            && !directory.is_dir()
        {
            return Err(StartError::Spawn(format!(
                "its working directory `{}` is not a directory (MCP_SERVER_RUN_DIR)",
                directory.display()
            )));
        }
        if readiness::accepts(&settings.url).await {
            tracing::warn!(
                server.url = %settings.url,
                "something accepts connections at the MCP server's URL before it was started; \
                 if that is another program, stop it or choose another port in MCP_SERVER_URL"
            );
        }
        let mut process = Self::spawn(launcher, orphan_grace, &settings)
            .map_err(|error| StartError::Spawn(error.to_string()))?;
        process.until_ready(settings).await?;
        Ok(process)
    }

    fn spawn(
        launcher: &guard::Launcher,
        orphan_grace: Duration,
        settings: &ProcessSettings,
    ) -> std::io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (reports, orders) = UnixStream::from_std(ours)?.into_split();

        let mut command = launcher.command(orphan_grace, &settings.command.words());
        command
            .env_clear()
            .envs(settings.environment.iter().cloned())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = &settings.directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn()?;
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(tokio::spawn(output::log(Channel::Stdout, stdout)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(tokio::spawn(output::log(Channel::Stderr, stderr)));
        }

        let (sender, life) = watch::channel(Life::Starting);
        let give_up = CancellationToken::new();
        tokio::spawn(watch_guard(
            child,
            reports,
            readers,
            sender,
            give_up.clone(),
        ));
        Ok(Self {
            orders,
            life,
            give_up,
        })
    }

    async fn until_ready(&mut self, settings: ProcessSettings) -> Result<(), StartError> {
        let ProcessSettings {
            url, ready_within, ..
        } = settings;
        let ready = async {
            self.wait_until(|life| !matches!(life, Life::Starting))
                .await;
            readiness::until_accepts(&url).await;
        };
        let in_time = tokio::select! {
            biased;
            _ = self.wait_until(Life::is_ending) => true,
            result = timeout(ready_within, ready) => result.is_ok(),
        };
        if !in_time {
            self.kill().await;
            let within = ready_within;
            return Err(StartError::NotReady { url, within });
        }
        // What accepted may be another program, and ours have ended over it.
        if !self.life.borrow().is_ending() {
            return Ok(());
        }
        match self.wait_until(Life::is_over).await {
            Life::Failed(reason) => Err(StartError::Spawn(reason)),
            Life::Ended(status) => Err(StartError::Ended { url, status }),
            Life::Starting | Life::Running | Life::Ending => Ok(()),
        }
    }

    /// Waits until it has ended and nothing is left of what it started. May be dropped and called
    /// again.
    pub async fn exited(&mut self) -> ExitStatus {
        match self.wait_until(Life::is_over).await {
            Life::Ended(status) => status,
            // Not reached: a server that failed to start is never handed out.
            Life::Starting | Life::Running | Life::Failed(_) | Life::Ending => {
                ExitStatus::from_raw(1 << 8)
            }
        }
    }

    /// Asks it to stop (SIGTERM to its group), waits for all that it started, and kills what is
    /// left at the end of `within`. `None` if even that did not end it.
    pub async fn stop(&mut self, within: Duration) -> Option<ExitStatus> {
        self.send(Order::Terminate).await;
        if let Ok(status) = timeout(within, self.exited()).await {
            return Some(status);
        }
        tracing::warn!(
            seconds = within.as_secs(),
            "the MCP server did not stop in time and is killed"
        );
        self.kill().await
    }

    async fn kill(&mut self) -> Option<ExitStatus> {
        self.send(Order::Kill).await;
        if let Ok(status) = timeout(KILLED_WITHIN, self.exited()).await {
            return Some(status);
        }
        self.give_up.cancel();
        timeout(KILLED_WITHIN, self.exited()).await.ok()
    }

    async fn send(&mut self, order: Order) {
        // A guard that has gone needs no order; its end is seen by the watching task.
        _ = self.orders.write_all(order.line().as_bytes()).await;
    }

    async fn wait_until(&self, reached: impl Fn(&Life) -> bool) -> Life {
        wait_until(&mut self.life.clone(), reached).await
    }
}

// === impl Life ===

impl Life {
    fn is_over(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Ended(_))
    }

    fn is_ending(&self) -> bool {
        matches!(self, Self::Ending) || self.is_over()
    }
}

async fn wait_until(life: &mut watch::Receiver<Life>, reached: impl Fn(&Life) -> bool) -> Life {
    let found = life.wait_for(|life| reached(life)).await;
    match found.map(|life| life.clone()).ok() {
        Some(life) => life,
        // The watching task went with its runtime: nothing more will be known.
        None => std::future::pending().await,
    }
}

/// Follows the guard to its end and says what is known of the server.
async fn watch_guard(
    mut child: Child,
    reports: OwnedReadHalf,
    readers: Vec<JoinHandle<()>>,
    life: watch::Sender<Life>,
    give_up: CancellationToken,
) {
    let mut told = Told::default();
    tokio::select! {
        () = listen(reports, &life, &mut told) => {}
        () = give_up.cancelled() => {}
    }
    let end = match told {
        Told {
            failure: Some(reason),
            ..
        } => Life::Failed(reason),
        Told {
            status: Some(status),
            is_gone: true,
            ..
        } => Life::Ended(status),
        Told { leader, status, .. } => {
            let guard_status = kill_unguarded(&mut child, leader).await;
            Life::Ended(status.unwrap_or(guard_status))
        }
    };
    _ = child.wait().await;
    for reader in readers {
        _ = timeout(LAST_OUTPUT_WITHIN, reader).await;
    }
    life.send_replace(end);
}

/// What the guard told until it ended.
#[derive(Default)]
struct Told {
    leader: Option<Pid>,
    failure: Option<String>,
    status: Option<ExitStatus>,
    is_gone: bool,
}

async fn listen(reports: OwnedReadHalf, life: &watch::Sender<Life>, told: &mut Told) {
    let mut lines = BufReader::new(reports).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match Report::parse(&line) {
            Some(Report::Started(pid)) => {
                told.leader = Pid::from_raw(pid);
                life.send_replace(Life::Running);
            }
            Some(Report::Failed(reason)) => told.failure = Some(reason),
            Some(Report::Exited(status)) => {
                told.status = Some(status);
                life.send_replace(Life::Ending);
            }
            Some(Report::Gone) => told.is_gone = true,
            None => tracing::warn!("the guard of the MCP server sent an unknown report"),
        }
    }
}

/// The guard itself was killed, or hangs: ends it, and the server's group in its place.
async fn kill_unguarded(child: &mut Child, leader: Option<Pid>) -> ExitStatus {
    tracing::error!("the guard of the MCP server has gone; the MCP server is killed");
    if let Some(leader) = leader {
        _ = kill_process_group(leader, Signal::KILL);
    }
    _ = child.start_kill();
    child
        .wait()
        .await
        .unwrap_or_else(|_| ExitStatus::from_raw(Signal::KILL.as_raw()))
}
