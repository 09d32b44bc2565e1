use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use super::assert_refused;
use crate::testing::{Setup, TestServer, basic, code_fields, text};

/// What was logged.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_a_passing_fault_and_costs_no_session() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let tokens = server.redeem(&client, &code).await.json();
    let refresh_token = text(&tokens, "refresh_token");
    let code = server.code(&client).await;

    server.store.set_away(true);
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    for answer in [
        server.refresh(&client, &refresh_token).await,
        server.redeem(&client, &code).await,
    ] {
        assert_refused(&answer, 503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("taken away"));
    }
    assert!(
        (8..=10).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );

    tokio::time::resume();
    server.store.set_away(false);
    assert_eq!(server.refresh(&client, &refresh_token).await.status, 200);
    assert_eq!(server.redeem(&client, &code).await.status, 200);
}

#[tokio::test]
async fn refused_requests_are_counted_and_those_that_succeed_never_are() {
    let server = TestServer::with(&Setup {
        requests: Some(5),
        ..Setup::default()
    });
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let mut refresh_token = text(&server.redeem(&client, &code).await.json(), "refresh_token");
    for _ in 0..20 {
        let answer = server.refresh(&client, &refresh_token).await;
        refresh_token = text(&answer.json(), "refresh_token");
    }
    for _ in 0..4 {
        assert_refused(&server.refresh(&client, "junk").await, 400, "invalid_grant");
    }
    let answer = server.refresh(&client, "junk").await;
    assert_refused(&answer, 429, "temporarily_unavailable");
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    assert_eq!(server.refresh(&client, &refresh_token).await.status, 200);
}

#[tokio::test(flavor = "current_thread")]
async fn a_refusal_is_one_log_line_with_its_reason_and_without_secrets() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let server = TestServer::start();
    let registered = server.register("client_secret_post").await;
    let (id, secret) = (
        text(&registered, "client_id"),
        text(&registered, "client_secret"),
    );
    let code = server.code(&id).await;
    let guard = tracing::subscriber::set_default(subscriber);

    let mut fields = code_fields(&id, &code).to_vec();
    fields.push(("client_secret", "guessed-secret"));
    let wrong_secret = server.post("/token", &fields).await;
    fields[5].1 = &secret;
    fields[3].1 = "another-verifier-of-at-least-43-characters-000";
    let wrong_verifier = server.post("/token", &fields).await;
    let header = basic(&id, "guessed-by-header");
    let headers = [("authorization", header.as_str())];
    let wrong_header = server.post_with("/token", &headers, &fields[..5]).await;
    drop(guard);

    let log = log.text();
    let refused: Vec<_> = log
        .lines()
        .filter(|line| line.contains("request refused"))
        .collect();
    assert_eq!(refused.len(), 3, "{log}");
    assert!(refused[0].contains("client_secret is wrong"), "{log}");
    assert!(
        refused[1].contains("invalid_grant") && refused[1].contains("code_verifier"),
        "{log}"
    );
    let named = format!("client.id=\"{id}\"");
    for line in refused {
        for part in ["request.id=request-1", "client.network=192.0.2.1", &named] {
            assert!(line.contains(part), "{line}");
        }
    }
    for hidden in [
        "guessed-secret",
        "guessed-by-header",
        "another-verifier",
        header.as_str(),
        secret.as_str(),
        code.as_str(),
    ] {
        assert!(!log.contains(hidden), "{log}");
        for answer in [&wrong_secret, &wrong_verifier, &wrong_header] {
            assert!(!String::from_utf8_lossy(&answer.body).contains(hidden));
        }
    }
}
