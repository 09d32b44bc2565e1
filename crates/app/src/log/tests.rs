use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A log that a test can read.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

struct Noon;

/// A pipe whose reader has gone.
struct Broken;

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FormatTime for Noon {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        writer.write_str("2026-11-25T12:00:00.000000Z")
    }
}

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn config() -> LogConfig {
    LogConfig {
        level: LogLevel::Info,
        debug_targets: Vec::new(),
        app_name: "mcp-auth-proxy".to_owned(),
        environment: "test".to_owned(),
        json: false,
    }
}

fn logged(config: LogConfig, say: impl FnOnce()) -> String {
    let memory = Memory::default();
    tracing::subscriber::with_default(subscriber(config, memory.clone(), Noon), say);
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const HEAD: &str = "2026-11-25T12:00:00.000000Z app=mcp-auth-proxy environment=test proxy=true";

#[test]
fn an_event_is_a_line_of_pairs() {
    let line = logged(config(), || {
        tracing::info!(
            client.id = "c1",
            status = 200,
            request.id = "r-7",
            "a call ended"
        );
    });

    let expected = "level=info message=\"a call ended\" request-id=r-7 client.id=c1 status=200\n";
    assert_eq!(line, format!("{HEAD} {expected}"));
}

#[test]
fn output_of_the_mcp_server_keeps_to_its_line() {
    let line = logged(config(), || {
        let output = "one\ntwo \u{1b}[2J\u{202e} \"three\" \\";
        tracing::info!(target: "gateway::process", output, "mcp-server stderr");
    });

    let expected = r#"level=info message="mcp-server stderr" output="one\ntwo \u{1b}[2J\u{202e} \"three\" \\""#;
    assert_eq!(line, format!("{HEAD} {expected}\n"));
}

#[test]
fn what_stands_alone_is_not_quoted() {
    let line = logged(config(), || {
        tracing::info!(
            output = "listening:C:\\x",
            empty = "",
            pair = "a=b",
            "ready"
        );
    });

    let expected = r#"level=info message=ready output=listening:C:\x empty="" pair="a=b""#;
    assert_eq!(line, format!("{HEAD} {expected}\n"));
}

#[test]
fn spans_lend_their_fields_and_the_inner_says_more() {
    let line = logged(config(), || {
        let outer = tracing::info_span!("request", request_id = "r-1", step = "outer");
        let _outer = outer.enter();
        let inner = tracing::info_span!("call", step = "inner", late = tracing::field::Empty);
        inner.record("late", 3);
        let _inner = inner.enter();
        tracing::warn!("slow");
    });

    let expected = "level=warn message=slow request-id=r-1 step=inner late=3";
    assert_eq!(line, format!("{HEAD} {expected}\n"));
}

#[test]
fn errors_are_told_with_their_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the store is away")]
    struct Outer(#[source] io::Error);

    let line = logged(config(), || {
        let error = Outer(io::Error::other("disk full"));
        tracing::error!(error = &error as &dyn std::error::Error, "cannot start");
    });

    assert!(
        line.ends_with("error=\"the store is away: disk full\"\n"),
        "{line}"
    );
}

#[test]
fn json_lines_are_json() {
    let json = LogConfig {
        json: true,
        ..config()
    };
    let line = logged(json, || {
        tracing::info!(
            status = 200,
            ok = true,
            share = 0.5,
            text = "a\"b\n\u{85}\u{2028}",
            "done"
        );
    });

    assert_eq!(line.matches('\n').count(), 1, "{line}");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!({
        "timestamp": "2026-11-25T12:00:00.000000Z",
        "app": "mcp-auth-proxy",
        "environment": "test",
        "proxy": true,
        "level": "info",
        "message": "done",
        "status": 200,
        "ok": true,
        "share": 0.5,
        "text": "a\"b\n\u{85}\u{2028}",
    });
    assert_eq!(value, expected);
    assert!(!line.contains(['\u{85}', '\u{2028}']), "{line}");
}

#[test]
fn a_broken_pipe_is_no_reason_to_stop() {
    tracing::subscriber::with_default(subscriber(config(), Broken, Noon), || {
        tracing::info!("nobody hears this");
    });
}

/// Which events are heard at a level: ours at error … trace, the line about a request, and another
/// crate's at warn and debug.
fn heard(config: LogConfig) -> String {
    let lines = logged(config, || {
        tracing::error!(target: "grants", "error");
        tracing::warn!(target: "grants", "warn");
        tracing::info!(target: "grants", "info");
        tracing::debug!(target: HTTP, "http");
        tracing::debug!(target: "grants", "debug");
        tracing::trace!(target: "grants", "trace");
        tracing::warn!(target: "hyper::client", "theirs");
        tracing::debug!(target: "hyper::client", "secrets");
    });
    let message = |line: &str| {
        let (_, rest) = line.split_once("message=").unwrap();
        rest.to_owned()
    };
    lines.lines().map(message).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_level_hears_what_it_should() {
    for (name, expected) in [
        ("error", "error"),
        ("warn", "error warn theirs"),
        ("WARNING", "error warn theirs"),
        ("info", "error warn info theirs"),
        ("http", "error warn info http theirs"),
        ("verbose", "error warn info http debug theirs"),
        ("debug", "error warn info http debug theirs"),
        ("silly", "error warn info http debug trace theirs"),
        ("trace", "error warn info http debug trace theirs"),
    ] {
        let level = LogLevel::parse(name).unwrap();
        assert_eq!(heard(LogConfig { level, ..config() }), expected, "{name}");
    }
}

#[test]
fn debug_raises_only_the_parts_it_names() {
    let raised = |targets: &[&'static str]| LogConfig {
        level: LogLevel::Warn,
        debug_targets: targets.to_vec(),
        ..config()
    };

    assert_eq!(heard(raised(&["gateway"])), "error warn theirs");
    assert_eq!(heard(raised(&["grants"])), "error warn info debug theirs");
    assert_eq!(heard(raised(&["mcp_auth_proxy"])), "error warn http theirs");
}

#[test]
fn the_line_about_a_request_has_a_level_of_its_own() {
    let http = LogConfig {
        level: LogLevel::Http,
        ..config()
    };
    let line = logged(
        http,
        || tracing::debug!(target: HTTP, "answered GET /jwks with 200"),
    );

    assert!(
        line.contains(" level=http message=\"answered GET /jwks with 200\""),
        "{line}"
    );
}

#[test]
fn a_request_that_failed_is_heard_at_the_usual_level() {
    let line = logged(config(), || tracing::warn!(target: HTTP, "MCP call failed"));

    assert!(
        line.contains(" level=warn message=\"MCP call failed\""),
        "{line}"
    );
}

proptest! {
    #[test]
    fn whatever_is_said_is_one_line(output in ".*", json in any::<bool>()) {
        let line = logged(LogConfig { json, ..config() }, || tracing::info!(output, "said"));

        prop_assert_eq!(line.matches('\n').count(), 1);
        let body = line.trim_end_matches('\n');
        prop_assert!(!body.contains(|character: char| character.is_control()));
        if json {
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["output"].as_str(), Some(output.as_str()));
        }
    }
}
