//! A connection that must begin to speak within a time.
//!
//! Which version of HTTP a client speaks shows in its first bytes, and whoever waits for them has no
//! clock of its own: the bound of a request's header begins only behind them. Without this one, a
//! peer that connects and vanishes would be waited for for ever.

#[cfg(test)]
mod tests;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// With what HTTP/2 begins (RFC 9113 §3.4); all else is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose reader is told of a timeout if it is not known in time what the peer speaks.
#[derive(Debug)]
pub(super) struct FirstBytes<S> {
    stream: S,
    /// Until it is known.
    open: Option<Undecided>,
}

#[derive(Debug)]
struct Undecided {
    timer: Pin<Box<Sleep>>,
    /// Bytes so far, all of which the preface has too.
    matched: usize,
}

// === impl FirstBytes ===

impl<S> FirstBytes<S> {
    /// The time runs from now on.
    pub(super) fn new(stream: S, within: Duration) -> Self {
        let open = Undecided {
            timer: Box::pin(sleep(within)),
            matched: 0,
        };
        Self {
            stream,
            open: Some(open),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let Some(open) = &mut this.open else {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        };
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            let arrived = buffer.filled().get(before..).unwrap_or_default();
            if open.is_decided_by(arrived) {
                this.open = None;
            }
            return Poll::Ready(read);
        }
        ready!(open.timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

// === impl Undecided ===

impl Undecided {
    /// Whether these bytes, after those before, tell one version from the other.
    fn is_decided_by(&mut self, arrived: &[u8]) -> bool {
        let expected = PREFACE.get(self.matched..).unwrap_or_default();
        if !expected.starts_with(arrived) {
            return true;
        }
        self.matched += arrived.len();
        self.matched == PREFACE.len()
    }
}
