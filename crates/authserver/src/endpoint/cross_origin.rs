//! Answers for browser clients of other origins: machine endpoints are open to all of them, since
//! nothing there goes by cookies.

#[cfg(test)]
mod tests;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// What scripts may read besides the headers that they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id",
);
/// The longest that browsers remember a preflight (Chromium caps it there).
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// What a preflight is told where it names no headers.
const USUAL_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, MCP-Protocol-Version");

/// Lets scripts of any origin read every answer, errors included, and answers `OPTIONS` itself.
pub(crate) async fn open_to_all(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        preflight(request.headers())
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response
}

/// The asked header names are echoed, since `*` does not cover `Authorization` (Fetch §3.2.2).
fn preflight(asked: &HeaderMap) -> Response {
    let names = asked
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .filter(|names| are_header_names(names))
        .cloned()
        .unwrap_or(USUAL_HEADERS);
    let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, allowed.clone()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, names),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        (header::ALLOW, allowed),
        (
            header::VARY,
            HeaderValue::from_static("Access-Control-Request-Headers"),
        ),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn are_header_names(list: &HeaderValue) -> bool {
    list.len() <= 1024
        && list.to_str().is_ok_and(|list| {
            list.split(',')
                .all(|name| HeaderName::from_bytes(name.trim().as_bytes()).is_ok())
        })
}
