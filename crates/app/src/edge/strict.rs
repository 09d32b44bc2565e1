//! Requests that two programs could read differently are refused, before anybody reads them.

use std::fmt;

use domain::{
    oauth_error::{OAuthError, OAuthErrorCode},
    request::is_ambiguous_path,
};
use http::{HeaderValue, Request, Response, StatusCode, header};

use super::EdgeBody;

/// Longest request target that is read, in bytes: pages of ours are far below, and servers behind
/// us commonly stop at the same figure.
const MAX_TARGET_BYTES: usize = 16 * 1024;

/// Why a request is refused at the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path has dot segments or encoded separators.
    AmbiguousPath,
    /// The request target is too long.
    TargetTooLong,
    /// Two `Authorization` headers: which one counts?
    SeveralAuthorizations,
}

/// Looks at the request target and `Authorization`.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    let path = request.uri().path();
    let query = request.uri().query().map_or(0, str::len);
    if path.len() + query > MAX_TARGET_BYTES {
        return Err(Refusal::TargetTooLong);
    }
    if is_ambiguous_path(path) {
        return Err(Refusal::AmbiguousPath);
    }
    if request
        .headers()
        .get_all(header::AUTHORIZATION)
        .iter()
        .count()
        > 1
    {
        return Err(Refusal::SeveralAuthorizations);
    }
    Ok(())
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn into_response(self) -> Response<EdgeBody> {
        let status = match self {
            Self::AmbiguousPath | Self::SeveralAuthorizations => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
        };
        json_error(
            status,
            &OAuthError::new(OAuthErrorCode::InvalidRequest, self.to_string()),
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AmbiguousPath => {
                "the path holds dot segments, backslashes, or encoded dots, slashes or NUL; \
                 write it plainly"
            }
            Self::TargetTooLong => "the request target is longer than 16 KiB",
            Self::SeveralAuthorizations => "there is more than one Authorization header",
        })
    }
}

/// An error object with its status; browsers of any origin may read it.
pub(super) fn json_error(status: StatusCode, error: &OAuthError) -> Response<EdgeBody> {
    let text = serde_json::to_string(error).unwrap_or_default();
    let mut response = Response::new(EdgeBody::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    response
}
