//! The body of a request on its way to the MCP server: it streams, and what has passed is kept
//! up to a bound, so that the request can be sent once more from its beginning, also while the
//! rest is still arriving.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::headers;

/// The body of one attempt to send a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    source: Option<Arc<Source>>,
    attempt: u32,
    /// Which parts of what was kept this attempt has still to send.
    replay: Replay,
    /// Bytes still to be sent, where the length is known.
    remaining: Option<u64>,
}

/// Where the bodies of all attempts of one request come from.
#[derive(Debug)]
pub(crate) struct Source {
    state: Mutex<State>,
    length: Option<u64>,
}

#[derive(Debug)]
struct State {
    incoming: Incoming,
    kept: Kept,
    /// The attempt that may read; an older one still in the hands of its connection may not.
    attempt: u32,
    end: End,
}

/// How reading from the client went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Failed,
}

/// What has passed. The first chunk, mostly the whole body, is kept without a copy.
#[derive(Debug)]
struct Kept {
    first: Bytes,
    rest: BytesMut,
    trailers: Option<HeaderMap>,
    limit: usize,
    is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replay {
    First,
    Rest,
    Trailers,
    Done,
}

// === impl Source ===

impl Source {
    /// Takes over a client's body; `None` where there is none to send.
    pub(crate) fn new(incoming: Incoming, limit: usize) -> Option<Arc<Self>> {
        if incoming.is_end_stream() {
            return None;
        }
        let length = incoming.size_hint().exact();
        Some(Arc::new(Self {
            length,
            state: Mutex::new(State {
                incoming,
                kept: Kept {
                    first: Bytes::new(),
                    rest: BytesMut::new(),
                    trailers: None,
                    // What is known not to fit need not be begun.
                    limit: if length.is_some_and(|length| length > limit as u64) {
                        0
                    } else {
                        limit
                    },
                    is_whole: true,
                },
                attempt: 0,
                end: End::Open,
            }),
        }))
    }

    /// The length the client announced.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The body for a further attempt, from its beginning; `None` if too much has passed.
    pub(crate) fn attempt(self: &Arc<Self>) -> Option<RequestBody> {
        let mut state = self.lock();
        if !state.kept.is_whole {
            return None;
        }
        state.attempt += 1;
        Some(RequestBody {
            source: Some(Arc::clone(self)),
            attempt: state.attempt,
            replay: Replay::First,
            remaining: self.length,
        })
    }

    /// Whether a further attempt is possible.
    pub(crate) fn can_repeat(&self) -> bool {
        let state = self.lock();
        state.kept.is_whole && state.end != End::Failed
    }

    /// Whether the client broke off.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().end == End::Failed
    }

    /// Whether all has been read.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.lock();
        state.end == End::Complete || state.incoming.is_end_stream()
    }

    /// Lets go of what was kept: there will be no further attempt.
    pub(crate) fn release(&self) {
        self.lock().kept.let_go();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn poll_live(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.end {
            End::Complete => return Poll::Ready(None),
            End::Failed => return Poll::Ready(Some(Err(broken_off()))),
            End::Open => {}
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                self.end = End::Complete;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(_))) => {
                self.end = End::Failed;
                return Poll::Ready(Some(Err(broken_off())));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                self.kept.keep(&data);
                Frame::data(data)
            }
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                headers::clean_request_trailers(&mut trailers);
                self.end = End::Complete;
                if self.kept.is_whole {
                    self.kept.trailers = Some(trailers.clone());
                }
                Frame::trailers(trailers)
            }
        };
        if self.incoming.is_end_stream() {
            self.end = End::Complete;
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

fn broken_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the client broke off its request",
    )
}

// === impl Kept ===

impl Kept {
    fn keep(&mut self, data: &Bytes) {
        if !self.is_whole {
            return;
        }
        if self.first.len() + self.rest.len() + data.len() > self.limit {
            self.let_go();
        } else if self.first.is_empty() {
            self.first = data.clone();
        } else {
            // Copied together: many small chunks would each hold on to a buffer of their own.
            self.rest.extend_from_slice(data);
        }
    }

    fn let_go(&mut self) {
        self.is_whole = false;
        self.first = Bytes::new();
        self.rest = BytesMut::new();
        self.trailers = None;
    }
}

// === impl RequestBody ===

impl RequestBody {
    /// No body.
    pub(crate) const fn empty() -> Self {
        Self {
            source: None,
            attempt: 0,
            replay: Replay::Done,
            remaining: Some(0),
        }
    }
}

// === impl Replay ===

impl Replay {
    /// The next part of what an earlier attempt has read already.
    fn next(&mut self, kept: &Kept) -> Option<Frame<Bytes>> {
        loop {
            let (next, frame) = match self {
                Self::First => (Self::Rest, data(kept.first.clone())),
                Self::Rest => (Self::Trailers, data(Bytes::copy_from_slice(&kept.rest))),
                Self::Trailers => (Self::Done, kept.trailers.clone().map(Frame::trailers)),
                Self::Done => return None,
            };
            *self = next;
            if frame.is_some() {
                return frame;
            }
        }
    }
}

fn data(bytes: Bytes) -> Option<Frame<Bytes>> {
    (!bytes.is_empty()).then(|| Frame::data(bytes))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Self {
            source,
            attempt,
            replay,
            remaining,
        } = self.get_mut();
        let Some(source) = source else {
            return Poll::Ready(None);
        };
        let mut state = source.lock();
        if state.attempt != *attempt {
            return Poll::Ready(Some(Err(io::Error::other("sent again elsewhere"))));
        }
        let frame = match replay.next(&state.kept) {
            Some(frame) => Some(Ok(frame)),
            None => ready!(state.poll_live(context)),
        };
        if let Some(Ok(frame)) = &frame {
            let sent = frame.data_ref().map_or(0, Bytes::len) as u64;
            *remaining = remaining.map(|remaining| remaining.saturating_sub(sent));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // A length that is used up ends the body; hyper would otherwise ask once more.
        self.source.is_none() || self.remaining == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self.remaining {
            Some(remaining) => SizeHint::with_exact(remaining),
            None => SizeHint::default(),
        }
    }
}
