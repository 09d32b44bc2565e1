//! What the edge learned of a request before any rule looks at it.

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
