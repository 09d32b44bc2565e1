//! The control socket in the data directory: how other commands reach the running proxy that
//! holds the embedded store.
//!
//! One JSON object a line, both ways, each with the protocol's version: `{"version":1,
//! "request":"status"}` (with `arguments` where a request takes some) is answered by `{"version":1,"answer":{…}}` or `{"version":1,
//! "error":{"code":"…","message":"…"}}`. Members that a side does not know are ignored.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::embedded::EmbeddedStore;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::StatusArguments,
    config::{self, RedisConfig, StoreConfig},
    env::Environment,
    memory,
    seams::Seams,
    signing_keys::KeyKeeper,
};

mod shared_status;
mod status;

use shared_status::SharedStatus;
pub(crate) use status::{Status, span};

/// Version of the protocol.
const VERSION: u32 = 1;

const SOCKET: &str = "control.sock";

/// Where the socket is made before it takes its name.
const UNFINISHED: &str = "control.sock.new";

/// Longest request, in bytes.
const LONGEST_REQUEST: u64 = 4 * 1024;

/// Longest answer that a client reads, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// How long either side waits for the other's line.
const LINE_WITHIN: Duration = Duration::from_secs(5);

/// How long a client waits for an answer. An RSA key takes its time on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Connections served at once; more wait.
const MAX_CONNECTIONS: usize = 16;

/// Our end of the socket. Removed from the directory when dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    answers: Answers,
}

/// Who answers what.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// `status`.
    pub(crate) status: Status,
    /// `keys` and `rotate-keys`.
    pub(crate) keys: Arc<KeyKeeper>,
    /// `backup`.
    pub(crate) store: Arc<EmbeddedStore>,
}

/// The arguments of `backup`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackupRequest {
    /// The file to make, from the root: the proxy's working directory is another one.
    pub(crate) to: PathBuf,
}

/// Why a running proxy could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody listens.
    #[error(
        "no proxy runs on the data directory {directory}; if it runs with another one, set \
         MCP_AUTH_PROXY_DATA_DIR to that"
    )]
    NotRunning {
        /// The data directory.
        directory: PathBuf,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// The socket cannot be used.
    #[error("the running proxy cannot be asked at {path}: {reason}")]
    Failed {
        /// The socket.
        path: PathBuf,
        /// What stood against it.
        reason: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    version: u32,
    #[serde(rename = "request")]
    name: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    arguments: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Response<A> {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<A>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

/// `mcp-auth-proxy status`: asks the proxy that runs on the configured data directory how it is, or a
/// store that machines share who they are, and returns what to print.
///
/// # Errors
/// If there is none, or the data directory cannot be made out.
pub(crate) async fn status_command(
    arguments: &StatusArguments,
    environment: &Environment,
    seams: &Seams,
) -> Result<String> {
    let directory = match config::load_store(&arguments.flags, environment)? {
        StoreConfig::Embedded { directory } => directory,
        StoreConfig::Redis(redis) => {
            return shared_status(arguments, environment, &redis, seams).await;
        }
    };
    let status = ask_status(&directory).await?;
    if arguments.json {
        return Ok(format!("{}\n", serde_json::to_string(&status)?));
    }
    Ok(status.render(seams.clock.now()))
}

/// Which proxies share a server.
async fn shared_status(
    arguments: &StatusArguments,
    environment: &Environment,
    redis: &RedisConfig,
    seams: &Seams,
) -> Result<String> {
    let (config, _) = config::load(&arguments.flags, environment)?;
    let store = memory::connect(&config, redis, seams).await?;
    let status = SharedStatus::ask(&store).await?;
    if arguments.json {
        return Ok(format!("{}\n", serde_json::to_string(&status)?));
    }
    Ok(status.render())
}

/// Asks the proxy that runs on a data directory how it is.
///
/// # Errors
/// If none runs there, or it does not answer.
pub(crate) async fn ask_status(directory: &Path) -> Result<Status, AskError> {
    ask(directory, "status", Value::Null).await
}

/// Asks the proxy that runs on a data directory something that is soon done.
///
/// # Errors
/// As for [`ask_within`].
pub(crate) async fn ask<A>(directory: &Path, request: &str, arguments: Value) -> Result<A, AskError>
where
    A: for<'text> Deserialize<'text>,
{
    ask_within(ANSWER_WITHIN, directory, request, arguments).await
}

/// Asks the proxy that runs on a data directory something.
///
/// # Errors
/// If none runs there, it does not answer `within` that time, or refuses.
pub(crate) async fn ask_within<A>(
    within: Duration,
    directory: &Path,
    request: &str,
    arguments: Value,
) -> Result<A, AskError>
where
    A: for<'text> Deserialize<'text>,
{
    let path = directory.join(SOCKET);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if is_absence(&error) => {
            return Err(AskError::NotRunning {
                directory: directory.to_owned(),
            });
        }
        Err(error) => {
            let reason = error.to_string();
            return Err(AskError::Failed { path, reason });
        }
    };
    let request = Request {
        version: VERSION,
        name: request.to_owned(),
        arguments,
    };
    match timeout(within, converse_with(stream, &request)).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(refusal))) => Err(AskError::Refused(refusal.message)),
        Ok(Err(reason)) => Err(AskError::Failed { path, reason }),
        Err(_) => Err(AskError::Failed {
            path,
            reason: "it did not answer in time".to_owned(),
        }),
    }
}

async fn converse_with<A>(
    mut stream: UnixStream,
    request: &Request,
) -> Result<Result<A, Refusal>, String>
where
    A: for<'text> Deserialize<'text>,
{
    let line = json_line(request);
    stream
        .write_all(&line)
        .await
        .map_err(|error| error.to_string())?;
    let line = read_line(&mut BufReader::new(stream), LONGEST_ANSWER)
        .await
        .map_err(|error| error.to_string())?
        .ok_or("it hung up")?;
    let response: Response<A> = serde_json::from_slice(&line)
        .map_err(|error| format!("it answered something else: {error}"))?;
    match response {
        Response {
            answer: Some(answer),
            ..
        } => Ok(Ok(answer)),
        Response {
            error: Some(refusal),
            ..
        } => Ok(Err(refusal)),
        _ => Err("it answered nothing".to_owned()),
    }
}

// === impl ControlSocket ===

impl ControlSocket {
    /// Makes the socket in the data directory, in place of one that a killed process left. To be
    /// called by the process that holds the directory's store.
    ///
    /// # Errors
    /// If another process answers there, or the socket cannot be made.
    pub(crate) async fn open(directory: &Path, answers: Answers) -> Result<Self> {
        let path = directory.join(SOCKET);
        if let Ok(running) = ask_status(directory).await {
            anyhow::bail!(
                "another proxy (process id {}) answers at {}",
                running.pid,
                path.display()
            );
        }
        let listener = Self::bind(directory, &path).with_context(|| {
            format!(
                "the control socket {} cannot be made (a path may have about 100 bytes)",
                path.display()
            )
        })?;
        Ok(Self {
            listener,
            path,
            answers,
        })
    }

    /// Takes its name only once it is closed to others; the name goes over a stale one at once.
    fn bind(directory: &Path, path: &Path) -> io::Result<UnixListener> {
        let unfinished = directory.join(UNFINISHED);
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&unfinished)?;
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
        fs::rename(&unfinished, path)?;
        Ok(listener)
    }

    /// Answers until `closing`.
    pub(crate) async fn serve(self, closing: CancellationToken) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = closing.cancelled() => return,
                Some(_) = connections.join_next() => continue,
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Most often no file descriptor is left: a pause, so as not to spin on it.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            connections.spawn(converse(stream, self.answers.clone()));
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.path);
    }
}

/// Answers one connection's requests until it closes, errs or is silent.
async fn converse(stream: UnixStream, answers: Answers) {
    if !is_ours(&stream) {
        return;
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Ok(Ok(Some(line))) =
        timeout(LINE_WITHIN, read_line(&mut reader, LONGEST_REQUEST)).await
    {
        let answers = answers.clone();
        // Keys are made and files are written there.
        let Ok(answer) = spawn_blocking(move || answer(&line, &answers)).await else {
            return;
        };
        if !matches!(
            timeout(LINE_WITHIN, writer.write_all(&answer)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}

/// The mode of the socket says the same, but not every system heeds it.
fn is_ours(stream: &UnixStream) -> bool {
    let us = geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == us || peer.uid() == 0)
}

fn answer(line: &[u8], answers: &Answers) -> Vec<u8> {
    match serde_json::from_slice::<Request>(line) {
        Err(_) => refuse("invalid_request", "this is no request".to_owned()),
        Ok(request) if request.version != VERSION => refuse(
            "unsupported_version",
            format!("the running proxy speaks version {VERSION} of this protocol"),
        ),
        Ok(request) => match request.name.as_str() {
            "status" => tell(&answers.status),
            "keys" => tell(&answers.keys.list()),
            "rotate-keys" => match serde_json::from_value(request.arguments) {
                Err(_) => refuse("invalid_request", "this is no rotation".to_owned()),
                Ok(rotation) => match answers.keys.rotate(&rotation) {
                    Ok(keys) => tell(&keys),
                    Err(error) => refuse("refused", format!("{error:#}")),
                },
            },
            "backup" => match serde_json::from_value(request.arguments) {
                Err(_) => refuse("invalid_request", "this is no backup".to_owned()),
                Ok(BackupRequest { to }) => match answers.store.backup(&to) {
                    Ok(backup) => tell(&backup),
                    Err(error) => refuse("refused", error.to_string()),
                },
            },
            _ => refuse(
                "unknown_request",
                "the running proxy does not know this request; it may be of another release"
                    .to_owned(),
            ),
        },
    }
}

fn tell(answer: &impl Serialize) -> Vec<u8> {
    json_line(&Response {
        version: VERSION,
        answer: Some(answer),
        error: None,
    })
}

fn refuse(code: &str, message: String) -> Vec<u8> {
    json_line(&Response::<()> {
        version: VERSION,
        answer: None,
        error: Some(Refusal {
            code: code.to_owned(),
            message,
        }),
    })
}

/// The next line without its end; `None` when the other side has hung up. A longer one than
/// `longest` is an error.
async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    longest: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(longest).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a line was too long, or cut",
        ));
    }
    Ok(Some(line))
}

fn json_line(value: &impl Serialize) -> Vec<u8> {
    // These types have string keys only, so they cannot fail; an empty line is refused over there.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;
