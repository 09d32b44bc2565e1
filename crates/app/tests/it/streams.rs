//! Event streams: as sent, kept open, cancelled when the client leaves.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use testkit::{
    client::{OAuthClient, Tokens},
    recorder::Answer,
    sdk_client::{Sdk, SdkClient},
    wait,
};
use tokio::{sync::mpsc::UnboundedSender, time::timeout};

use crate::{
    first_connection::log_in,
    harness::{Everything, SOON, Stage, ping, tool_call},
};

#[tokio::test]
async fn each_event_leaves_before_the_next_is_made() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let (events, mut stream) = open(&stage, &client, &tokens).await?;
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    for number in 0..5 {
        let event = format!("id: {number}\ndata: {{\"n\":{number}}}\n\n");
        events.send(Bytes::from(event.clone()))?;
        // The next one is not sent before this one has arrived, whole and unchanged.
        assert_eq!(read(&mut stream, event.len()).await?, event);
    }
    drop(events);
    assert_eq!(timeout(SOON, stream.chunk()).await??, None);
    Ok(())
}

#[tokio::test]
async fn a_silent_stream_gets_comments_between_events() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_SSE_KEEPALIVE", "1s")
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let (events, mut stream) = open(&stage, &client, &tokens).await?;
    events.send(Bytes::from_static(b"data: one\n\n"))?;
    assert_eq!(read(&mut stream, 11).await?, "data: one\n\n");
    let comment = read(&mut stream, 1).await?;
    assert!(comment.starts_with(':'), "{comment}");

    // Half an event is no place for a comment.
    events.send(Bytes::from_static(b"data: tw"))?;
    let mut half = String::new();
    while !half.contains("data: tw") {
        half.push_str(&read(&mut stream, 1).await?);
    }
    assert!(half.ends_with("data: tw"), "{half}");
    assert_eq!(drain(&mut stream, Duration::from_millis(2_500)).await?, "");
    events.send(Bytes::from_static(b"o\n\n"))?;
    assert_eq!(read(&mut stream, 3).await?, "o\n\n");
    Ok(())
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_stream_at_the_server() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let (events, mut stream) = open(&stage, &client, &tokens).await?;
    events.send(Bytes::from_static(b"data: one\n\n"))?;
    read(&mut stream, 11).await?;
    assert_eq!(stage.recorder.abandoned(), 0);
    drop(stream);
    wait::until_true("the stream's end at the server", SOON, || {
        events.is_closed()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_call_at_the_server() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.recorder.hang();
    stage.recorder.forget();
    let calling = tokio::spawn(client.calling(&tokens.access, &ping()).send());
    wait::until_true("the call at the server", SOON, || {
        !stage.recorder.requests().is_empty()
    })
    .await?;
    calling.abort();
    wait::until_true("the call's end at the server", SOON, || {
        stage.recorder.abandoned() == 1
    })
    .await
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_is_no_clean_end() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let (events, mut stream) = open(&stage, &client, &tokens).await?;
    events.send(Bytes::from_static(b"data: one\n\n"))?;
    read(&mut stream, 11).await?;
    let fresh = testkit::recorder::Recorder::start().await?;
    std::mem::replace(&mut stage.recorder, fresh).stop().await;
    match timeout(SOON, stream.chunk()).await? {
        Err(_) => Ok(()),
        Ok(end) => bail!("a clean end: {end:?}"),
    }
}

#[tokio::test]
async fn a_revoked_session_loses_its_open_stream() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let (events, mut stream) = open(&stage, &client, &tokens).await?;
    events.send(Bytes::from_static(b"data: one\n\n"))?;
    read(&mut stream, 11).await?;
    let endpoint = testkit::client::endpoint(&client.metadata, "revocation_endpoint")?;
    let form = [
        ("token", tokens.refresh.as_str()),
        ("client_id", client.id()),
    ];
    testkit::http::Reply::to(stage.http()?.post(&endpoint).form(&form)).await?;
    wait::until_true("the stream's end at the server", SOON, || {
        events.is_closed()
    })
    .await?;
    while let Ok(Some(_)) = timeout(SOON, stream.chunk()).await? {}
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_buffered_for() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    // An answer of a gigabyte, made as it is asked for.
    stage
        .recorder
        .answer(|_| Answer::repeated(Bytes::from(vec![7; 64 * 1024]), 16 * 1024));
    let before = resident(stage.proxy.process()?.id())?;
    let mut stream = client.calling(&tokens.access, &ping()).send().await?;
    assert!(stream.chunk().await?.is_some());
    // The server comes to a stop when all buffers on the way are full.
    let mut made = 0;
    wait::until("the server to be held back", SOON, || {
        let now = stage.recorder.made();
        let still = now == made && now > 0;
        made = now;
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(still.then_some(()))
        }
    })
    .await?;
    let grown = resident(stage.proxy.process()?.id())?.saturating_sub(before);
    assert!(
        grown < 64 * 1024,
        "{grown} KiB for one client that does not read"
    );
    assert!(
        made < 8 * 1024,
        "the whole answer was taken from the server"
    );
    Ok(())
}

/// Memory of a process in KiB.
fn resident(id: u32) -> Result<u64> {
    let output = std::process::Command::new("ps")
        .args(["-o", "rss=", "-p", &id.to_string()])
        .output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

#[tokio::test]
async fn progress_of_a_real_server_reaches_a_real_client() -> Result<()> {
    let everything = Everything::start().await?;
    let stage = Stage::builder()?.server(&everything.url()?).open().await?;
    let mut client = SdkClient::start(Sdk::TypeScript, &stage.mcp()?, None, &stage.witness)?;
    log_in(&stage, &mut client, "alice").await?;
    let progress = client
        .command(
            "progress",
            json!({
                "name": "trigger-long-running-operation",
                "arguments": { "duration": 1, "steps": 4 },
            }),
        )
        .await?;
    let progress: Vec<u64> = progress
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert!(progress.is_sorted() && progress.len() >= 3, "{progress:?}");
    Ok(())
}

/// An event stream through the proxy, and the end that feeds it at the server.
async fn open(
    stage: &Stage,
    client: &OAuthClient,
    tokens: &Tokens,
) -> Result<(UnboundedSender<Bytes>, reqwest::Response)> {
    let sender = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&sender);
    stage.recorder.answer(move |_| {
        let (events, answer) = Answer::events();
        *slot.lock().unwrap() = Some(events);
        answer
    });
    let message = tool_call("count", &json!({}));
    let response = client.calling(&tokens.access, &message).send().await?;
    let events = sender.lock().unwrap().take().unwrap();
    Ok((events, response))
}

/// Reads at least so many bytes.
async fn read(stream: &mut reqwest::Response, least: usize) -> Result<String> {
    let mut text = Vec::new();
    while text.len() < least {
        match timeout(SOON, stream.chunk()).await?? {
            Some(chunk) => text.extend_from_slice(&chunk),
            None => bail!("the stream ended"),
        }
    }
    Ok(String::from_utf8(text)?)
}

/// Reads whatever comes within a time.
async fn drain(stream: &mut reqwest::Response, time: Duration) -> Result<String> {
    let mut text = Vec::new();
    let reading = async {
        while let Some(chunk) = stream.chunk().await? {
            text.extend_from_slice(&chunk);
        }
        anyhow::Ok(())
    };
    if let Ok(ended) = timeout(time, reading).await {
        ended?;
    }
    Ok(String::from_utf8(text)?)
}
