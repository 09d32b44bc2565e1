//! `/jwks`: the public halves of our signing keys (RFC 7517 §5).

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lc_rs::digest;
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::discovery::{self, CACHE_CONTROL, MAX_AGE};
use crate::server::Shared;

/// How long others may go on using the keys that they have fetched. A new key is published for at
/// least as long before it signs.
pub const JWKS_MAX_AGE: Duration = MAX_AGE;

/// The document as it is until the keys change.
#[derive(Clone, Debug)]
pub(crate) struct KeyDocument {
    json: Bytes,
    entity_tag: HeaderValue,
}

/// Answers with the keys, or with 304 to who has them already (RFC 9110 §13.1.2).
pub(super) async fn jwks(State(server): State<Shared>, headers: HeaderMap) -> Response {
    let document = server.key_document.of(&server.keys.current(), |keys| {
        let json = Bytes::from(keys.public_jwks().to_string());
        let entity_tag = entity_tag(&json);
        KeyDocument { json, entity_tag }
    });
    let tag = (header::ETAG, document.entity_tag.clone());
    if is_known(&headers, &document.entity_tag) {
        let cached = [tag, (header::CACHE_CONTROL, CACHE_CONTROL)];
        return (StatusCode::NOT_MODIFIED, cached).into_response();
    }
    ([tag], discovery::document(document.json)).into_response()
}

fn entity_tag(content: &[u8]) -> HeaderValue {
    let hash = digest::digest(&digest::SHA256, content);
    let half = hash.as_ref().iter().take(16).copied().collect::<Vec<u8>>();
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(half));
    // Base64 and quotes are fit for a header.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether one of the tags shown is ours; a weak one is as good (RFC 9110 §8.8.3.2).
fn is_known(headers: &HeaderMap, ours: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.as_bytes() == ours.as_bytes())
}
