//! One call through the gateway.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{base_url::BaseUrl, request::RequestContext, resource::Resource, scope::ScopeSet};
use grants::Grants;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::body::GatewayBody;

/// A protected MCP server.
#[derive(Clone, Debug)]
pub struct McpServer {
    /// Where it is reached; its query is kept and the client's appended.
    pub url: Url,
    /// Path at which we serve it, with our prefix, without a trailing slash (`""` at the root).
    pub path: String,
    /// Its canonical public URL.
    pub resource: Resource,
    /// Absolute URL of its protected resource metadata; a sub-path is appended for calls below.
    pub resource_metadata: String,
    /// What a person's browser gets with the 401, as HTML.
    pub connect_page: Bytes,
    /// Paths passed to its origin without a token, GET and HEAD only.
    pub public_paths: Vec<String>,
}

/// What the gateway needs to know.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Our public URL.
    pub base_url: BaseUrl,
    /// The protected MCP servers; no path of one is a prefix of another's.
    pub servers: Vec<McpServer>,
    /// Scopes named in a challenge (all that we offer, without `offline_access`).
    pub challenge_scopes: ScopeSet,
    /// Browser origins let in besides our own and loopback.
    pub allowed_origins: Vec<String>,
    /// Size up to which a request body is kept for one retry, in bytes.
    pub max_body: usize,
    /// Silence of an event stream after which it gets a comment line; zero is never.
    pub sse_keepalive: Duration,
}

/// The gateway of this process.
#[derive(Debug)]
pub struct Gateway {}

impl Gateway {
    /// A gateway before `settings.servers`. `closing` ends its event streams at a drain; tasks
    /// that outlive a request are of `tasks`.
    pub fn new(
        _settings: GatewaySettings,
        _grants: Arc<Grants>,
        _tasks: TaskTracker,
        _closing: CancellationToken,
    ) -> Self {
        todo!()
    }

    /// Whether a path (as it came, with our prefix) is the gateway's.
    pub fn serves(&self, _path: &str) -> bool {
        todo!()
    }

    /// Answers one request whose path [`Gateway::serves`]. The edge has put its
    /// [`RequestContext`] into the extensions.
    pub async fn handle(
        &self,
        _request: Request<Incoming>,
        _context: &RequestContext,
    ) -> Response<GatewayBody> {
        todo!()
    }
}
