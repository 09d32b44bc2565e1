//! Clients of HTTP/2: the same calls, over HTTP/1.1 to the server.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::harness::{Arrived, Body, Proxy, Server, fed, full, next, read, soon};

async fn connect(proxy: &Proxy) -> SendRequest<Body> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn call(proxy: &Proxy, body: Body) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri("https://attacker.example/mcp")
        .header("authorization", format!("Bearer {}", proxy.token))
        .body(body)
        .unwrap()
}

#[tokio::test]
async fn calls_share_a_connection_and_arrive_in_http_1() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let client = connect(&proxy).await;
    let calls = (0..8).map(|_| {
        let mut client = client.clone();
        let (feeder, body) = fed();
        let request = call(&proxy, body);
        async move {
            let (response, sent) = tokio::join!(client.send_request(request), async {
                let sent = feeder.send("chunk").await;
                drop(feeder);
                sent
            });
            sent.unwrap();
            read(response.unwrap()).await.unwrap()
        }
    });
    for answer in soon(futures_util::future::join_all(calls)).await {
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok"));
    }
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), 8);
    for request in arrived.iter() {
        assert_eq!(request.body, "chunk");
        assert_eq!(request.header("host"), server.address.to_string());
        assert_eq!(request.uri, "/mcp");
    }
}

#[tokio::test]
async fn a_reset_stream_ends_its_call_at_the_server_and_no_other() {
    let (sender, mut feeders) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::answering(move |request| {
        let (feeder, body) = fed();
        sender.send(feeder).unwrap();
        async {
            Arrived::read(request).await;
            Response::new(body)
        }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = connect(&proxy).await;
    let first = soon(client.send_request(call(&proxy, full("{}"))))
        .await
        .unwrap();
    let mut second = soon(client.send_request(call(&proxy, full("{}"))))
        .await
        .unwrap();
    let (ended, open) = (feeders.recv().await.unwrap(), feeders.recv().await.unwrap());
    drop(first);
    soon(ended.abandoned()).await;
    open.send("still here").await.unwrap();
    assert_eq!(
        next(&mut second).await.unwrap().unwrap(),
        Bytes::from("still here")
    );
    drop(open);
    assert!(read(second).await.unwrap().body.is_empty());
}
