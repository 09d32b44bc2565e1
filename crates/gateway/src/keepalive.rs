//! Where in an event stream a comment may stand (HTML Standard §9.2.6, server-sent events).

use bytes::Bytes;

/// What a silent stream gets: a comment line, and the empty line that ends it.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Follows an event stream and knows whether it stands between two events. Lines end in LF, CR
/// or CR LF, and a chunk may end anywhere, between CR and LF too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventBoundary {
    is_between: bool,
    is_line_empty: bool,
    is_after_cr: bool,
}

impl EventBoundary {
    /// The beginning of a stream: no event has begun.
    pub(crate) const fn new() -> Self {
        Self {
            is_between: true,
            is_line_empty: true,
            is_after_cr: false,
        }
    }

    /// Whether no event is under way, so that a comment disturbs none. After an empty line that
    /// ended in CR this is so too: an LF that still belongs to it makes one more empty line
    /// behind the comment, which means nothing.
    pub(crate) const fn is_between(self) -> bool {
        self.is_between
    }

    /// Follows the next bytes of the stream.
    pub(crate) fn follow(&mut self, bytes: &[u8]) {
        // The last two line ends decide: four bytes at most. What came before them need not be
        // looked at, however large an event is.
        let tail = if let Some((_, tail)) = bytes.split_last_chunk::<4>() {
            if bytes.len() > tail.len() {
                self.is_line_empty = false;
                self.is_after_cr = false;
            }
            tail.as_slice()
        } else {
            bytes
        };
        for byte in tail {
            self.step(*byte);
        }
    }

    const fn step(&mut self, byte: u8) {
        match byte {
            b'\n' if self.is_after_cr => self.is_after_cr = false,
            b'\n' | b'\r' => {
                self.is_between = self.is_line_empty;
                self.is_line_empty = true;
                self.is_after_cr = byte == b'\r';
            }
            _ => {
                self.is_between = false;
                self.is_line_empty = false;
                self.is_after_cr = false;
            }
        }
    }
}

#[cfg(test)]
mod tests;
