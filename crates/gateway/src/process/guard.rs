//! The guard: stands between the proxy and the MCP server, and ends the server and all that it
//! started when the proxy has gone, in whatever way.
//!
//! The proxy starts its own binary again with [`ARGUMENT`], the server's environment and working
//! directory, and a socket as standard input. The guard starts the server in a process group of
//! its own, with the guard's standard output and error (the proxy reads both, nothing is copied)
//! and a standard input that stays open and empty: some servers end when theirs closes. Over the
//! socket it takes orders, tells how the server ended, and learns by its end that the proxy has
//! gone.
//!
//! On Linux the guard is a child subreaper: whatever a descendant of the server leaves behind,
//! even in a session of its own, becomes the guard's child and is ended with the rest. Elsewhere
//! what left the server's process group escapes. Both the guard and the proxy would have to be
//! killed in the same instant for the server to survive them; so the guard bears another name
//! than the proxy, for the sake of those who kill by name.

use std::{
    ffi::OsString,
    io,
    os::fd::AsFd as _,
    os::unix::net::UnixStream as StdUnixStream,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{ChildStdin, Command, ExitCode, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

use self::family::Family;
use super::{
    exit_code,
    link::{Order, Report},
};

mod family;

/// First argument of our binary when it is started as the guard.
pub const ARGUMENT: &str = "__guard-mcp-server";

/// The guard's name in lists of processes.
const NAME: &str = "mcp-server-guard";

/// What is left when the server itself has ended gets this long to follow.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// How long killing is repeated, for what starts new processes meanwhile, before giving up.
const KILL_FOR: Duration = Duration::from_secs(2);

/// How often the family is looked at when no signal would tell of its end.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Exit code of a guard that was started by somebody else than the proxy.
const NOT_FOR_PEOPLE: u8 = 64;

/// Exit code of a guard that had to leave something behind, such as another user's process.
const CANNOT_KILL: u8 = 70;

/// How the guard is started.
#[derive(Clone, Debug)]
pub(super) struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// Becomes the guard if this process was started as one, and returns its exit code at the end.
/// To be called first of all in `main`, before a runtime or a thread exists.
pub fn enter_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == ARGUMENT).then(|| run(arguments))
}

/// Guards the server that the arguments name: the grace in milliseconds, the program, its
/// arguments.
pub(super) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let grace = arguments
        .next()
        .and_then(|text| text.to_str()?.parse().ok())
        .map(Duration::from_millis);
    let (Some(grace), Some(program)) = (grace, arguments.next()) else {
        return ExitCode::from(NOT_FOR_PEOPLE);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    // Names are a courtesy; where there is no such file the guard keeps the binary's.
    _ = std::fs::write("/proc/self/comm", NAME);

    let code = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(guard(command, grace)));
    ExitCode::from(code.unwrap_or(NOT_FOR_PEOPLE))
}

// === impl Launcher ===

impl Launcher {
    /// Starts the binary that runs now, even if its file was replaced meanwhile.
    pub(super) fn own_binary() -> io::Result<Self> {
        let itself = PathBuf::from("/proc/self/exe");
        let program = if itself.exists() {
            itself
        } else {
            std::env::current_exe()?
        };
        Ok(Self {
            program,
            arguments: Vec::new(),
        })
    }

    /// With arguments before ours, by which a test binary finds the guard in itself.
    #[cfg(test)]
    pub(super) fn with_arguments(mut self, arguments: Vec<OsString>) -> Self {
        self.arguments = arguments;
        self
    }

    /// The command that guards the server made of `words`.
    pub(super) fn command(&self, grace: Duration, words: &[OsString]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .arg0(NAME)
            .args(&self.arguments)
            .arg(ARGUMENT)
            .arg(grace.as_millis().to_string())
            .args(words)
            // What a terminal sends to the proxy's group is for the proxy to pass on.
            .process_group(0);
        command
    }
}

/// How far the end of the server has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Running,
    /// SIGTERM was sent; at the deadline, if there is one, follows SIGKILL.
    Ending(Option<Instant>),
    /// SIGKILL is sent again and again until the deadline.
    Killing(Instant),
}

struct Guard {
    family: Family,
    stage: Stage,
    grace: Duration,
    children: SignalStream,
    orders: Option<Lines<BufReader<OwnedReadHalf>>>,
    reports: OwnedWriteHalf,
}

/// What woke the guard.
enum Event {
    Order(Option<Order>),
    Deadline,
    Look,
}

async fn guard(command: Command, grace: Duration) -> io::Result<u8> {
    // Some platforms signal every process of a container. When the server has to go is for the
    // proxy to say: it may still be finishing requests that need it.
    let _ignored = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let children = signal(SignalKind::child())?;
    let (orders, mut reports) = proxy()?.into_split();

    let (family, _stdin) = match start(command) {
        Ok(started) => started,
        Err(reason) => {
            report(&mut reports, &Report::Failed(reason)).await;
            return Ok(NOT_FOR_PEOPLE);
        }
    };
    report(&mut reports, &Report::Started(family.leader())).await;

    let guard = Guard {
        family,
        stage: Stage::Running,
        grace,
        children,
        orders: Some(BufReader::new(orders).lines()),
        reports,
    };
    Ok(guard.run().await)
}

/// The socket that the proxy gave as standard input.
fn proxy() -> io::Result<UnixStream> {
    let stream = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn start(mut command: Command) -> Result<(Family, Option<ChildStdin>), String> {
    family::adopt_orphans();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("there is no program `{program}` (looked for by PATH)")
            }
            _ => format!("`{program}` does not start: {error}"),
        })?;
    let stdin = child.stdin.take();
    let family = Family::new(child.id()).ok_or("its process id cannot be used")?;
    Ok((family, stdin))
}

async fn report(reports: &mut OwnedWriteHalf, report: &Report) {
    // A proxy that has gone needs no report.
    _ = reports.write_all(report.line().as_bytes()).await;
}

// === impl Guard ===

impl Guard {
    /// Returns the exit code when nothing of the server is left, or what is left cannot be killed.
    async fn run(mut self) -> u8 {
        let mut is_told = false;
        loop {
            let is_gone = self.family.is_gone();
            if let Some(status) = self.family.status() {
                if !is_told {
                    is_told = true;
                    report(&mut self.reports, &Report::Exited(status)).await;
                }
                if is_gone {
                    report(&mut self.reports, &Report::Gone).await;
                    return exit_code(status);
                }
                if matches!(self.stage, Stage::Running) {
                    self.terminate(Some(LEFTOVER_GRACE));
                }
            }
            match self.event().await {
                Event::Order(Some(Order::Terminate)) => self.terminate(None),
                Event::Order(None) => {
                    self.orders = None;
                    self.terminate(Some(self.grace));
                }
                Event::Deadline if matches!(self.stage, Stage::Killing(_)) => return CANNOT_KILL,
                Event::Order(Some(Order::Kill)) | Event::Deadline => self.kill(),
                Event::Look => {
                    if matches!(self.stage, Stage::Killing(_)) {
                        self.family.kill_all();
                    }
                }
            }
        }
    }

    async fn event(&mut self) -> Event {
        let deadline = match self.stage {
            Stage::Running | Stage::Ending(None) => None,
            Stage::Ending(Some(deadline)) | Stage::Killing(deadline) => Some(deadline),
        };
        // Grandchildren end without a signal to us where we cannot adopt them.
        let looks = self.family.status().is_some() || matches!(self.stage, Stage::Killing(_));
        tokio::select! {
            order = next_order(&mut self.orders) => Event::Order(order),
            () = until(deadline) => Event::Deadline,
            _ = self.children.recv() => Event::Look,
            () = sleep(LOOK_EVERY), if looks => Event::Look,
        }
    }

    /// SIGTERM, once; with a grace, SIGKILL follows (the earlier of two deadlines counts).
    fn terminate(&mut self, grace: Option<Duration>) {
        let deadline = grace.map(|grace| Instant::now() + grace);
        self.stage = match self.stage {
            Stage::Running => {
                self.family.terminate();
                Stage::Ending(deadline)
            }
            Stage::Ending(earlier) => Stage::Ending(match (earlier, deadline) {
                (Some(earlier), Some(deadline)) => Some(earlier.min(deadline)),
                (earlier, deadline) => earlier.or(deadline),
            }),
            Stage::Killing(deadline) => Stage::Killing(deadline),
        };
    }

    fn kill(&mut self) {
        self.family.kill_all();
        if !matches!(self.stage, Stage::Killing(_)) {
            self.stage = Stage::Killing(Instant::now() + KILL_FOR);
        }
    }
}

/// The next order; `None` when the proxy has gone. An unknown word comes from a proxy of another
/// version, which cannot be: it is taken for the end.
async fn next_order(orders: &mut Option<Lines<BufReader<OwnedReadHalf>>>) -> Option<Order> {
    let Some(lines) = orders else {
        return std::future::pending().await;
    };
    let line = lines.next_line().await.ok()??;
    Order::parse(&line)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
