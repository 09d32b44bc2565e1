//! What arrived with a request, in a form that people may see.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderName,
    header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION},
};
use serde_json::{Map, Value, json};

/// Headers whose values would let somebody else act as the caller.
const SECRET: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

/// Who the request says is calling, and its headers; without anything that could be used again.
pub(super) fn describe(headers: &HeaderMap) -> Value {
    let claims = headers
        .get(AUTHORIZATION)
        .and_then(|value| claims(value.to_str().ok()?));
    let identity = claims.map_or_else(
        || json!("no JWT arrived: this call did not come through the proxy"),
        Value::Object,
    );
    json!({ "identity": identity, "headers": visible(headers) })
}

/// The claims of a bearer JWT (RFC 7519 §3). Decoded, not verified: only the proxy talks to this
/// server, and nothing here is decided by them. A server of your own verifies them.
fn claims(authorization: &str) -> Option<Map<String, Value>> {
    let (scheme, token) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let payload = token.trim().split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn visible(headers: &HeaderMap) -> Map<String, Value> {
    let mut names: Vec<&HeaderName> = headers.keys().collect();
    names.sort_by_key(|name| name.as_str());
    names
        .into_iter()
        .map(|name| {
            let values: Vec<String> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .map(|value| {
                    if SECRET.contains(name) {
                        redacted(&value)
                    } else {
                        value
                    }
                })
                .collect();
            (name.to_string(), Value::from(values.join(", ")))
        })
        .collect()
}

/// The scheme, if the value has one, and how long the rest is.
fn redacted(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, secret)) if secret.len() > 1 && !scheme.contains('=') => {
            format!("{scheme} ({} characters)", secret.chars().count())
        }
        _ => format!("({} characters)", value.chars().count()),
    }
}
