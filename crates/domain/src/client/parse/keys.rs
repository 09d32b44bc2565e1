//! The members about a client's own keys (RFC 7591 §2, OpenID Connect Registration §2).

use serde_json::Value;
use url::Url;

use super::{Members, text, web_uri, wrong};
use crate::{
    base_url::is_loopback,
    client::{InvalidClientMetadata, TokenEndpointAuthMethod},
};

/// Members of a JWK that only its owner may know (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What was said; nothing for clients that sign no assertions.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) jwks: Option<Value>,
    pub(super) jwks_uri: Option<String>,
    pub(super) algorithm: Option<String>,
}

pub(super) fn read(
    members: &Members,
    method: TokenEndpointAuthMethod,
) -> Result<Keys, InvalidClientMetadata> {
    let jwks = jwks(members)?;
    if method != TokenEndpointAuthMethod::PrivateKeyJwt {
        return Ok(Keys::default());
    }
    let jwks_uri = web_uri(members, "jwks_uri")?;
    match (&jwks, &jwks_uri) {
        (Some(_), Some(_)) => return Err(wrong("jwks", "must not stand beside jwks_uri")),
        (None, None) => {
            return Err(wrong("jwks", "(or jwks_uri) is needed for private_key_jwt"));
        }
        (None, Some(uri)) if !may_be_fetched(uri) => {
            return Err(wrong("jwks_uri", "must begin with https://"));
        }
        _ => {}
    }
    Ok(Keys {
        jwks,
        jwks_uri,
        algorithm: algorithm(members)?,
    })
}

/// A private key that everybody can read is refused from everybody, whatever it is for.
fn jwks(members: &Members) -> Result<Option<Value>, InvalidClientMetadata> {
    const MEMBER: &str = "jwks";
    let value = match members.get(MEMBER) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let keys = value.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| wrong(MEMBER, "must be a JWK Set"))?;
    let is_private = |key: &Value| PRIVATE.iter().any(|member| key.get(member).is_some());
    if keys.iter().any(is_private) {
        return Err(wrong(MEMBER, "must hold public keys only"));
    }
    Ok(Some(value.clone()))
}

/// Whether that is allowed is decided when it is fetched.
fn may_be_fetched(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "https" || is_loopback(&url))
}

fn algorithm(members: &Members) -> Result<Option<String>, InvalidClientMetadata> {
    const MEMBER: &str = "token_endpoint_auth_signing_alg";
    let algorithm = text(members, MEMBER)?;
    match algorithm.as_deref() {
        Some(name) if name == "none" || name.starts_with("HS") => {
            Err(wrong(MEMBER, "must be an algorithm with a public key"))
        }
        _ => Ok(algorithm),
    }
}
