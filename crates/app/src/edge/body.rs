//! One body type for all who answer, and a bound on the time that a request's body may take.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use gateway::GatewayBody;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::{Sleep, sleep};

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum EdgeBody {
    /// Streamed from an MCP server, or the gateway's own.
    Gateway(GatewayBody),
    /// From a route of the authorization server.
    Routed(axum::body::Body),
    /// The edge's own.
    Fixed(Full<Bytes>),
}

/// The body of a request that must be there within a time, however slowly it trickles: who sends
/// forms of some kilobytes needs no longer, and everybody else only holds a connection.
#[derive(Debug)]
pub(super) struct TimelyBody<B> {
    body: B,
    within: Duration,
    /// Runs from the first time that nothing has arrived yet.
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl TimelyBody ===

impl<B> TimelyBody<B> {
    pub(super) const fn new(body: B, within: Duration) -> Self {
        Self {
            body,
            within,
            timer: None,
        }
    }
}

impl<B> Body for TimelyBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep(this.within)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl EdgeBody ===

impl From<GatewayBody> for EdgeBody {
    fn from(body: GatewayBody) -> Self {
        Self::Gateway(body)
    }
}

impl From<axum::body::Body> for EdgeBody {
    fn from(body: axum::body::Body) -> Self {
        Self::Routed(body)
    }
}

impl From<String> for EdgeBody {
    fn from(text: String) -> Self {
        Self::Fixed(Full::from(text))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Gateway(body) => Pin::new(body).poll_frame(context),
            Self::Routed(body) => Pin::new(body).poll_frame(context).map_err(io::Error::other),
            Self::Fixed(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Gateway(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
            Self::Fixed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Gateway(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
            Self::Fixed(body) => body.size_hint(),
        }
    }
}
