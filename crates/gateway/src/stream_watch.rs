//! What may happen to an open stream while its server is silent: a comment is due, the grant
//! ends, the process is about to end.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use grants::Session;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::keepalive::{COMMENT, EventBoundary};

/// Watches one stream. Nothing is set up before the server is silent for the first time, since
/// most answers are there at once.
pub(crate) struct StreamWatch {
    session: Option<Session>,
    closing: Option<CancellationToken>,
    /// For an event stream.
    events: Option<Events>,
    end: Option<Pin<Box<dyn Future<Output = End> + Send>>>,
    is_draining: bool,
}

struct Events {
    boundary: EventBoundary,
    /// Silence after which a comment is due; absent where none may be put in.
    keepalive: Option<Duration>,
    silence: Option<Silence>,
}

struct Silence {
    since: Instant,
    sleep: Pin<Box<Sleep>>,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Watched {
    /// Something to send.
    Comment(Bytes),
    /// The stream is to end now, between two events.
    Drained,
    /// The grant has ended.
    GrantEnded,
}

#[derive(Clone, Copy)]
enum End {
    Grant,
    Process,
}

// === impl StreamWatch ===

impl StreamWatch {
    /// A stream that is no event stream: it is cut when its grant ends.
    pub(crate) const fn plain(session: Session) -> Self {
        Self {
            session: Some(session),
            closing: None,
            events: None,
            end: None,
            is_draining: false,
        }
    }

    /// An event stream. `closing` is given where it should end at a drain.
    pub(crate) const fn events(
        session: Option<Session>,
        keepalive: Option<Duration>,
        closing: Option<CancellationToken>,
    ) -> Self {
        Self {
            session,
            closing,
            events: Some(Events {
                boundary: EventBoundary::new(),
                keepalive,
                silence: None,
            }),
            end: None,
            is_draining: false,
        }
    }

    /// Whether it is an event stream.
    pub(crate) const fn is_event_stream(&self) -> bool {
        self.events.is_some()
    }

    /// Whether it was to end at the next boundary, and that is here.
    pub(crate) fn is_over(&self) -> bool {
        self.is_draining
            && self
                .events
                .as_ref()
                .is_none_or(|events| events.boundary.is_between())
    }

    /// Follows what the server sends.
    pub(crate) fn follow(&mut self, data: &[u8]) {
        if let Some(events) = &mut self.events {
            events.boundary.follow(data);
            if let Some(silence) = &mut events.silence {
                silence.since = Instant::now();
            }
        }
    }

    /// To be asked when the server is silent.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Watched> {
        if let Poll::Ready(end) = self.poll_end(context) {
            match end {
                End::Grant => return Poll::Ready(Watched::GrantEnded),
                End::Process => {
                    self.is_draining = true;
                    if self.is_over() {
                        return Poll::Ready(Watched::Drained);
                    }
                }
            }
        }
        match &mut self.events {
            Some(events) => events.poll_comment(context).map(Watched::Comment),
            None => Poll::Pending,
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if self.is_draining {
            return Poll::Pending;
        }
        let end = self.end.get_or_insert_with(|| {
            let (session, closing) = (self.session.clone(), self.closing.take());
            Box::pin(first_end(session, closing))
        });
        end.as_mut().poll(context)
    }
}

async fn first_end(session: Option<Session>, closing: Option<CancellationToken>) -> End {
    let grant = async {
        match &session {
            Some(session) => session.ended().await,
            None => std::future::pending().await,
        }
    };
    let process = async {
        match &closing {
            Some(closing) => closing.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = grant => End::Grant,
        () = process => End::Process,
    }
}

impl fmt::Debug for StreamWatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StreamWatch")
            .field("is_event_stream", &self.is_event_stream())
            .field("is_draining", &self.is_draining)
            .finish_non_exhaustive()
    }
}

// === impl Events ===

impl Events {
    fn poll_comment(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let Some(keepalive) = self.keepalive else {
            return Poll::Pending;
        };
        let silence = self.silence.get_or_insert_with(|| {
            let since = Instant::now();
            Silence {
                since,
                sleep: Box::pin(sleep_until(since + keepalive)),
            }
        });
        while silence.sleep.as_mut().poll(context).is_ready() {
            // The timer is not moved with every event; it finds out when it rings.
            let now = Instant::now();
            let is_due = now >= silence.since + keepalive;
            if is_due {
                silence.since = now;
            }
            silence.sleep.as_mut().reset(silence.since + keepalive);
            if is_due && self.boundary.is_between() {
                return Poll::Ready(COMMENT);
            }
        }
        Poll::Pending
    }
}
