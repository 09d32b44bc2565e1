//! Answers of the gateway's own: refusals and faults, each with what happened and what to do.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use domain::{
    rate::{Standing, whole_seconds},
    scope::ScopeSet,
};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use serde_json::json;

use crate::{
    body::GatewayBody,
    challenge::{ChallengeError, challenge},
    upstream::UpstreamError,
};

/// Methods that pass at an MCP endpoint (others that a server invents pass too).
pub(crate) const ENDPOINT_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Methods that pass at a public path.
pub(crate) const PUBLIC_METHODS: &str = "GET, HEAD";

const TOO_MANY: &str = "This session sends more requests than the operator of the proxy before this \
    MCP server allows; wait as long as Retry-After says";

/// Why a request is not answered by the MCP server.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nothing is served at this path.
    NotFound,
    /// The path could be read in two ways.
    AmbiguousPath,
    /// The method is not served; these are.
    Method(&'static str),
    /// A page from elsewhere.
    ForeignOrigin,
    /// Credentials shown in two ways.
    SeveralCredentials(&'static str),
    /// Nobody was named: the client begins its login here.
    NoToken(ChallengePlace),
    /// The same, and a person looks at it.
    Browser(ChallengePlace, ConnectPage),
    /// A token was shown that opens nothing.
    InvalidToken(ChallengePlace, Cow<'static, str>),
    /// The session has made more requests than it may.
    TooMany(Standing),
    /// A passing fault: the token is not judged.
    Later(&'static str, Duration),
    /// The identity token cannot be sent.
    UnsendableToken,
    /// The MCP server gave no answer.
    Upstream(UpstreamError),
}

/// What a challenge points at.
#[derive(Clone, Debug)]
pub(crate) struct ChallengePlace {
    /// URL of the protected resource metadata for the path asked.
    pub(crate) resource_metadata: String,
    /// Scopes to ask for.
    pub(crate) scopes: ScopeSet,
}

/// What a person's browser gets.
#[derive(Clone, Debug)]
pub(crate) struct ConnectPage {
    /// HTML.
    pub(crate) html: Bytes,
    /// Its content security policy.
    pub(crate) policy: HeaderValue,
}

/// Whether a person's browser asks, not an MCP client.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    let accepts = |kind| {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.to_ascii_lowercase().contains(kind))
    };
    accepts("text/html") && !accepts("text/event-stream")
}

// === impl Refusal ===

impl Refusal {
    /// The answer. `reference` names the request in the log.
    pub(crate) fn into_response(self, reference: &str) -> Response<GatewayBody> {
        match self {
            Self::NotFound => oauth_error(
                StatusCode::NOT_FOUND,
                "not_found",
                "nothing is served at this path",
            ),
            Self::AmbiguousPath => oauth_error(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "the path holds dot segments, backslashes, or encoded dots, slashes or NUL; write it plainly",
            ),
            Self::Method(allowed) => {
                let mut response = oauth_error(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "invalid_request",
                    "this method is not served here",
                );
                set(&mut response, ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Self::ForeignOrigin => oauth_error(
                StatusCode::FORBIDDEN,
                "access_denied",
                "pages of this origin may not call this server; its operator can let them in with MCP_AUTH_PROXY_ALLOWED_ORIGINS",
            ),
            Self::SeveralCredentials(description) => {
                oauth_error(StatusCode::BAD_REQUEST, "invalid_request", description)
            }
            Self::NoToken(place) => {
                let response = oauth_error(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "no access token was sent in the Authorization header; WWW-Authenticate says where to get one",
                );
                with_challenge(response, &place, None)
            }
            Self::Browser(place, page) => with_challenge(page.into_response(), &place, None),
            Self::InvalidToken(place, description) => {
                let error = ChallengeError {
                    code: "invalid_token",
                    description,
                };
                let response =
                    oauth_error(StatusCode::UNAUTHORIZED, error.code, &error.description);
                with_challenge(response, &place, Some(&error))
            }
            Self::TooMany(standing) => later(
                rpc_error(StatusCode::TOO_MANY_REQUESTS, TOO_MANY, reference),
                standing.resets_in,
            ),
            Self::Later(description, after) => later(
                rpc_error(StatusCode::SERVICE_UNAVAILABLE, description, reference),
                after,
            ),
            Self::UnsendableToken => rpc_error(
                StatusCode::BAD_GATEWAY,
                "The identity provider's access token cannot stand in an HTTP header, so it cannot be passed on to the MCP server",
                reference,
            ),
            Self::Upstream(error) => upstream_error(&error, reference),
        }
    }
}

/// Whole seconds, and a client that comes back at once only finds the same.
fn later(mut response: Response<GatewayBody>, after: Duration) -> Response<GatewayBody> {
    let seconds = whole_seconds(after).max(1);
    set(&mut response, RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn upstream_error(error: &UpstreamError, reference: &str) -> Response<GatewayBody> {
    let (status, text) = match error {
        UpstreamError::Connect(_) => (
            StatusCode::BAD_GATEWAY,
            "The MCP server behind this proxy cannot be reached. Whoever runs it: see that it is started and listens where MCP_SERVER_URL points; the proxy's log says more",
        ),
        UpstreamError::Closed(_) => (
            StatusCode::BAD_GATEWAY,
            "The MCP server behind this proxy closed the connection without an answer. Whoever runs it: see its log for a crash",
        ),
        UpstreamError::Invalid(_) | UpstreamError::Switched => (
            StatusCode::BAD_GATEWAY,
            "What the MCP server behind this proxy answered is not valid HTTP/1.1. Whoever runs it: see that MCP_SERVER_URL names its HTTP port; the proxy's log says more",
        ),
        UpstreamError::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            "The MCP server behind this proxy did not answer in time",
        ),
        UpstreamError::ClientBrokeOff => {
            return oauth_error(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                "the request's body ended early or is malformed",
            );
        }
        UpstreamError::NotRepeatable => (
            StatusCode::BAD_GATEWAY,
            "The connection to the MCP server broke, and the request is too large to be sent again by the proxy; send it again",
        ),
    };
    rpc_error(status, text, reference)
}

/// A fault as an MCP client reads it: a JSON-RPC error without an id, since which message it
/// answers is not known here.
fn rpc_error(status: StatusCode, message: &str, reference: &str) -> Response<GatewayBody> {
    // -32000 to -32099 are for servers to use (JSON-RPC 2.0 §5.1); -32001 is the SDKs' timeout.
    let code = match status {
        StatusCode::GATEWAY_TIMEOUT => -32001,
        _ => -32000,
    };
    json_response(
        status,
        &json!({
            "jsonrpc": "2.0",
            "error": { "code": code, "message": message, "data": { "reference": reference } },
            "id": null,
        }),
    )
}

fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response<GatewayBody> {
    json_response(
        status,
        &json!({ "error": error, "error_description": description }),
    )
}

fn json_response(status: StatusCode, value: &serde_json::Value) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::own(value.to_string()));
    *response.status_mut() = status;
    set(
        &mut response,
        CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    set(
        &mut response,
        CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    response
}

fn with_challenge(
    mut response: Response<GatewayBody>,
    place: &ChallengePlace,
    error: Option<&ChallengeError>,
) -> Response<GatewayBody> {
    let value = challenge(&place.resource_metadata, &place.scopes, error);
    set(&mut response, WWW_AUTHENTICATE, value);
    response
}

fn set(response: &mut Response<GatewayBody>, name: http::HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}

// === impl ConnectPage ===

impl ConnectPage {
    fn into_response(self) -> Response<GatewayBody> {
        let mut response = Response::new(GatewayBody::own(self.html));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        let headers = [
            (
                CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (CONTENT_SECURITY_POLICY, self.policy),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (VARY, HeaderValue::from_static("Accept")),
        ];
        response.headers_mut().extend(headers);
        response
    }
}

#[cfg(test)]
mod tests;
