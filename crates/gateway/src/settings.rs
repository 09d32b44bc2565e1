//! What the gateway is told at the start.

use std::time::Duration;

use bytes::Bytes;
use domain::{base_url::BaseUrl, resource::Resource, scope::ScopeSet};
use url::Url;

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
    /// The `Content-Security-Policy` of that page; one that allows nothing where it is no header.
    pub connect_page_csp: String,
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
    /// Path of the login's callback below the base URL: with our other endpoints, what a server
    /// at the root does not get.
    pub callback_path: String,
    /// Scopes named in a challenge (all that we offer; `offline_access` is left out).
    pub challenge_scopes: ScopeSet,
    /// Browser origins let in besides our own and loopback.
    pub allowed_origins: Vec<String>,
    /// Size up to which a request body is kept for one retry, in bytes.
    pub max_body: usize,
    /// Silence of an event stream after which it gets a comment line; zero is never.
    pub sse_keepalive: Duration,
    /// Roots trusted besides the system's where a server is reached by https: PEM files.
    pub ca_certificates: Vec<Vec<u8>>,
}
