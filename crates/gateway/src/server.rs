//! The protected MCP servers, each with all that is made once for it.

use std::borrow::Cow;

use domain::{base_url::BaseUrl, scope::ScopeSet};
use http::{HeaderValue, Method};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    answer::{ChallengePlace, ConnectPage, PUBLIC_METHODS, Refusal},
    headers::RequestHeaders,
    routing::{self, Target},
    settings::McpServer,
    upstream::{Trust, Upstream},
};

const STRICT_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// One protected MCP server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) settings: McpServer,
    pub(crate) upstream: Upstream,
    pub(crate) target: Target,
    pub(crate) headers: RequestHeaders,
    connect_page: ConnectPage,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Servers {
    all: Vec<Server>,
    /// Our prefix, where our own endpoints are.
    prefix: String,
    callback_path: String,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// To a protected server; with what of the path lies below its own.
    Protected(&'a Server, &'a str),
    /// To a server's origin, without a token.
    Public(&'a Server),
}

// === impl Server ===

impl Server {
    /// Makes all that is needed for one server.
    pub(crate) fn new(
        settings: McpServer,
        base_url: &BaseUrl,
        trust: &Trust,
        tasks: &TaskTracker,
        closing: &CancellationToken,
    ) -> Self {
        Self {
            upstream: Upstream::new(&settings.url, trust, tasks.clone(), closing.clone()),
            target: Target::new(&settings.url, &settings.path),
            headers: RequestHeaders::new(&settings.url, base_url),
            connect_page: ConnectPage {
                html: settings.connect_page.clone(),
                policy: HeaderValue::from_str(&settings.connect_page_csp)
                    .ok()
                    .filter(|policy| !policy.is_empty())
                    .unwrap_or(STRICT_POLICY),
            },
            settings,
        }
    }

    /// What a challenge for a call at `below` points at (RFC 9728 §3.3: the document of exactly
    /// the resource that was asked).
    pub(crate) fn place(&self, below: &str, scopes: ScopeSet) -> ChallengePlace {
        let metadata = &self.settings.resource_metadata;
        ChallengePlace {
            resource_metadata: format!("{metadata}{}", routing::quoted_path(below)),
            scopes,
        }
    }

    /// What a person's browser gets.
    pub(crate) fn connect_page(&self) -> ConnectPage {
        self.connect_page.clone()
    }

    /// The server as the log names it: without user information and query.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        let url = &self.settings.url;
        if url.username().is_empty() && url.password().is_none() && url.query().is_none() {
            return Cow::Borrowed(url.as_str());
        }
        let host = crate::headers::authority(url);
        Cow::Owned(format!("{}://{host}{}", url.scheme(), url.path()))
    }
}

// === impl Servers ===

impl Servers {
    /// The servers behind `base_url`.
    pub(crate) fn new(servers: Vec<Server>, base_url: &BaseUrl, callback_path: String) -> Self {
        Self {
            all: servers,
            prefix: base_url.prefix().to_owned(),
            callback_path,
        }
    }

    /// Whether a path is one of the servers'.
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.public(path).is_some() || self.protected(path).is_some()
    }

    /// Where a request goes.
    pub(crate) fn find<'a>(&'a self, path: &'a str, method: &Method) -> Result<Route<'a>, Refusal> {
        routing::check(path).map_err(|routing::AmbiguousPath| Refusal::AmbiguousPath)?;
        let public = self.public(path);
        if let Some(server) = public
            && (method == Method::GET || method == Method::HEAD)
        {
            return Ok(Route::Public(server));
        }
        if let Some((server, below)) = self.protected(path) {
            return Ok(Route::Protected(server, below));
        }
        Err(match public {
            Some(_) => Refusal::Method(PUBLIC_METHODS),
            None => Refusal::NotFound,
        })
    }

    fn public(&self, path: &str) -> Option<&Server> {
        let is_public = |server: &&Server| server.settings.public_paths.iter().any(|it| it == path);
        self.all.iter().find(is_public)
    }

    fn protected<'a>(&'a self, path: &'a str) -> Option<(&'a Server, &'a str)> {
        self.all.iter().find_map(|server| {
            let mount = server.settings.path.as_str();
            let below = routing::below(path, mount)?;
            let is_ours =
                mount == self.prefix && routing::is_own_endpoint(below, &self.callback_path);
            (!is_ours).then_some((server, below))
        })
    }
}

#[cfg(test)]
mod tests;
