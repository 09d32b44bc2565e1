//! A client that sends what it is told and shows what comes.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

use super::{Body, empty, full, soon};

pub(crate) struct Client {
    sender: SendRequest<Body>,
    driver: JoinHandle<()>,
    pub(crate) bearer: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Self {
            sender,
            driver: tokio::spawn(async move {
                let _ = connection.await;
            }),
            bearer: None,
        }
    }

    /// Sends a request with the bearer, if there is one, and waits for the head of the answer.
    pub(crate) async fn send(&mut self, mut request: Request<Body>) -> Response<Incoming> {
        if let Some(bearer) = &self.bearer {
            let value = format!("Bearer {bearer}").parse().unwrap();
            request.headers_mut().append("authorization", value);
        }
        let host = "proxy.example".parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        soon(self.sender.ready()).await.unwrap();
        soon(self.sender.send_request(request)).await.unwrap()
    }

    pub(crate) async fn ask(&mut self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        read(response).await.unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(request(Method::GET, path, empty())).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.ask(request(Method::POST, path, full(body))).await
    }

    /// Goes away, whatever is under way.
    pub(crate) fn hang_up(self) {
        self.driver.abort();
    }
}

pub(crate) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(body)
        .unwrap()
}

/// Reads an answer to its end, an error if it is cut.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = response.into_parts();
    let collected = soon(body.collect()).await?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        trailers: collected.trailers().cloned(),
        body: collected.to_bytes(),
    })
}

/// The next data of an answer; `None` at its end, an error if it is cut.
pub(crate) async fn next(response: &mut Response<Incoming>) -> Option<Result<Bytes, hyper::Error>> {
    let frame = soon(response.frame()).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn challenge(&self) -> &str {
        self.headers["www-authenticate"].to_str().unwrap()
    }
}
