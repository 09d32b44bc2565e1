//! The MCP server's output: one log event a line.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest line in one event, in bytes. A longer one is cut into several events.
const LONGEST_LINE: usize = 16 * 1024;

const READ_AT_ONCE: usize = 8 * 1024;

/// Where the server wrote.
#[derive(Clone, Copy, Debug)]
pub(super) enum Channel {
    Stdout,
    Stderr,
}

/// Cuts bytes, as they come, into lines.
#[derive(Debug, Default)]
struct LineCutter {
    pending: Vec<u8>,
}

/// Logs everything that `reader` gives, until its end.
pub(super) async fn log(channel: Channel, mut reader: impl AsyncRead + Unpin) {
    let mut cutter = LineCutter::default();
    let mut chunk = vec![0; READ_AT_ONCE];
    // An error is the end: nothing else can come of a pipe that cannot be read.
    while let Ok(count @ 1..) = reader.read(&mut chunk).await {
        cutter.push(chunk.get(..count).unwrap_or_default(), &mut |line| {
            log_line(channel, line);
        });
    }
    cutter.finish(&mut |line| log_line(channel, line));
}

/// The messages are the predecessor's: log searches of operators hold them. Its level for the second
/// was error, but most servers write all that they log there.
fn log_line(channel: Channel, line: &str) {
    match channel {
        Channel::Stdout => tracing::info!(output = line, "mcp-server stdout"),
        Channel::Stderr => tracing::info!(output = line, "mcp-server stderr"),
    }
}

// === impl LineCutter ===

impl LineCutter {
    fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.append(line, emit);
            self.finish(emit);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.append(bytes, emit);
    }

    /// Ends the line that stands open, if it holds anything.
    fn finish(&mut self, emit: &mut impl FnMut(&str)) {
        let line = std::mem::take(&mut self.pending);
        emit_line(&line, emit);
    }

    fn append(&mut self, bytes: &[u8], emit: &mut impl FnMut(&str)) {
        self.pending.extend_from_slice(bytes);
        while self.pending.len() > LONGEST_LINE {
            let rest = self.pending.split_off(self.cut());
            let line = std::mem::replace(&mut self.pending, rest);
            emit_line(&line, emit);
        }
    }

    /// Where a line that is too long is cut: at most the bound, between two characters.
    fn cut(&self) -> usize {
        let is_inside = |at: usize| {
            self.pending
                .get(at)
                .is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000)
        };
        // A character has at most three bytes after its first; more of them are no UTF-8.
        (LONGEST_LINE - 3..=LONGEST_LINE)
            .rev()
            .find(|at| !is_inside(*at))
            .unwrap_or(LONGEST_LINE)
    }
}

fn emit_line(line: &[u8], emit: &mut impl FnMut(&str)) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if !text.is_empty() {
        emit(text);
    }
}

#[cfg(test)]
mod tests;
