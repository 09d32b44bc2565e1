//! Headers towards the MCP server and back.
//!
//! Everything end-to-end passes, but for what a server might trust and a client might forge
//! (taken out in any spelling, since many servers read `X_Name` or `X.Name` as `X-Name`), what
//! speaks to this hop only, and what our own origin must not be told by a server behind us.

use std::{borrow::Cow, fmt::Write as _, net::IpAddr};

use domain::{base_url::BaseUrl, id::ClientId, rate::Standing, request::RequestContext};
use grants::IdentityToken;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, FORWARDED, HOST,
        LOCATION, TE, TRANSFER_ENCODING, USER_AGENT, X_CONTENT_TYPE_OPTIONS,
    },
};
use url::Url;

use crate::routing::Target;

/// Names the request in both directions.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Tells routers in front of us not to gather an event stream.
pub(crate) const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_AUTHORIZATION_SCOPE: HeaderName = HeaderName::from_static("x-authorization-scope");
const X_DYNAMIC_CLIENT_ID: HeaderName = HeaderName::from_static("x-dynamic-client-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Of browsers, and of the proxies that log people in before a server: one that stood behind such a
/// proxy may still believe who they say the user is.
const TAKEN_PREFIXES: [&str; 16] = [
    "sec-",
    "x-forwarded-",
    "x-auth-request-",
    "x-remote-",
    "remote-",
    "cf-access-",
    "ssl-client-",
    "x-ssl-client-",
    "x-amzn-oidc-",
    "x-authentik-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-pomerium-",
    "x-vouch-",
    "x-webauth-",
];
/// Everything that a page usually does, but `allow-same-origin`. It joins the answer's own policy.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox allow-downloads allow-forms allow-modals allow-popups \
     allow-popups-to-escape-sandbox allow-scripts",
);
const DEFAULT_USER_AGENT: HeaderValue = HeaderValue::from_static("MCP-Auth-Proxy");

/// What each request to one MCP server is told, made once.
#[derive(Debug)]
pub(crate) struct RequestHeaders {
    host: HeaderValue,
    public_host: HeaderValue,
    public_scheme: HeaderValue,
    /// `;host="…";proto=…`, behind the `for` of `Forwarded` (RFC 7239 §4).
    forwarded_tail: String,
}

/// The user, as the MCP server is told.
#[derive(Clone, Debug)]
pub(crate) struct IdentityHeaders {
    authorization: HeaderValue,
    scope: Option<HeaderValue>,
}

/// The identity token holds characters that no header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnsendableToken;

/// Tells a client how its session stands (draft-ietf-httpapi-ratelimit-headers). Both are lists: a
/// budget of the MCP server's own stays beside it.
pub(crate) fn tell_standing(standing: &Standing, answer: &mut HeaderMap) {
    for (name, text) in [
        (RATELIMIT_POLICY, standing.policy_header()),
        (RATELIMIT, standing.header()),
    ] {
        if let Ok(value) = HeaderValue::try_from(text) {
            answer.append(name, value);
        }
    }
}

// === impl IdentityHeaders ===

impl IdentityHeaders {
    /// The headers for an identity token.
    pub(crate) fn new(token: &IdentityToken) -> Result<Self, UnsendableToken> {
        let secret = token.access_token.expose();
        let mut text = String::with_capacity("bearer ".len() + secret.len());
        text.push_str("bearer ");
        text.push_str(secret);
        let mut authorization = HeaderValue::try_from(text).map_err(|_| UnsendableToken)?;
        authorization.set_sensitive(true);
        Ok(Self {
            authorization,
            scope: HeaderValue::from_str(&token.scope).ok(),
        })
    }

    /// Puts them into a request that [`RequestHeaders::prepare`] has gone over.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.authorization.clone());
        if let Some(scope) = &self.scope {
            headers.insert(X_AUTHORIZATION_SCOPE, scope.clone());
        }
    }
}

// === impl RequestHeaders ===

impl RequestHeaders {
    /// For the server at `url` behind the public `base_url`.
    pub(crate) fn new(url: &Url, base_url: &BaseUrl) -> Self {
        let public_host = authority(base_url.as_url());
        let scheme = base_url.as_url().scheme();
        // An authority from a parsed URL always fits into a header.
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        Self {
            host: value(&authority(url)),
            public_host: value(&public_host),
            public_scheme: value(scheme),
            forwarded_tail: format!(";host=\"{public_host}\";proto={scheme}"),
        }
    }

    /// Takes out what the server must not see and sets what it is told, but for the identity.
    pub(crate) fn prepare(
        &self,
        headers: &mut HeaderMap,
        context: &RequestContext,
        client: Option<&ClientId>,
    ) {
        let wants_trailers = accepts_trailers(headers);
        remove_connection_named(headers);
        remove_where(headers, is_taken_from_request);
        if wants_trailers {
            // We pass them on, so we may say so for our own hop (RFC 9110 §10.1.4).
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
        headers.insert(HOST, self.host.clone());
        headers
            .entry(USER_AGENT)
            .or_insert_with(|| DEFAULT_USER_AGENT.clone());
        if let Some(client) = client.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
            headers.insert(X_DYNAMIC_CLIENT_ID, client);
        }
        if let Ok(id) = HeaderValue::from_str(&context.id) {
            headers.insert(X_REQUEST_ID, id);
        }
        self.set_forwarded(headers, context.address.to_canonical());
    }

    fn set_forwarded(&self, headers: &mut HeaderMap, address: IpAddr) {
        let mut text = String::with_capacity(64 + self.forwarded_tail.len());
        // Writing to a string does not fail.
        let _ = match address {
            IpAddr::V4(address) => write!(text, "for={address}"),
            IpAddr::V6(address) => write!(text, "for=\"[{address}]\""),
        };
        text.push_str(&self.forwarded_tail);
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(FORWARDED, value);
        }
        if let Ok(value) = HeaderValue::try_from(address.to_string()) {
            headers.insert(X_FORWARDED_FOR, value);
        }
        headers.insert(X_FORWARDED_HOST, self.public_host.clone());
        headers.insert(X_FORWARDED_PROTO, self.public_scheme.clone());
    }
}

/// Takes out of an answer what belongs to the hop behind us or would speak for our origin.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    remove_connection_named(headers);
    remove_where(headers, is_taken_from_response);
}

/// Keeps an answer that any browser may open from acting as a page of ours: a script in it could give
/// consent in its reader's name. As a page of no origin it works, and can do nothing here.
pub(crate) fn confine(headers: &mut HeaderMap) {
    headers.append(CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Takes out of a request's trailers what its headers may not hold either.
pub(crate) fn clean_request_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_taken_from_request(name) || is_framing(&hyphenated(name))
    });
}

/// Takes out of an answer's trailers what its headers may not hold either.
pub(crate) fn clean_response_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, |name| {
        is_taken_from_response(name) || is_framing(name)
    });
}

/// Rewrites a redirect within the MCP server to where we serve it; its own address means nothing
/// outside. Redirects to elsewhere stay as they are.
pub(crate) fn rewrite_location(
    headers: &mut HeaderMap,
    server: &Url,
    target: &Target,
    base_url: &BaseUrl,
) {
    let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
        return;
    };
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let url = if is_path {
        server.join(location)
    } else {
        Url::parse(location)
    };
    let Some(url) = url.ok().filter(|url| url.origin() == server.origin()) else {
        return;
    };
    let Some(mut public) = target.public_path(url.path()) else {
        return;
    };
    if !is_path {
        public.insert_str(0, &base_url.origin());
    }
    for (mark, part) in [('?', url.query()), ('#', url.fragment())] {
        if let Some(part) = part {
            public.push(mark);
            public.push_str(part);
        }
    }
    if let Ok(value) = HeaderValue::try_from(public) {
        headers.insert(LOCATION, value);
    }
}

/// Whether an answer is an event stream.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The framing of a request towards the server: by length where it is known, else in chunks
/// (which hyper would not choose by itself for every method).
pub(crate) fn set_framing(headers: &mut HeaderMap, length: Option<u64>) {
    if length.is_none() {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Host and port as `Host` has them, from a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Host and port of a target in absolute form are not the path's matter: only path and query.
pub(crate) fn path_and_query(uri: &Uri) -> http::uri::PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or(http::uri::PathAndQuery::from_static("/"))
}

/// Whether the client reads trailers.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Removes what `Connection` names (RFC 9110 §7.6.1).
fn remove_connection_named(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // The length belongs to the message; hyper checks it against the body.
        .filter(|name| name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, is_taken: impl Fn(&str) -> bool) {
    let taken: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_taken(name.as_str()))
        .cloned()
        .collect();
    for name in taken {
        headers.remove(name);
    }
}

fn is_taken_from_request(name: &str) -> bool {
    let hyphenated = hyphenated(name);
    if matches!(hyphenated, Cow::Owned(_)) && is_framing(&hyphenated) {
        // Another spelling of what frames or routes the message: nobody means well by it.
        return true;
    }
    is_hop_by_hop(&hyphenated)
        || matches!(
            hyphenated.as_ref(),
            "authorization"
                | "cf-connecting-ip"
                | "cf-connecting-ipv6"
                | "client-cert"
                | "client-cert-chain"
                | "cookie"
                | "cookie2"
                | "expect"
                | "fastly-client-ip"
                | "forwarded"
                | "http2-settings"
                | "origin"
                // CGI programs take it for the variable `HTTP_PROXY`.
                | "proxy"
                | "referer"
                | "true-client-ip"
                | "x-authorization-scope"
                | "x-client-cert"
                | "x-client-ip"
                | "x-cluster-client-ip"
                | "x-dynamic-client-id"
                | "x-forwarded"
                // Some servers act by these instead of by the method.
                | "x-http-method"
                | "x-http-method-override"
                | "x-method-override"
                // Some frameworks route by these instead of by the path that was checked.
                | "x-original-host"
                | "x-original-url"
                | "x-real-ip"
                | "x-request-id"
                | "x-rewrite-url"
        )
        || TAKEN_PREFIXES
            .iter()
            .any(|prefix| hyphenated.starts_with(prefix))
}

fn is_taken_from_response(name: &str) -> bool {
    is_hop_by_hop(name)
        || matches!(
            name,
            "alt-svc"
                | "clear-site-data"
                | "service-worker-allowed"
                | "set-cookie"
                | "set-cookie2"
                | "www-authenticate"
                | "x-request-id"
        )
        || name.starts_with("access-control-")
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_framing(name: &str) -> bool {
    matches!(
        name,
        "content-length" | "host" | "transfer-encoding" | "trailer"
    )
}

/// As servers of CGI's tradition read a name: all that is no letter or digit becomes the same.
fn hyphenated(name: &str) -> Cow<'_, str> {
    let is_odd = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-';
    if name.bytes().any(is_odd) {
        Cow::Owned(name.replace(|character: char| !character.is_ascii_alphanumeric(), "-"))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests;
