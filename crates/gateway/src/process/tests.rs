//! The guard is our own binary started anew, so here it is this test binary: `guard_entry` and
//! `proxy_entry` are not tests but what the others start.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::{Command, McpServerProcess, ProcessSettings, StartError, exit_code, guard};

const SOON: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_millis(300);

/// A server that listens nowhere itself: the test does at `url`, so that it counts as ready.
struct Setup {
    directory: TempDir,
    listener: Option<TcpListener>,
    url: Url,
}

impl Setup {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self {
            directory: tempfile::tempdir().unwrap(),
            listener: Some(listener),
            url: Url::parse(&format!("http://localhost:{port}/mcp")).unwrap(),
        }
    }

    fn closed() -> Self {
        let mut setup = Self::new();
        setup.listener = None;
        setup
    }

    fn settings(&self, script: &str) -> ProcessSettings {
        settings(self.directory.path(), &self.url, script)
    }

    async fn start(&self, script: &str) -> Result<McpServerProcess, StartError> {
        start(self.settings(script)).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Waits until the script has written `count` lines into its file `pids`.
    async fn pids(&self, count: usize) -> Vec<Pid> {
        let path = self.file("pids");
        let text = eventually(|| {
            let text = fs::read_to_string(&path).ok()?;
            (text.lines().count() >= count).then_some(text)
        })
        .await;
        text.lines()
            .map(|line| Pid::from_raw(line.parse().unwrap()).unwrap())
            .collect()
    }
}

fn settings(directory: &Path, url: &Url, script: &str) -> ProcessSettings {
    ProcessSettings {
        command: Command::Shell(script.to_owned()),
        directory: Some(directory.to_owned()),
        environment: std::env::vars_os()
            .chain([("FROM_SETTINGS".into(), "a value".into())])
            .collect(),
        url: url.clone(),
        ready_within: SOON,
    }
}

fn launcher() -> guard::Launcher {
    guard::Launcher::own_binary()
        .unwrap()
        .with_arguments(entry("process::tests::guard_entry"))
}

fn entry(name: &str) -> Vec<std::ffi::OsString> {
    // What stands behind `--` are further filters to the test runner, which match nothing.
    ["--exact", "--ignored", "--nocapture", "--", name]
        .map(Into::into)
        .to_vec()
}

async fn start(settings: ProcessSettings) -> Result<McpServerProcess, StartError> {
    McpServerProcess::start_by(&launcher(), GRACE, settings).await
}

async fn eventually<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn all_gone(pids: &[Pid]) {
    for pid in pids {
        eventually(|| test_kill_process(*pid).is_err().then_some(())).await;
    }
}

fn any_alive(pids: &[Pid]) -> bool {
    pids.iter().any(|pid| test_kill_process(*pid).is_ok())
}

/// Grandchildren in the server's group and, where the system can tell, in a session of their own;
/// all refuse SIGTERM.
fn family_script() -> &'static str {
    if cfg!(target_os = "linux") {
        "trap '' TERM
         sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 300 & echo $! >> pids; wait' &
         setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 300 & echo $! >> pids; wait; wait' &
         echo $$ >> pids
         wait; wait; wait"
    } else {
        "trap '' TERM
         sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 300 & echo $! >> pids; wait' &
         echo $$ >> pids; sleep 300 & echo $! >> pids; echo $$ >> pids
         wait; wait; wait"
    }
}

#[test]
#[ignore = "started by the others: the guard"]
fn guard_entry() {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != guard::ARGUMENT);
    if arguments.next().is_some() {
        // The process' code is not looked at here; `ExitCode` cannot be passed to `exit`.
        _ = guard::run(arguments);
        std::process::exit(0);
    }
}

#[tokio::test]
#[ignore = "started by the others: a proxy to be killed"]
async fn proxy_entry() {
    let mut arguments = std::env::args().skip_while(|argument| argument != "proxy");
    if arguments.next().is_none() {
        return;
    }
    let directory = PathBuf::from(arguments.next().unwrap());
    let url = Url::parse(&arguments.next().unwrap()).unwrap();
    let mut process = start(settings(&directory, &url, family_script()))
        .await
        .unwrap();
    process.exited().await;
}

fn proxy(setup: &Setup) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(entry("process::tests::proxy_entry"))
        .arg("proxy")
        .arg(setup.directory.path())
        .arg(setup.url.as_str())
        .spawn()
        .unwrap()
}

fn pid_of(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// The parent of a process, by ps(1): the guard, for a server.
fn parent_of(pid: Pid) -> Pid {
    let output = std::process::Command::new("ps")
        .args(["-o", "ppid=", "-p", &pid.as_raw_nonzero().to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

#[tokio::test]
async fn nothing_is_left_when_the_proxy_is_killed() {
    let setup = Setup::new();
    let mut proxy = proxy(&setup);
    let pids = setup.pids(5).await;
    kill_process(pid_of(&proxy), Signal::KILL).unwrap();
    proxy.wait().unwrap();
    all_gone(&pids).await;
}

#[tokio::test]
async fn nothing_of_the_group_is_left_when_the_guard_is_killed() {
    let setup = Setup::new();
    let script = "sleep 300 & echo $! >> pids; echo $$ >> pids; wait";
    let mut process = setup.start(script).await.unwrap();
    let pids = setup.pids(2).await;
    let guard = parent_of(pids[1]);
    kill_process(guard, Signal::KILL).unwrap();
    let status = timeout(SOON, process.exited()).await.unwrap();
    assert_eq!(status.signal(), Some(9));
    all_gone(&pids).await;
}

#[tokio::test]
async fn dropping_ends_everything() {
    let setup = Setup::new();
    let process = setup.start(family_script()).await.unwrap();
    let pids = setup.pids(5).await;
    drop(process);
    all_gone(&pids).await;
}

#[tokio::test]
async fn stop_asks_the_group_and_passes_the_exit_code_on() {
    let setup = Setup::new();
    let script = "trap 'echo asked > asked; exit 7' TERM; echo $$ >> pids; \
                  while :; do sleep 0.05; done";
    let mut process = setup.start(script).await.unwrap();
    setup.pids(1).await;
    let status = process.stop(SOON).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(exit_code(status), 7);
    assert_eq!(fs::read_to_string(setup.file("asked")).unwrap(), "asked\n");
}

#[tokio::test]
async fn stop_waits_for_a_server_whose_shell_goes_first() {
    let setup = Setup::new();
    let script = "sh -c 'trap \"sleep 0.3; echo done > done; exit\" TERM; echo $$ >> pids; \
                  while :; do sleep 0.05; done' & \
                  wait";
    let mut process = setup.start(script).await.unwrap();
    setup.pids(1).await;
    let status = process.stop(SOON).await.unwrap();
    assert_eq!(status.signal(), Some(15));
    assert_eq!(fs::read_to_string(setup.file("done")).unwrap(), "done\n");
}

#[tokio::test]
async fn stop_kills_what_does_not_listen() {
    let setup = Setup::new();
    let mut process = setup.start(family_script()).await.unwrap();
    let pids = setup.pids(5).await;
    let status = process.stop(Duration::from_millis(100)).await.unwrap();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(exit_code(status), 137);
    assert!(!any_alive(&pids));
}

#[tokio::test]
async fn a_signal_to_the_guard_alone_does_not_reach_the_server() {
    let setup = Setup::new();
    let mut process = setup
        .start("echo $$ >> pids; while :; do sleep 0.05; done")
        .await
        .unwrap();
    let server = setup.pids(1).await[0];
    kill_process(parent_of(server), Signal::TERM).unwrap();
    assert!(
        timeout(Duration::from_millis(300), process.exited())
            .await
            .is_err()
    );
    assert_eq!(process.stop(SOON).await.unwrap().signal(), Some(15));
}

#[tokio::test]
async fn the_end_is_told_with_its_code_or_signal_and_leaves_nothing() {
    let setup = Setup::new();
    let script = "sleep 300 & echo $! >> pids; read -r line < go; exit 42";
    rustix_fifo(&setup.file("go"));
    let mut process = setup.start(script).await.unwrap();
    let pids = setup.pids(1).await;
    assert!(any_alive(&pids));
    fs::write(setup.file("go"), "now\n").unwrap();
    let status = timeout(SOON, process.exited()).await.unwrap();
    assert_eq!(status.code(), Some(42));
    assert!(!any_alive(&pids));

    let mut process = setup
        .start("read -r line < go; kill -HUP $$")
        .await
        .unwrap();
    fs::write(setup.file("go"), "now\n").unwrap();
    let status = timeout(SOON, process.exited()).await.unwrap();
    assert_eq!(exit_code(status), 129);
}

fn rustix_fifo(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status();
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn an_end_before_readiness_is_a_failure_whatever_its_code() {
    let setup = Setup::closed();
    for (script, code) in [("exit 0", 0), ("exit 3", 3)] {
        match setup.start(script).await {
            Err(StartError::Ended { status, .. }) => assert_eq!(status.code(), Some(code)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_goes_to_the_background_has_ended() {
    let setup = Setup::closed();
    let result = setup.start("sleep 300 & echo $! >> pids; exit 0").await;
    assert!(
        matches!(result, Err(StartError::Ended { .. })),
        "{result:?}"
    );
    assert!(!any_alive(&setup.pids(1).await));
}

#[tokio::test]
async fn a_server_that_never_listens_is_ended_and_named() {
    let setup = Setup::closed();
    let mut settings = setup.settings("trap '' TERM; echo $$ >> pids; sleep 300; sleep 300");
    settings.ready_within = Duration::from_millis(500);
    let error = start(settings).await.unwrap_err();
    assert!(matches!(error, StartError::NotReady { .. }), "{error:?}");
    assert!(error.to_string().contains("MCP_SERVER_URL"), "{error}");
    assert!(!any_alive(&setup.pids(1).await));
}

#[tokio::test]
async fn readiness_is_seen_at_either_family_of_localhost() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            continue; // a machine without IPv6
        };
        let port = listener.local_addr().unwrap().port();
        let url = Url::parse(&format!("http://localhost:{port}/mcp")).unwrap();
        timeout(SOON, super::readiness::until_accepts(&url))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let setup = Setup::new();
    let mut settings = setup.settings("");
    settings.command = Command::Program {
        program: "no-such-program-here".to_owned(),
        arguments: Vec::new(),
    };
    let error = start(settings.clone()).await.unwrap_err().to_string();
    assert!(error.contains("no-such-program-here"), "{error}");

    settings.directory = Some(setup.file("nowhere"));
    let error = start(settings).await.unwrap_err().to_string();
    assert!(error.contains("MCP_SERVER_RUN_DIR"), "{error}");
}

#[tokio::test]
async fn a_program_gets_its_arguments_environment_directory_and_an_open_input() {
    let setup = Setup::new();
    let mut settings = setup.settings("");
    settings.command = Command::Program {
        program: "sh".to_owned(),
        arguments: vec![
            "-c".to_owned(),
            "printf '%s|' \"$@\" \"$FROM_SETTINGS\" > seen; pwd >> seen; \
             mv seen whole; read -r nothing; echo ended > input"
                .to_owned(),
            "name".to_owned(),
            "with space".to_owned(),
            "$HOME".to_owned(),
        ],
    };
    let mut process = start(settings).await.unwrap();
    let seen = eventually(|| fs::read_to_string(setup.file("whole")).ok()).await;
    let directory = setup.directory.path().canonicalize().unwrap();
    assert_eq!(
        seen,
        format!("with space|$HOME|a value|{}\n", directory.display())
    );
    process.stop(SOON).await.unwrap();
    assert!(!setup.file("input").exists());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn output_is_logged_line_by_line_to_the_last() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let setup = Setup::new();
    let script = "echo first; echo 'to err' >&2; printf 'no newline'; exit 5";
    match setup.start(script).await {
        Ok(mut process) => {
            timeout(SOON, process.exited()).await.unwrap();
        }
        // The script may be quicker than the look at the port.
        Err(StartError::Ended { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap();
    assert!(line("first").contains("INFO") && line("first").contains("mcp-server stdout"));
    assert!(line("to err").contains("INFO") && line("to err").contains("mcp-server stderr"));
    assert!(line("no newline").contains("mcp-server stdout"));
}

#[test]
fn exit_codes_are_those_of_shells() {
    assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
    assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
    assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
}

#[test]
fn settings_print_no_secret() {
    let setup = Setup::closed();
    let printed = format!("{:?}", setup.settings("serve --key s3cret"));
    assert!(
        !printed.contains("s3cret") && !printed.contains("a value"),
        "{printed}"
    );
}

#[test]
fn the_guard_is_not_for_people() {
    // Without the proxy's arguments it starts nothing.
    let code = guard::run(std::iter::empty());
    assert_ne!(
        format!("{code:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}
