//! Bodies go through as they are: large ones, odd ones, those that are no JSON.

use anyhow::Result;
use bytes::Bytes;
use serde_json::json;
use testkit::{
    http::Reply,
    recorder::{Answer, Recorded},
};

use crate::harness::{Stage, ping};

#[tokio::test]
async fn ten_mebibytes_come_back_as_they_left() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let large = Bytes::from(pattern(10 * 1024 * 1024));
    let answer = large.clone();
    stage.recorder.answer(move |_| {
        let headers = [("content-type", "application/octet-stream")];
        Answer::whole(200, &headers, answer.clone())
    });
    let reply = client.call(&tokens.access, &ping()).await?;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-length"), large.len().to_string());
    assert!(reply.body == large, "the body was changed");
    Ok(())
}

#[tokio::test]
async fn requests_of_a_mebibyte_and_more_arrive_as_they_left() -> Result<()> {
    let stage = Stage::open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    // Below, at, and above what is kept for a retry.
    for size in [100 * 1024 + 1, 1024 * 1024, 3 * 1024 * 1024] {
        let sent = pattern(size);
        let request = stage
            .http()?
            .post(&stage.mcp()?)
            .bearer_auth(&tokens.access)
            .header("content-type", "application/octet-stream")
            .body(sent.clone());
        Reply::to(request).await?;
        let arrived = stage.recorder.last().unwrap();
        assert!(arrived.body == sent, "{size} bytes were changed");
        assert_eq!(arrived.headers["content-type"], "application/octet-stream");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_parsed_and_written_anew() -> Result<()> {
    let stage = Stage::open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    for body in [
        r#"{"jsonrpc":"2.0","id":90071992547409931,"method":"x","n":1.0,"e":1e3,"u":"\u00e4"}"#,
        "{ \"jsonrpc\" : \"2.0\" ,\n \"a\":1, \"a\":2 }",
        "no JSON at all \u{1f980}",
        "",
    ] {
        let request = stage
            .http()?
            .post(&stage.mcp()?)
            .bearer_auth(&tokens.access)
            .header("content-type", "application/json")
            .body(body);
        Reply::to(request).await?;
        assert_eq!(stage.recorder.last().unwrap().body, body);
    }
    Ok(())
}

#[tokio::test]
async fn chunked_requests_arrive() -> Result<()> {
    let stage = Stage::open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    let (mut near, far) = tokio::io::duplex(64);
    let writing = tokio::spawn(async move {
        for part in ["{\"jsonrpc\":\"2.0\",", "\"id\":1,", "\"method\":\"ping\"}"] {
            tokio::io::AsyncWriteExt::write_all(&mut near, part.as_bytes()).await?;
        }
        anyhow::Ok(())
    });
    let body = reqwest::Body::wrap_stream(stream_of(far));
    let request = stage
        .http()?
        .post(&stage.mcp()?)
        .bearer_auth(&tokens.access)
        .body(body);
    let reply = Reply::to(request).await?;
    writing.await??;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let arrived = stage.recorder.last().unwrap();
    assert_eq!(arrived.body, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    Ok(())
}

#[tokio::test]
async fn methods_sub_paths_and_queries_go_through() -> Result<()> {
    let stage = Stage::open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    stage
        .recorder
        .answer(|request: &Recorded| Answer::json(&json!({ "method": request.method.as_str() })));
    for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
        let url = stage.proxy.url("/mcp/sub/path%20x?a=1&b=%2F&a=2")?;
        let request = stage
            .http()?
            .request(method.parse()?, &url)
            .bearer_auth(&tokens.access)
            .header("accept", "application/json");
        let reply = Reply::to(request).await?;
        assert_eq!(reply.json()?["method"], method);
        let arrived = stage.recorder.last().unwrap();
        assert_eq!(arrived.uri, "/mcp/sub/path%20x?a=1&b=%2F&a=2");
        assert_eq!(arrived.method, method);
    }
    Ok(())
}

#[tokio::test]
async fn a_query_of_the_server_s_url_is_kept() -> Result<()> {
    let recorder = testkit::recorder::Recorder::start().await?;
    let mut server = recorder.url().clone();
    server.set_query(Some("tenant=7"));
    let stage = Stage::builder()?.server(&server).open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    client.call(&tokens.access, &ping()).await?;
    assert_eq!(recorder.last().unwrap().uri, "/mcp?tenant=7");
    let url = stage.proxy.url("/mcp?a=1")?;
    let request = stage
        .http()?
        .post(&url)
        .bearer_auth(&tokens.access)
        .json(&ping());
    Reply::to(request).await?;
    assert_eq!(recorder.last().unwrap().uri, "/mcp?tenant=7&a=1");
    Ok(())
}

#[tokio::test]
async fn connections_to_the_server_are_used_again() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    for _ in 0..40 {
        assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    }
    let connections = stage.recorder.connections();
    assert!(
        connections <= 3,
        "{connections} connections for calls one by one"
    );
    Ok(())
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

fn stream_of(
    reader: tokio::io::DuplexStream,
) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    futures_util::stream::unfold(reader, |mut reader| async {
        let mut buffer = vec![0; 16];
        match tokio::io::AsyncReadExt::read(&mut reader, &mut buffer).await {
            Ok(0) => None,
            Ok(read) => {
                buffer.truncate(read);
                Some((Ok(Bytes::from(buffer)), reader))
            }
            Err(error) => Some((Err(error), reader)),
        }
    })
}
