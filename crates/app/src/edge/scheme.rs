//! Where a router that ends TLS stands before us, plain HTTP is sent to HTTPS.

use domain::{
    base_url::BaseUrl,
    oauth_error::{OAuthError, OAuthErrorCode},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};

use super::{EdgeBody, strict::json_error};

/// The answer to a request that came by plain HTTP. A request with `Authorization` is never
/// redirected: its token has already gone over the wire in the open, and the client must learn so.
pub(super) fn to_https<B>(request: &Request<B>, base_url: &BaseUrl) -> Response<EdgeBody> {
    let may_redirect = matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.headers().contains_key(header::AUTHORIZATION);
    let refusal = || {
        json_error(
            StatusCode::BAD_REQUEST,
            &OAuthError::new(
                OAuthErrorCode::InvalidRequest,
                format!(
                    "this came by plain http; use {base_url} (a TLS-terminating router must send \
                     X-Forwarded-Proto: https, see MCP_AUTH_PROXY_TRUSTED_PROXIES)"
                ),
            ),
        )
    };
    if !may_redirect {
        return refusal();
    }
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let location = format!("{}{target}", base_url.origin());
    let Ok(location) = HeaderValue::from_str(&location) else {
        return refusal();
    };
    let mut response = Response::new(EdgeBody::from(String::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    response
}
