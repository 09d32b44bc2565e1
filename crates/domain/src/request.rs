//! What the edge learned of a request before any rule looks at it.

#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{address::ClientNetwork, rate::Standing};

/// Travels with each request, as an extension, from the edge to whoever answers.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Names the request in the log, in `X-Request-Id` and on error pages.
    pub id: Arc<str>,
    /// The asker's address: the peer's, or the one a trusted proxy names.
    pub address: IpAddr,
    /// Whether it was counted.
    pub counted: Counted,
}

/// How its asker stands in a budget, once the request was counted. All copies share it.
#[derive(Clone, Debug, Default)]
pub struct Counted(Arc<Mutex<Option<Standing>>>);

// === impl RequestContext ===

impl RequestContext {
    /// A request that nobody has counted yet.
    pub fn new(id: Arc<str>, address: IpAddr) -> Self {
        Self {
            id,
            address,
            counted: Counted::default(),
        }
    }

    /// The network that the asker's address stands for in limits and rules.
    pub fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.address)
    }
}

// === impl Counted ===

impl Counted {
    /// Notes it; the last time counts.
    pub fn note(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
    }

    /// How the asker stands, if the request was counted.
    pub fn standing(&self) -> Option<Standing> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
