//! Which web pages may call an MCP endpoint, and what their browsers are told.
//!
//! The check stands before authentication: it guards against DNS rebinding, where a page makes a
//! browser inside call a server inside. Credentials (cookies) are never allowed, since none are
//! read here.

use domain::base_url::{BaseUrl, is_loopback};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use url::Url;

use crate::answer::ENDPOINT_METHODS;

/// Response headers that a page's script may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "WWW-Authenticate, Mcp-Session-Id, Mcp-Protocol-Version, Retry-After, RateLimit, \
     RateLimit-Policy, X-Request-Id",
);
const METHODS: HeaderValue = HeaderValue::from_static(ENDPOINT_METHODS);
/// How long a browser may remember a preflight, in seconds; the longest that Chromium honours.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins let in.
#[derive(Debug)]
pub(crate) struct Origins {
    allowed: Vec<String>,
}

/// A page from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ForeignOrigin;

// === impl Origins ===

impl Origins {
    /// Our own, and those that were configured.
    pub(crate) fn new(base_url: &BaseUrl, allowed: &[String]) -> Self {
        let normal = |text: &String| {
            let text = text.trim().trim_end_matches('/');
            match Url::parse(text).map(|url| url.origin()) {
                Ok(origin) if origin.is_tuple() => origin.ascii_serialization(),
                _ => text.to_ascii_lowercase(),
            }
        };
        Self {
            allowed: std::iter::once(base_url.origin())
                .chain(allowed.iter().map(normal))
                .collect(),
        }
    }

    /// The origin of a request, if it names one that is let in. `null` is let in nowhere.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, ForeignOrigin> {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(ForeignOrigin);
        }
        let text = value.to_str().map_err(|_| ForeignOrigin)?;
        let is_allowed = self
            .allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(text));
        if is_allowed || is_loopback_origin(text) {
            Ok(Some(value.clone()))
        } else {
            Err(ForeignOrigin)
        }
    }
}

/// Whether a request is a browser's question before the real one (Fetch §4.8).
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer's headers for a preflight from an origin that is let in, besides
/// [`allow`]'s. All header names asked for are allowed: MCP and its extensions add new ones.
pub(crate) fn preflight_headers(asked: &HeaderMap, answer: &mut HeaderMap) {
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        answer.append(
            VARY,
            HeaderValue::from_static("Access-Control-Request-Headers"),
        );
    }
}

/// Lets the page at `origin` read an answer.
pub(crate) fn allow(origin: HeaderValue, answer: &mut HeaderMap) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    answer.append(VARY, HeaderValue::from_static("Origin"));
}

fn is_loopback_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && is_loopback(&url)
            // Nothing but an origin: no path, no user information.
            && url.origin().ascii_serialization().eq_ignore_ascii_case(text)
    })
}

#[cfg(test)]
mod tests;
