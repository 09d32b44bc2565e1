use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{Arc, LazyLock},
    time::Duration,
};

use domain::{
    secret::SecretString,
    time::{Clock, Timestamp},
};
use jose::signing::{SigningAlgorithm, SigningKeys};
use proptest::prelude::*;
use serde_json::{Value, json};
use store::embedded::EmbeddedStore;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Answers, AskError, ControlSocket, SOCKET, Status, answer, ask, ask_status, status_command,
};
use crate::{
    cli::StatusArguments,
    clock::SharedClock,
    config::Lives,
    env::Environment,
    seams::Seams,
    signing_keys::{KeyKeeper, Source},
    system::SystemClock,
};

fn status() -> Status {
    Status::of_this_process(
        "http://localhost:3001",
        vec!["http://localhost:3001/mcp".to_owned()],
        Timestamp::from_unix(1_000),
    )
}

/// Keys that are configured: nothing is written anywhere.
fn answers() -> Answers {
    let key = SigningKeys::generate(SigningAlgorithm::Ed25519).unwrap();
    let keys = SecretString::new(format!("[{}]", key.expose()));
    let lives = Lives {
        access: Duration::from_secs(3_600),
        refresh_idle: Duration::from_secs(86_400),
        grant: Duration::from_secs(86_400),
        refresh_window: Duration::from_secs(3_600),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Answers {
        status: status(),
        keys: Arc::new(KeyKeeper::new(&keys, Source::Configuration, lives, &clock).unwrap()),
        store: Arc::clone(&STORE.1),
    }
}

/// The file of a store, and the store, for all that a test asks.
static STORE: LazyLock<(TempDir, Arc<EmbeddedStore>)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let store = EmbeddedStore::open(&file, Arc::new(SystemClock)).unwrap();
    (directory, Arc::new(store))
});

struct Setup {
    directory: TempDir,
    closing: CancellationToken,
    serving: JoinHandle<()>,
}

impl Setup {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = ControlSocket::open(directory.path(), answers())
            .await
            .unwrap();
        let closing = CancellationToken::new();
        let serving = tokio::spawn(socket.serve(closing.clone()));
        Self {
            directory,
            closing,
            serving,
        }
    }

    async fn say(&self, text: &[u8]) -> String {
        let path = self.directory.path().join(SOCKET);
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(text).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn a_second_process_learns_the_status() {
    let setup = Setup::new().await;
    let told = ask_status(setup.directory.path()).await.unwrap();
    assert_eq!(told, status());
    let text = told.render(Timestamp::from_unix(1_005));
    assert!(
        text.contains("MCP URL  http://localhost:3001/mcp\n"),
        "{text}"
    );
    assert!(text.contains("up       5 s\n"), "{text}");
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_proxy() {
    let setup = Setup::new().await;
    let path = setup.directory.path().join(SOCKET);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    setup.closing.cancel();
    setup.serving.await.unwrap();
    assert!(!path.exists());
    let error = ask_status(setup.directory.path()).await.unwrap_err();
    assert!(matches!(error, AskError::NotRunning { .. }), "{error}");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(directory.path().join(SOCKET)).unwrap());
    let error = ask_status(directory.path()).await.unwrap_err();
    assert!(matches!(error, AskError::NotRunning { .. }), "{error}");

    let socket = ControlSocket::open(directory.path(), answers())
        .await
        .unwrap();
    let serving = tokio::spawn(socket.serve(CancellationToken::new()));
    assert!(ask_status(directory.path()).await.is_ok());
    let error = ControlSocket::open(directory.path(), answers())
        .await
        .unwrap_err();
    let pid = std::process::id().to_string();
    assert!(error.to_string().contains(&pid), "{error}");
    assert!(ask_status(directory.path()).await.is_ok());
    serving.abort();
}

#[tokio::test]
async fn the_command_needs_the_data_directory_alone() {
    let setup = Setup::new().await;
    let directory = setup.directory.path().to_str().unwrap();
    let environment = Environment::of([("MCP_AUTH_PROXY_DATA_DIR", directory)]);
    let clock = SharedClock::new(|| Duration::from_secs(1_060));
    let seams = Seams {
        clock: Arc::new(clock),
        ..Seams::real()
    };
    let mut arguments = StatusArguments::default();
    let text = status_command(&arguments, &environment, &seams)
        .await
        .unwrap();
    assert!(text.contains("up       1 min 0 s\n"), "{text}");

    arguments.json = true;
    let text = status_command(&arguments, &environment, &seams)
        .await
        .unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["mcp_urls"][0], "http://localhost:3001/mcp");

    let elsewhere = environment.with("MCP_AUTH_PROXY_DATA_DIR", "/nowhere");
    let error = status_command(&arguments, &elsewhere, &seams)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("MCP_AUTH_PROXY_DATA_DIR"),
        "{error}"
    );
}

#[tokio::test]
async fn a_refusal_arrives_in_its_own_words() {
    let setup = Setup::new().await;
    let arguments = json!({ "wait_seconds": 0 });
    let asked = ask::<Value>(setup.directory.path(), "rotate-keys", arguments);
    match asked.await.unwrap_err() {
        AskError::Refused(message) => assert!(message.contains("OIDC_PROVIDER_JWKS"), "{message}"),
        other => panic!("{other}"),
    }
    let keys: Value = ask(setup.directory.path(), "keys", Value::Null)
        .await
        .unwrap();
    assert_eq!(keys["source"], "configuration");
    assert_eq!(keys["keys"][0]["state"], "signing");
}

#[tokio::test]
async fn several_requests_may_follow_each_other() {
    let setup = Setup::new().await;
    let request = b"{\"version\":1,\"request\":\"status\"}\n";
    let text = setup.say(&[&request[..], request].concat()).await;
    assert_eq!(text.lines().count(), 2);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["version"], 1);
        assert_eq!(line["answer"]["pid"], std::process::id());
    }
}

#[tokio::test]
async fn a_line_without_end_is_not_read_for_ever() {
    let setup = Setup::new().await;
    assert_eq!(setup.say(&[b'x'; 5_000]).await, "");
    assert!(ask_status(setup.directory.path()).await.is_ok());
}

fn code_of(request: &str) -> Value {
    let line = answer(request.as_bytes(), &answers());
    let answer: Value = serde_json::from_slice(&line).unwrap();
    answer["error"]["code"].clone()
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let cases = [
        (
            json!({"version": 2, "request": "status"}),
            "unsupported_version",
        ),
        (json!({"version": 1, "request": "dance"}), "unknown_request"),
        (json!({"request": "status"}), "invalid_request"),
        (json!([]), "invalid_request"),
        (
            json!({"version": 1, "request": "backup"}),
            "invalid_request",
        ),
        (
            json!({"version": 1, "request": "rotate-keys"}),
            "invalid_request",
        ),
        (
            json!({"version": 1, "request": "rotate-keys", "arguments": {"wait_seconds": 0}}),
            "refused",
        ),
    ];
    for (request, code) in cases {
        assert_eq!(code_of(&request.to_string()), code, "{request}");
    }
    assert_eq!(
        code_of(&json!({"version": 1, "request": "status", "new": 1}).to_string()),
        Value::Null
    );
}

proptest! {
    #[test]
    fn every_line_gets_one_line_of_json(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = answer(&bytes, &answers());
        prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        prop_assert!(serde_json::from_slice::<Value>(&line).is_ok());
    }
}
