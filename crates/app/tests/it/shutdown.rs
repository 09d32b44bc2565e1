//! SIGTERM: no new connections, open requests finish, streams end, within the bound.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use testkit::{
    recorder::{Answer, mcp},
    wait,
};
use tokio::{sync::Notify, time::timeout};

use crate::harness::{SOON, Stage, ping};

#[tokio::test]
async fn an_open_request_finishes_and_nobody_new_is_served() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let gate = Arc::new(Notify::new());
    let opening = Arc::clone(&gate);
    stage.recorder.forget();
    stage.recorder.react(move |request| {
        let (gate, answer) = (Arc::clone(&opening), mcp(request));
        Box::pin(async move {
            gate.notified().await;
            answer
        })
    });
    let calling = tokio::spawn(client.calling(&tokens.access, &ping()).send());
    wait::until_true("the call at the server", SOON, || {
        !stage.recorder.requests().is_empty()
    })
    .await?;
    stage.proxy.process()?.terminate()?;
    let port = stage.proxy.port();
    wait::until("the listener's end", SOON, || async move {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        Ok(connected.is_err().then_some(()))
    })
    .await?;
    gate.notify_one();
    let reply = calling.await??;
    assert_eq!(reply.status(), 200);
    assert!(reply.text().await?.contains("jsonrpc"));
    let status = stage.proxy.process()?.exited(SOON).await?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn an_open_stream_ends_cleanly_and_soon() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    let sender = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&sender);
    stage.recorder.answer(move |_| {
        let (events, answer) = Answer::events();
        drop(events.send(Bytes::from_static(b"data: one\n\n")));
        *slot.lock().unwrap() = Some(events);
        answer
    });
    // The stream on which a server speaks unasked; the answer to a call would be waited for.
    let mut stream = stage
        .http()?
        .get(&stage.mcp()?)
        .bearer_auth(&tokens.access)
        .header("accept", "text/event-stream")
        .send()
        .await?;
    assert!(stream.chunk().await?.is_some());
    let begin = Instant::now();
    stage.proxy.process()?.terminate()?;
    // A clean end: the client connects again by itself.
    while timeout(SOON, stream.chunk()).await??.is_some() {}
    let status = stage.proxy.process()?.exited(SOON).await?;
    assert!(status.success(), "{status}");
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn the_bound_holds_against_a_server_that_hangs() -> Result<()> {
    let mut stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_DRAIN", "2s")
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.recorder.forget();
    stage.recorder.hang();
    let calling = tokio::spawn(client.calling(&tokens.access, &ping()).send());
    wait::until_true("the call at the server", SOON, || {
        !stage.recorder.requests().is_empty()
    })
    .await?;
    let begin = Instant::now();
    stage.proxy.process()?.terminate()?;
    let status = stage.proxy.process()?.exited(SOON).await?;
    assert!(status.success(), "{status}");
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    drop(calling.await);
    Ok(())
}

#[tokio::test]
async fn sessions_go_on_after_a_stop() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.proxy.stop_and_restart().await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Ok(())
}
