//! An MCP server that records what reaches it and answers as a story tells it to.

mod relay;

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinHandle, JoinSet},
};
use url::Url;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
}

/// What to answer.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: http::response::Parts,
    body: AnswerBody,
}

#[derive(Debug)]
enum AnswerBody {
    Whole(Bytes),
    Stream(UnboundedReceiver<Bytes>),
    Repeated(Bytes, usize),
}

type Reaction = Arc<dyn Fn(&Recorded) -> Pending + Send + Sync>;
type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A running recorder.
pub struct Recorder {
    url: Url,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    requests: Mutex<Vec<Recorded>>,
    reaction: Mutex<Reaction>,
    connections: AtomicUsize,
    abandoned: AtomicUsize,
    made: AtomicUsize,
}

// === impl Recorder ===

impl Recorder {
    /// Starts a recorder at any port; it answers as a small MCP server (see [`mcp`]).
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> Result<Self> {
        Self::start_at(0).await
    }

    /// Starts a recorder at a port.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn start_at(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            reaction: Mutex::new(Arc::new(|request: &Recorded| ready(mcp(request)))),
            connections: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
        });
        Ok(Self {
            url: Url::parse(&format!("http://127.0.0.1:{port}/mcp"))?,
            acceptor: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        })
    }

    /// Its MCP endpoint.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// From now on answers so.
    pub fn answer(&self, answer: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) {
        self.react(move |request| ready(answer(request)));
    }

    /// From now on answers so, when it has thought about it.
    pub fn react(&self, reaction: impl Fn(&Recorded) -> Pending + Send + Sync + 'static) {
        *lock(&self.shared.reaction) = Arc::new(reaction);
    }

    /// From now on never answers.
    pub fn hang(&self) {
        self.react(|_| Box::pin(std::future::pending()));
    }

    /// What has arrived.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// The last that arrived.
    pub fn last(&self) -> Option<Recorded> {
        lock(&self.shared.requests).last().cloned()
    }

    /// Forgets what has arrived.
    pub fn forget(&self) {
        lock(&self.shared.requests).clear();
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many answers were not wanted any more before they were complete.
    pub fn abandoned(&self) -> usize {
        self.shared.abandoned.load(Ordering::SeqCst)
    }

    /// How many parts of [`Answer::repeated`] were made.
    pub fn made(&self) -> usize {
        self.shared.made.load(Ordering::SeqCst)
    }

    /// Stops: connections are cut, the port is free.
    pub async fn stop(self) {
        self.acceptor.abort();
        // Ends when everything it held is dropped.
        while !self.acceptor.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Recorder")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// An answer at once, as a reaction.
pub fn ready(answer: Answer) -> Pending {
    Box::pin(std::future::ready(answer))
}

/// What a small MCP server says: `initialize`, `ping`, and the tools `echo` and `whoami`, which
/// tells the headers that arrived.
pub fn mcp(request: &Recorded) -> Answer {
    if request.method != Method::POST {
        return Answer::status(405);
    }
    let Ok(message) = serde_json::from_slice::<Value>(&request.body) else {
        return Answer::status(400);
    };
    let Some(id) = message.get("id") else {
        return Answer::status(202);
    };
    let result = match message.get("method").and_then(Value::as_str) {
        Some("initialize") => json!({
            "protocolVersion": message.pointer("/params/protocolVersion"),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "recorder", "version": "1.0.0" },
        }),
        Some("tools/list") => json!({ "tools": [
            { "name": "echo", "inputSchema": { "type": "object" } },
            { "name": "whoami", "inputSchema": { "type": "object" } },
        ]}),
        Some("tools/call") => {
            json!({ "content": [{ "type": "text", "text": tool(request, &message) }] })
        }
        _ => json!({}),
    };
    Answer::json(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn tool(request: &Recorded, message: &Value) -> String {
    if message.pointer("/params/name") == Some(&"whoami".into()) {
        let headers: serde_json::Map<String, Value> = request
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").into()))
            .collect();
        return Value::Object(headers).to_string();
    }
    let text = message
        .pointer("/params/arguments/message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    format!("Echo: {text}")
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        // Or each answer in parts waits for the other side's acknowledgement.
        drop(stream.set_nodelay(true));
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| handle(request, Arc::clone(&shared)));
            let served = http1::Builder::new()
                .max_buf_size(1024 * 1024)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            // A connection that was cut is what some stories are about.
            drop(served);
        });
    }
}

async fn handle(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<RecorderBody>, Infallible> {
    let unfinished = Unfinished(Some(Arc::clone(&shared)));
    let (head, body) = request.into_parts();
    let (body, trailers) = match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned().unwrap_or_default();
            (collected.to_bytes(), trailers)
        }
        Err(_) => (Bytes::new(), HeaderMap::new()),
    };
    let recorded = Recorded {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
        trailers,
    };
    lock(&shared.requests).push(recorded.clone());
    let reaction = Arc::clone(&lock(&shared.reaction));
    let answer = reaction(&recorded).await;
    Ok(Response::from_parts(
        answer.head,
        RecorderBody {
            body: answer.body,
            unfinished,
        },
    ))
}

/// Counts an answer as abandoned unless it was completed.
struct Unfinished(Option<Arc<Shared>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct RecorderBody {
    body: AnswerBody,
    unfinished: Unfinished,
}

impl Body for RecorderBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let next = match &mut this.body {
            AnswerBody::Whole(bytes) if bytes.is_empty() => None,
            AnswerBody::Whole(bytes) => Some(std::mem::take(bytes)),
            AnswerBody::Repeated(_, 0) => None,
            AnswerBody::Repeated(bytes, left) => {
                *left -= 1;
                if let Some(shared) = &this.unfinished.0 {
                    shared.made.fetch_add(1, Ordering::SeqCst);
                }
                Some(bytes.clone())
            }
            AnswerBody::Stream(receiver) => match receiver.poll_recv(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
        };
        if next.is_none() || self.is_end_stream() {
            self.unfinished.0 = None;
        }
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            AnswerBody::Whole(bytes) => bytes.is_empty(),
            AnswerBody::Repeated(_, left) => *left == 0,
            AnswerBody::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.body {
            AnswerBody::Whole(bytes) => http_body::SizeHint::with_exact(bytes.len() as u64),
            AnswerBody::Stream(_) | AnswerBody::Repeated(..) => http_body::SizeHint::default(),
        }
    }
}

// === impl Answer ===

impl Answer {
    /// An empty answer.
    pub fn status(status: u16) -> Self {
        Self::whole(status, &[], Bytes::new())
    }

    /// A JSON answer.
    pub fn json(value: &Value) -> Self {
        let body = Bytes::from(value.to_string());
        Self::whole(200, &[("content-type", "application/json")], body)
    }

    /// An answer with headers and a body at once.
    pub fn whole(status: u16, headers: &[(&'static str, &'static str)], body: Bytes) -> Self {
        Self {
            head: head(status, headers),
            body: AnswerBody::Whole(body),
        }
    }

    /// One part again and again, each made when there is room for it.
    pub fn repeated(part: Bytes, times: usize) -> Self {
        Self {
            head: head(200, &[("content-type", "application/octet-stream")]),
            body: AnswerBody::Repeated(part, times),
        }
    }

    /// An event stream that the story feeds; it ends when the sender is dropped.
    pub fn events() -> (UnboundedSender<Bytes>, Self) {
        let (sender, receiver) = unbounded_channel();
        let answer = Self {
            head: head(200, &[("content-type", "text/event-stream")]),
            body: AnswerBody::Stream(receiver),
        };
        (sender, answer)
    }
}

fn head(status: u16, headers: &[(&'static str, &'static str)]) -> http::response::Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = http::StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in headers {
        head.headers
            .append(*name, http::HeaderValue::from_static(value));
    }
    head
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
