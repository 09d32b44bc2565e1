//! The members about a client's own keys (RFC 7591 §2, OpenID Connect Registration §2).

use serde_json::{Map, Value};
use url::Url;

use super::{Members, text, web_uri, wrong};
use crate::{
    base_url::is_loopback,
    client::{InvalidClientMetadata, TokenEndpointAuthMethod},
};

/// Members of a JWK that only its owner may know (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Keys of one client; no honest one comes near. What is kept of a set costs many times its text in
/// memory, and anybody can publish one.
const MAX_KEYS: usize = 32;
/// Members of a public key that its use needs (RFC 7517 §4, RFC 7518 §6). All others are dropped,
/// chains of certificates too: nothing here looks at them.
const TEXTS: [&str; 9] = ["kty", "use", "alg", "kid", "crv", "x", "y", "n", "e"];
const OPERATIONS: &str = "key_ops";
const KNOWN_OPERATIONS: [&str; 8] = [
    "sign",
    "verify",
    "encrypt",
    "decrypt",
    "wrapKey",
    "unwrapKey",
    "deriveKey",
    "deriveBits",
];

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
    if keys.len() > MAX_KEYS {
        return Err(wrong(MEMBER, "must hold at most 32 keys"));
    }
    let is_private = |key: &Value| PRIVATE.iter().any(|member| key.get(member).is_some());
    if keys.iter().any(is_private) {
        return Err(wrong(MEMBER, "must hold public keys only"));
    }
    let kept = keys.iter().map(|key| key.as_object().map(kept));
    let kept = kept.collect::<Option<Vec<Value>>>();
    let kept = kept.ok_or_else(|| wrong(MEMBER, "must be a JWK Set"))?;
    Ok(Some(
        Map::from_iter([("keys".to_owned(), kept.into())]).into(),
    ))
}

/// A key without what nobody looks at.
fn kept(key: &Members) -> Value {
    let texts = TEXTS.into_iter().filter_map(|member| {
        let text = key.get(member).filter(|value| value.is_string())?;
        Some((member.to_owned(), text.clone()))
    });
    let operations = key.get(OPERATIONS).and_then(Value::as_array).map(|asked| {
        let named = |known: &&str| asked.iter().any(|operation| operation == known);
        let known = KNOWN_OPERATIONS.into_iter().filter(named);
        (OPERATIONS.to_owned(), known.collect())
    });
    Value::Object(texts.chain(operations).collect())
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
