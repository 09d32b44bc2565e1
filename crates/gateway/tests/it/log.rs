//! One event per call, at its end, without secrets.

use std::sync::{Arc, Mutex};

use http::{Method, Response};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::harness::{Client, Proxy, Raw, Server, empty, fed, full, next, request};

/// What was logged in this thread; tests here run on one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The events of calls so far.
    fn calls(&self) -> Vec<String> {
        self.text()
            .lines()
            .filter(|line| line.contains("mcp_auth_proxy::http"))
            .map(str::to_owned)
            .collect()
    }

    /// Waits for an event that holds all these.
    async fn call(&self, parts: &[&str]) -> String {
        for _ in 0..2000 {
            for line in self.calls() {
                if parts.iter().all(|part| line.contains(part)) {
                    return line;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("no event with {parts:?} in {:?}", self.calls());
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_call_leaves_one_event_and_no_secret() {
    let (log, _guard) = Log::capture();
    let (server, _) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    proxy
        .client()
        .await
        .post("/mcp/a?secret=query", "secret body")
        .await;
    let line = log.call(&["ending=\"complete\""]).await;
    for part in [
        "DEBUG",
        "request.id=request-1",
        "method=POST",
        "path=\"/mcp/a\"",
        "status=200",
        "bytes=2",
        "client.id=client-a",
        "grant.id=",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(log.calls().len(), 1);
    let text = log.text();
    for secret in [
        proxy.token.as_str(),
        "identity-0",
        "secret=query",
        "secret body",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn refusals_are_told_too_and_at_no_higher_level() {
    let (log, _guard) = Log::capture();
    let (server, _) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    Client::connect(proxy.address)
        .await
        .post("/mcp", "{}")
        .await;
    let line = log.call(&["status=401"]).await;
    assert!(
        line.contains("DEBUG") && line.contains("ending=\"complete\""),
        "{line}"
    );
}

#[tokio::test]
async fn a_fault_of_the_server_is_a_warning_with_its_cause() {
    let (log, _guard) = Log::capture();
    let server = Raw::scripted(|_, stream| async move { drop(stream) }).await;
    let proxy = Proxy::before(&server.url()).await;
    proxy.client().await.post("/mcp", "{}").await;
    let line = log.call(&["status=502"]).await;
    assert!(
        line.contains("WARN") && line.contains(&server.url()),
        "{line}"
    );

    let server = Raw::scripted(|_, mut stream| async move {
        Raw::request(&mut stream).await;
        Raw::reply(
            &mut stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        )
        .await;
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let mut response = client.send(request(Method::GET, "/mcp", empty())).await;
    while let Some(Ok(_)) = next(&mut response).await {}
    let line = log.call(&["cut by the MCP server"]).await;
    assert!(line.contains("WARN") && line.contains("bytes=3"), "{line}");
}

#[tokio::test]
async fn a_client_that_hung_up_is_no_fault() {
    let (log, _guard) = Log::capture();
    let (feeder, body) = fed();
    let body = Mutex::new(Some(body));
    let server = Server::answering(move |_| {
        let body = body.lock().unwrap().take().unwrap_or_else(|| full(""));
        async { Response::new(body) }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let mut response = client.send(request(Method::GET, "/mcp", empty())).await;
    feeder.send("some").await.unwrap();
    next(&mut response).await.unwrap().unwrap();
    client.hang_up();
    let line = log.call(&["cancelled by the client"]).await;
    assert!(line.contains("DEBUG") && line.contains("bytes=4"), "{line}");
}
