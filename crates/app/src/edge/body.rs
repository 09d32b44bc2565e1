//! One body type for all who answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use gateway::GatewayBody;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

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
