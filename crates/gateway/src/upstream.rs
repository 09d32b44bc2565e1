//! Connections of our own to one MCP server: HTTP/1.1, each in a task of its own, the last one
//! used first. A connection that the server closed while a request was on its way is not the
//! client's matter: the request is sent again where that is safe.

mod connect;
mod pool;

use std::{
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub use self::connect::InvalidCertificates;
pub(crate) use self::connect::{ConnectError, Trust};
use self::{connect::Dialer, pool::Pool};
use crate::{
    headers::{self, IdentityHeaders},
    request_body::{RequestBody, Source},
};

/// How long an MCP server may take until its answer begins. A tool may work for minutes and
/// answer in plain JSON, and some servers send the head of an event stream with its first event
/// only; this bound is there so that a server that hangs does not hold connections for ever.
pub(crate) const HEAD_WITHIN: Duration = Duration::from_secs(10 * 60);

/// A server that closes an idle connection crosses our request on the wire, so this shows within
/// a round trip. One that took the request up, worked and died shows later: a call that may have
/// had an effect is not made twice.
const STALE_WITHIN: Duration = Duration::from_millis(500);

/// A stale connection, a stale token, a stale connection again: whatever goes on beyond that has no
/// reason and would loop.
const MAX_ATTEMPTS: u32 = 4;

/// An MCP server and our connections to it.
#[derive(Debug)]
pub(crate) struct Upstream {
    dialer: Dialer,
    pool: Arc<Pool>,
    tasks: TaskTracker,
    closing: CancellationToken,
    reaper: Once,
}

/// A connection in use by one request.
#[derive(Debug)]
pub(crate) struct Connection {
    link: Link,
    is_reused: bool,
    body: Option<Arc<Source>>,
    pool: Arc<Pool>,
}

/// A connection by itself.
#[derive(Debug)]
struct Link {
    sender: SendRequest<RequestBody>,
    /// Bytes that came from the server so far.
    received: Arc<AtomicU64>,
}

/// A request that can be sent more than once.
#[derive(Debug)]
pub(crate) struct Outgoing {
    method: Method,
    uri: Uri,
    /// Moved into the first attempt; a copy as a plain list is cheaper than one of the map.
    headers: Option<HeaderMap>,
    copy: Vec<(HeaderName, HeaderValue)>,
    body: Option<Arc<Source>>,
    attempts: u32,
}

/// Why the MCP server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// There is no connection to it.
    #[error("it cannot be reached: {0}")]
    Connect(#[from] ConnectError),
    /// It closed the connection before answering.
    #[error("it closed the connection before it answered: {0}")]
    Closed(hyper::Error),
    /// What it answered is not HTTP/1.1.
    #[error("its answer is not valid HTTP/1.1: {0}")]
    Invalid(hyper::Error),
    /// It wants another protocol than was asked for.
    #[error("it switches to another protocol (101), which was not asked for")]
    Switched,
    /// It took too long.
    #[error("its answer did not begin within {} s", HEAD_WITHIN.as_secs())]
    Timeout,
    /// The client broke off its own request.
    #[error("the client broke off its request")]
    ClientBrokeOff,
    /// The body is gone, and the request cannot be sent again.
    #[error("the request cannot be sent again")]
    NotRepeatable,
}

// === impl Upstream ===

impl Upstream {
    /// Connections to the server at `url` are opened when they are needed.
    pub(crate) fn new(
        url: &Url,
        trust: &Trust,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Self {
        Self {
            dialer: Dialer::new(url, trust),
            pool: Arc::new(Pool::default()),
            tasks,
            closing,
            reaper: Once::new(),
        }
    }

    /// Sends a request and returns when the answer's head is there.
    pub(crate) async fn send(
        &self,
        outgoing: &mut Outgoing,
        identity: Option<&IdentityHeaders>,
    ) -> Result<(Response<Incoming>, Connection), UpstreamError> {
        let mut connection = match self.pool.take().await {
            Some(link) => self.connection(link, true),
            None => self.connect().await?,
        };
        loop {
            match connection.send(outgoing, identity).await {
                Ok(response) => return Ok((response, connection)),
                Err(failure) => {
                    if !failure.is_stale || !outgoing.can_repeat() {
                        return Err(failure.error);
                    }
                    // Others that are idle may be stale as well: a new one.
                    tracing::debug!("the MCP server had closed an idle connection; sending again");
                    connection = self.connect().await?;
                }
            }
        }
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        self.reaper.call_once(|| {
            let reaper = pool::reap(Arc::downgrade(&self.pool), self.closing.clone());
            self.tasks.spawn(reaper);
        });
        let received = Arc::new(AtomicU64::new(0));
        let stream = self.dialer.dial(Arc::clone(&received)).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Closed)?;
        self.tasks.spawn(async move {
            if let Err(error) = driver.await {
                // Whoever waits for an answer is told by its own error.
                tracing::debug!(cause = %error, "a connection to the MCP server ended");
            }
        });
        Ok(self.connection(Link { sender, received }, false))
    }

    fn connection(&self, link: Link, is_reused: bool) -> Connection {
        Connection {
            link,
            is_reused,
            body: None,
            pool: Arc::clone(&self.pool),
        }
    }
}

// === impl Connection ===

/// A request that got no answer.
struct Failure {
    error: UpstreamError,
    /// The connection was idle before and is to blame: the server has not taken the request up.
    is_stale: bool,
}

impl Connection {
    async fn send(
        &mut self,
        outgoing: &mut Outgoing,
        identity: Option<&IdentityHeaders>,
    ) -> Result<Response<Incoming>, Failure> {
        let blameless = |error| Failure {
            error,
            is_stale: false,
        };
        let Some(request) = outgoing.next_attempt(identity) else {
            return Err(blameless(UpstreamError::NotRepeatable));
        };
        self.body.clone_from(&outgoing.body);
        let received = self.link.received.load(Ordering::Relaxed);
        let sent_at = Instant::now();
        let answer = timeout(HEAD_WITHIN, self.link.sender.try_send_request(request)).await;
        let mut refusal = match answer {
            Err(_elapsed) => return Err(blameless(UpstreamError::Timeout)),
            Ok(Ok(response)) => {
                return if response.status().is_informational() {
                    Err(blameless(UpstreamError::Switched))
                } else {
                    Ok(response)
                };
            }
            Ok(Err(refusal)) => refusal,
        };
        if outgoing.body.as_ref().is_some_and(|body| body.has_failed()) {
            return Err(blameless(UpstreamError::ClientBrokeOff));
        }
        let was_never_sent = refusal.take_message().is_some();
        let is_unanswered = self.link.received.load(Ordering::Relaxed) == received;
        let is_harmless = outgoing.method.is_idempotent() || sent_at.elapsed() < STALE_WITHIN;
        let error = refusal.into_error();
        Err(Failure {
            is_stale: self.is_reused && (was_never_sent || is_unanswered && is_harmless),
            error: if error.is_parse() {
                UpstreamError::Invalid(error)
            } else {
                UpstreamError::Closed(error)
            },
        })
    }

    /// Gives the connection back once its answer has been read to the end.
    pub(crate) fn give_back(self) {
        // A server may answer before it has read the whole request; what it does with the rest is
        // not known, so such a connection is not used again.
        if self.body.is_none_or(|body| body.is_complete()) {
            self.pool.put(self.link);
        }
    }
}

// === impl Outgoing ===

impl Outgoing {
    /// A request whose headers are prepared but for the identity.
    pub(crate) fn new(
        method: Method,
        uri: Uri,
        mut headers: HeaderMap,
        body: Option<Arc<Source>>,
    ) -> Self {
        if let Some(body) = &body {
            headers::set_framing(&mut headers, body.length());
        }
        let copy = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            method,
            uri,
            headers: Some(headers),
            copy,
            body,
            attempts: 0,
        }
    }

    /// Whether the request can be sent once more from its beginning.
    pub(crate) fn can_repeat(&self) -> bool {
        self.attempts < MAX_ATTEMPTS && self.body.as_ref().is_none_or(|body| body.can_repeat())
    }

    /// Lets go of what was kept for another attempt.
    pub(crate) fn release(&self) {
        if let Some(body) = &self.body {
            body.release();
        }
    }

    fn next_attempt(&mut self, identity: Option<&IdentityHeaders>) -> Option<Request<RequestBody>> {
        let body = match &self.body {
            Some(source) => source.attempt()?,
            None => RequestBody::empty(),
        };
        self.attempts += 1;
        let mut headers = self
            .headers
            .take()
            .unwrap_or_else(|| self.copy.iter().cloned().collect());
        if let Some(identity) = identity {
            identity.set(&mut headers);
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        Some(request)
    }
}
