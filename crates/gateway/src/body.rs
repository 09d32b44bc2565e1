//! The body of an answer: never buffered, counted at its end however it ends.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{
    call_log::{CallLog, Ending},
    headers,
    stream_watch::{StreamWatch, Watched},
    upstream::Connection,
};

/// The body of an answer of the gateway.
#[derive(Debug)]
pub struct GatewayBody(Kind);

#[derive(Debug)]
enum Kind {
    /// Made here.
    Own(Bytes),
    /// Passes from the MCP server to the client.
    Passing(Box<Passing>),
}

#[derive(Debug)]
struct Passing {
    /// Gone when the body has ended. Dropping it before the end cancels the call at the server.
    upstream: Option<(Incoming, Connection)>,
    watch: Option<StreamWatch>,
    log: CallLog,
}

// === impl GatewayBody ===

impl GatewayBody {
    pub(crate) fn own(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Own(bytes.into()))
    }

    pub(crate) fn passing(
        incoming: Incoming,
        connection: Connection,
        watch: Option<StreamWatch>,
        log: CallLog,
    ) -> Self {
        let mut passing = Passing {
            upstream: None,
            watch,
            log,
        };
        if incoming.is_end_stream() {
            connection.give_back();
            passing.log.end(Ending::Complete);
        } else {
            passing.upstream = Some((incoming, connection));
        }
        Self(Kind::Passing(Box::new(passing)))
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().0 {
            Kind::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Passing(passing) => passing.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Own(bytes) => bytes.is_empty(),
            Kind::Passing(passing) => passing.upstream.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Passing(passing) => passing
                .upstream
                .as_ref()
                .map_or(SizeHint::with_exact(0), |(incoming, _)| {
                    incoming.size_hint()
                }),
        }
    }
}

// === impl Passing ===

impl Passing {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((incoming, _)) = &mut self.upstream else {
            return Poll::Ready(None);
        };
        if self.watch.as_ref().is_some_and(StreamWatch::is_over) {
            return self.finish(Ending::Drained);
        }
        match Pin::new(&mut *incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let is_last = incoming.is_end_stream();
                let frame = self.follow(frame);
                if is_last {
                    let _ = self.finish(Ending::Complete);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => self.finish(Ending::Complete),
            Poll::Ready(Some(Err(error))) => {
                self.upstream = None;
                self.log.end(Ending::CutByServer);
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
            Poll::Pending => self.poll_watch(context),
        }
    }

    /// The server is silent: whatever else may happen to the stream.
    fn poll_watch(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(watch) = &mut self.watch else {
            return Poll::Pending;
        };
        match watch.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Watched::Comment(comment)) => Poll::Ready(Some(Ok(Frame::data(comment)))),
            Poll::Ready(Watched::Drained) => self.finish(Ending::Drained),
            // An event stream is a list of whole events: it can end here and the client asks
            // again. Anything else would pass for complete.
            Poll::Ready(Watched::GrantEnded) if watch.is_event_stream() => {
                self.finish(Ending::GrantEnded)
            }
            Poll::Ready(Watched::GrantEnded) => {
                self.upstream = None;
                self.log.end(Ending::GrantEnded);
                Poll::Ready(Some(Err(io::Error::other("the session was ended"))))
            }
        }
    }

    fn follow(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(data) => {
                self.log.add_bytes(data.len() as u64);
                if let Some(watch) = &mut self.watch {
                    watch.follow(&data);
                }
                Frame::data(data)
            }
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                headers::clean_response_trailers(&mut trailers);
                Frame::trailers(trailers)
            }
        }
    }

    fn finish(&mut self, ending: Ending) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some((_, connection)) = self.upstream.take()
            && ending == Ending::Complete
        {
            connection.give_back();
        }
        self.log.end(ending);
        Poll::Ready(None)
    }
}
