//! Event streams: events leave as they arrive, silence gets comments, and every end is clean.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::id::ClientId;
use http::{Method, Response, StatusCode};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::harness::{
    Arrived, Body, Feeder, Proxy, Raw, Server, empty, fed, full, next, read, request, settings,
    soon,
};

/// A server whose answers are streams that the test feeds.
struct Streaming {
    server: Server,
    feeders: mpsc::UnboundedReceiver<Feeder>,
}

impl Streaming {
    async fn new(headers: &'static [(&'static str, &'static str)]) -> Self {
        let (sender, feeders) = mpsc::unbounded_channel();
        let server = Server::answering(move |request| {
            let (feeder, body) = fed();
            sender.send(feeder).unwrap();
            let mut response = Response::new(body);
            for (name, value) in headers {
                response.headers_mut().append(*name, value.parse().unwrap());
            }
            async {
                Arrived::read(request).await;
                response
            }
        })
        .await;
        Self { server, feeders }
    }

    async fn feeder(&mut self) -> Feeder {
        soon(self.feeders.recv()).await.unwrap()
    }
}

const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream")];

fn quick(server: &Server) -> gateway::GatewaySettings {
    let mut settings = settings(&server.url());
    settings.sse_keepalive = Duration::from_millis(30);
    settings
}

#[tokio::test]
async fn events_leave_as_they_arrive() {
    let mut streaming = Streaming::new(EVENTS).await;
    let proxy = Proxy::before(&streaming.server.url()).await;
    let mut client = proxy.client().await;
    let mut response = client.send(request(Method::POST, "/mcp", full("{}"))).await;
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let feeder = streaming.feeder().await;
    for number in 0..5 {
        // Each is read before the next is sent.
        let event = format!("id: {number}\ndata: {number}\n\n");
        feeder.send(event.clone()).await.unwrap();
        assert_eq!(next(&mut response).await.unwrap().unwrap(), event);
    }
    drop(feeder);
    assert!(next(&mut response).await.is_none());
}

#[tokio::test]
async fn silence_gets_comments_but_only_between_events() {
    let mut streaming = Streaming::new(EVENTS).await;
    let proxy = Proxy::with(quick(&streaming.server)).await;
    let mut client = proxy.client().await;
    let mut response = client.send(request(Method::GET, "/mcp", empty())).await;
    let feeder = streaming.feeder().await;
    for _ in 0..2 {
        assert_eq!(
            next(&mut response).await.unwrap().unwrap(),
            ": keep-alive\n\n"
        );
    }
    // Half an event: no comment, however long the other half takes.
    feeder.send("data: 1\n").await.unwrap();
    let mut got = next(&mut response).await.unwrap().unwrap().to_vec();
    while got.ends_with(b": keep-alive\n\n") {
        got = next(&mut response).await.unwrap().unwrap().to_vec();
    }
    assert_eq!(got, b"data: 1\n");
    let silent = tokio::time::timeout(Duration::from_millis(150), next(&mut response)).await;
    assert!(silent.is_err(), "{silent:?}");
    feeder.send("\n").await.unwrap();
    assert_eq!(next(&mut response).await.unwrap().unwrap(), "\n");
    assert_eq!(
        next(&mut response).await.unwrap().unwrap(),
        ": keep-alive\n\n"
    );
}

#[tokio::test]
async fn where_a_comment_would_harm_there_is_none() {
    const ENCODED: &[(&str, &str)] = &[
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ];
    const COUNTED: &[(&str, &str)] = &[
        ("content-type", "text/event-stream"),
        ("content-length", "100"),
    ];
    const PLAIN: &[(&str, &str)] = &[("content-type", "application/json")];
    for headers in [ENCODED, COUNTED, PLAIN] {
        let mut streaming = Streaming::new(headers).await;
        let proxy = Proxy::with(quick(&streaming.server)).await;
        let mut client = proxy.client().await;
        let mut response = client.send(request(Method::GET, "/mcp", empty())).await;
        let _feeder = streaming.feeder().await;
        let silent = tokio::time::timeout(Duration::from_millis(150), next(&mut response)).await;
        assert!(silent.is_err(), "{headers:?} {silent:?}");
    }
    // And where none are wanted.
    let mut streaming = Streaming::new(EVENTS).await;
    let mut settings = quick(&streaming.server);
    settings.sse_keepalive = Duration::ZERO;
    let proxy = Proxy::with(settings).await;
    let mut client = proxy.client().await;
    let mut response = client.send(request(Method::GET, "/mcp", empty())).await;
    let _feeder = streaming.feeder().await;
    let silent = tokio::time::timeout(Duration::from_millis(150), next(&mut response)).await;
    assert!(silent.is_err(), "{silent:?}");
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_call_at_the_server() {
    let mut streaming = Streaming::new(EVENTS).await;
    let proxy = Proxy::before(&streaming.server.url()).await;
    for (method, has_begun) in [
        (Method::GET, true),
        (Method::POST, true),
        (Method::POST, false),
    ] {
        let mut client = proxy.client().await;
        let mut response = client.send(request(method, "/mcp", full("{}"))).await;
        let feeder = streaming.feeder().await;
        if has_begun {
            feeder.send("data: 1\n\n").await.unwrap();
            next(&mut response).await.unwrap().unwrap();
        }
        client.hang_up();
        soon(feeder.abandoned()).await;
    }
}

#[tokio::test]
async fn so_does_one_that_hangs_up_before_the_answer_began() {
    let (arrived, arrival) = oneshot::channel();
    let (gone, going) = oneshot::channel();
    let signals = Arc::new(Mutex::new(Some((arrived, gone))));
    let server = Raw::scripted(move |_, mut stream| {
        let signals = Arc::clone(&signals);
        async move {
            let (arrived, gone) = signals.lock().await.take().unwrap();
            Raw::request(&mut stream).await.unwrap();
            arrived.send(()).unwrap();
            assert_eq!(Raw::request(&mut stream).await, None);
            gone.send(()).unwrap();
        }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    {
        let call = client.send(request(Method::POST, "/mcp", full("{}")));
        tokio::select! {
            _ = call => panic!("there is no answer"),
            arrival = soon(arrival) => arrival.unwrap(),
        }
    }
    client.hang_up();
    soon(going).await.unwrap();
}

#[tokio::test]
async fn an_ended_session_ends_its_streams() {
    for (headers, is_clean) in [(EVENTS, true), (&[("content-type", "text/plain")], false)] {
        let mut streaming = Streaming::new(headers).await;
        let proxy = Proxy::before(&streaming.server.url()).await;
        let mut client = proxy.client().await;
        let mut response = client.send(request(Method::GET, "/mcp", empty())).await;
        let feeder = streaming.feeder().await;
        feeder.send("data: 1\n\n").await.unwrap();
        assert_eq!(next(&mut response).await.unwrap().unwrap(), "data: 1\n\n");
        let client_id = ClientId::parse("client-a").unwrap();
        proxy.grants.revoke(&proxy.token, &client_id).await.unwrap();
        // What is no list of events must not pass for complete.
        match next(&mut response).await {
            None => assert!(is_clean),
            Some(end) => assert!(end.is_err() && !is_clean),
        }
        soon(feeder.abandoned()).await;
        let mut client = proxy.client().await;
        assert_eq!(client.get("/mcp").await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_drain_ends_listening_streams_between_events_and_lets_calls_finish() {
    let mut streaming = Streaming::new(EVENTS).await;
    let proxy = Proxy::before(&streaming.server.url()).await;
    let (mut listener, mut caller) = (proxy.client().await, proxy.client().await);
    let mut listening = listener.send(request(Method::GET, "/mcp", empty())).await;
    let events = streaming.feeder().await;
    let mut called = caller.send(request(Method::POST, "/mcp", full("{}"))).await;
    let result = streaming.feeder().await;
    events.send("data: 1\n").await.unwrap();
    assert_eq!(next(&mut listening).await.unwrap().unwrap(), "data: 1\n");

    proxy.closing.cancel();
    // The event under way is finished first.
    let open = tokio::time::timeout(Duration::from_millis(50), next(&mut listening)).await;
    assert!(open.is_err(), "{open:?}");
    events.send("\n").await.unwrap();
    assert_eq!(next(&mut listening).await.unwrap().unwrap(), "\n");
    assert!(next(&mut listening).await.is_none());
    soon(events.abandoned()).await;

    result.send("data: done\n\n").await.unwrap();
    assert_eq!(next(&mut called).await.unwrap().unwrap(), "data: done\n\n");
    drop(result);
    assert!(next(&mut called).await.is_none());
}

#[tokio::test]
async fn an_answer_that_the_server_cuts_does_not_pass_for_complete() {
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let server = Raw::scripted(move |_, mut stream| async move {
            Raw::request(&mut stream).await;
            let reply = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n");
            Raw::reply(&mut stream, &reply).await;
        })
        .await;
        let proxy = Proxy::before(&server.url()).await;
        let mut client = proxy.client().await;
        let response = client.send(request(Method::GET, "/mcp", empty())).await;
        assert!(read(response).await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_duplex_call_streams_both_ways_at_once() {
    let server = Server::answering(|request| async move {
        let body: Body = http_body_util::BodyExt::boxed(http_body_util::BodyExt::map_err(
            request.into_body(),
            std::io::Error::other,
        ));
        Response::new(body)
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let (feeder, body) = fed();
    let mut response = client.send(request(Method::POST, "/mcp", body)).await;
    for word in ["one", "two", "three"] {
        feeder.send(word).await.unwrap();
        assert_eq!(
            next(&mut response).await.unwrap().unwrap(),
            Bytes::from(word)
        );
    }
    drop(feeder);
    assert!(next(&mut response).await.is_none());
}
