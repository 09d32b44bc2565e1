//! What the stories share.

mod client;
mod proxy;
mod server;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};

pub(crate) use self::{
    client::{Answer, Client, next, read, request},
    proxy::{MovableClock, Proxy, base, settings},
    server::{Arrived, Raw, Server, Tls},
};

/// Any body, in both directions.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

/// A body that the test feeds, frame by frame; its end is the drop of the sender.
pub(crate) fn fed() -> (Feeder, Body) {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    (Feeder(sender), Fed(receiver).boxed())
}

pub(crate) struct Feeder(tokio::sync::mpsc::Sender<http_body::Frame<Bytes>>);

impl Feeder {
    /// Sends a chunk; an error if nobody reads any more.
    pub(crate) async fn send(&self, chunk: impl Into<Bytes>) -> Result<(), ()> {
        let frame = http_body::Frame::data(chunk.into());
        self.0.send(frame).await.map_err(|_| ())
    }

    pub(crate) async fn trailers(&self, trailers: http::HeaderMap) {
        let frame = http_body::Frame::trailers(trailers);
        self.0.send(frame).await.unwrap();
    }

    /// Waits until nobody reads any more.
    pub(crate) async fn abandoned(&self) {
        self.0.closed().await;
    }
}

struct Fed(tokio::sync::mpsc::Receiver<http_body::Frame<Bytes>>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

/// Nothing here takes long; what does hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it takes too long")
}
