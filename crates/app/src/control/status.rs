//! What a running proxy tells of itself.

use std::time::Duration;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a running proxy tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Its process id.
    pub(crate) pid: u32,
    /// Its release.
    pub(crate) version: String,
    /// Its issuer, which is its public URL.
    pub(crate) issuer: String,
    /// The URLs of the MCP servers that it protects.
    pub(crate) mcp_urls: Vec<String>,
    /// When it began to serve.
    pub(crate) since: Timestamp,
}

// === impl Status ===

impl Status {
    /// That of this process.
    pub(crate) fn of_this_process(issuer: &str, mcp_urls: Vec<String>, since: Timestamp) -> Self {
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            issuer: issuer.to_owned(),
            mcp_urls,
            since,
        }
    }

    /// For people.
    pub(crate) fn render(&self, now: Timestamp) -> String {
        use std::fmt::Write as _;

        let mut text = String::new();
        // Writing to a `String` does not fail.
        for url in &self.mcp_urls {
            _ = writeln!(text, "MCP URL  {url}");
        }
        _ = writeln!(text, "issuer   {}", self.issuer);
        _ = writeln!(text, "process  {}", self.pid);
        _ = writeln!(text, "version  {}", self.version);
        _ = writeln!(text, "up       {}", span(now.since(self.since)));
        text
    }
}

/// A span in its two largest units.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::span;

    #[test]
    fn a_span_has_its_two_largest_units() {
        let cases = [
            (9, "9 s"),
            (69, "1 min 9 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
