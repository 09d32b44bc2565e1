//! What the edge learned of a request before any rule looks at it.

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use crate::address::ClientNetwork;

/// Travels with each request, as an extension, from the edge to whoever answers.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Names the request in the log, in `X-Request-Id` and on error pages.
    pub id: Arc<str>,
    /// The asker's address: the peer's, or the one a trusted proxy names.
    pub address: IpAddr,
}

impl RequestContext {
    /// The network that the asker's address stands for in limits and rules.
    pub fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }
}

/// Whether a server behind us could find another place under this path than we do: dot segments
/// (also with parameters, `..;x`), encoded dots, slashes, backslashes and NUL, backslashes.
pub fn is_ambiguous_path(path: &str) -> bool {
    let has_dot_segment = path.split('/').any(|segment| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name, "." | "..")
    });
    let has_encoded = path.as_bytes().windows(3).any(|window| {
        matches!(
            window,
            [b'%', b'2', b'e' | b'E' | b'f' | b'F'] | [b'%', b'5', b'c' | b'C'] | b"%00"
        )
    });
    has_dot_segment || has_encoded || path.contains('\\')
}
