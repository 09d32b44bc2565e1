//! Which requests are the gateway's, and which place at the MCP server each one means.

use domain::{metadata::path, request::is_ambiguous_path};
use http::{Uri, uri::PathAndQuery};
use url::Url;

/// A place at an MCP server, made once from its URL.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where we serve it.
    mount: String,
    /// Its path as it was configured, perhaps with a trailing slash.
    exact_path: String,
    /// The same without a trailing slash: what sub-paths are appended to.
    base_path: String,
    query: Option<String>,
}

/// A path that means different things to different readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmbiguousPath;

/// What of `path` lies below `mount`: `""`, or a text that begins with `/`.
pub(crate) fn below<'a>(path: &'a str, mount: &str) -> Option<&'a str> {
    path.strip_prefix(mount)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path (without our prefix) belongs to our own endpoints.
pub(crate) fn is_own_endpoint(asked: &str, callback_path: &str) -> bool {
    path::OWN
        .into_iter()
        .chain([callback_path].into_iter().filter(|path| path.len() > 1))
        .any(|endpoint| below(asked, endpoint).is_some())
}

/// Refuses paths that the MCP server might read as another place than the one that was matched.
pub(crate) fn check(path: &str) -> Result<(), AmbiguousPath> {
    if is_ambiguous_path(path) {
        Err(AmbiguousPath)
    } else {
        Ok(())
    }
}

/// A path that a client chose, so that it can stand in a URL inside a quoted string.
pub(crate) fn quoted_path(path: &str) -> String {
    use std::fmt::Write as _;
    let mut quoted = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' | b'<' | b'>' | b'`' | b'{' | b'|' | b'}' | b'^' | ..=0x20 | 0x7f.. => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "%{byte:02X}");
            }
            byte => quoted.push(char::from(byte)),
        }
    }
    quoted
}

// === impl Target ===

impl Target {
    /// The place of a server served at `mount`.
    pub(crate) fn new(url: &Url, mount: &str) -> Self {
        Self {
            mount: mount.to_owned(),
            exact_path: url.path().to_owned(),
            base_path: url.path().trim_end_matches('/').to_owned(),
            query: url.query().map(str::to_owned),
        }
    }

    /// Path and query at the server for a request at `asked`, of which `below` lies below the
    /// mount. The server URL's own query comes first, the client's is appended as it is.
    pub(crate) fn uri(&self, asked: &PathAndQuery, below: &str) -> Result<Uri, http::Error> {
        let (ours, base) = if below.is_empty() {
            (self.mount.as_str(), self.exact_path.as_str())
        } else {
            (self.mount.as_str(), self.base_path.as_str())
        };
        if ours == base && self.query.is_none() {
            return Ok(Uri::from(asked.clone()));
        }
        let mut text = format!("{base}{below}");
        let queries = [self.query.as_deref(), asked.query()];
        for (index, query) in queries.into_iter().flatten().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(query);
        }
        Ok(Uri::try_from(text)?)
    }

    /// Where we serve a path of the server, for redirects that it names.
    pub(crate) fn public_path(&self, path: &str) -> Option<String> {
        below(path, &self.base_path).map(|rest| format!("{}{rest}", self.mount))
    }
}

#[cfg(test)]
mod tests;
