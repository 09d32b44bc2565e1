//! How a client of the file proves itself: by a secret, by keys of its own, or not at all.

use jose::verifying::{self, VerifyingKeys};
use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use super::Walk;
use crate::config::faults::Holds;

/// The members about keys, called as at registration (RFC 7591 §2).
pub(super) const MEMBERS: [&str; 3] = ["jwks", "jwks_uri", SIGNING_ALG];

const METHOD: &str = "token_endpoint_auth_method";
const SIGNING_ALG: &str = "token_endpoint_auth_signing_alg";
const SECRET_METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];
const KEY_METHOD: &str = "private_key_jwt";

/// How it proves itself.
pub(super) struct Proof {
    pub(super) secret_hash: Option<[u8; 32]>,
    /// What it would register to say so.
    pub(super) members: Map<String, Json>,
}

/// Reads that; what is wrong is noted.
pub(super) fn read(walk: &mut Walk<'_>, place: &str, table: &Table) -> Option<Proof> {
    let secret_hash = secret_hash(walk, place, table.get("secret_hash"));
    let jwks = jwks(walk, place, table.get("jwks"));
    let has_keys = table.contains_key("jwks") || table.contains_key("jwks_uri");
    let method = method(walk, place, table, has_keys)?;
    let (secret_hash, jwks) = (secret_hash.ok()?, jwks.ok()?);
    let mut members = Map::from_iter([(METHOD.to_owned(), Json::from(method))]);
    members.extend(jwks.map(|jwks| ("jwks".to_owned(), jwks)));
    for member in ["jwks_uri", SIGNING_ALG] {
        if let Some(value) = table.get(member) {
            members.insert(member.to_owned(), serde_json::to_value(value).ok()?);
        }
    }
    algorithm(walk, place, table.get(SIGNING_ALG))?;
    Some(Proof {
        secret_hash,
        members,
    })
}

/// The method that was named, or that the rest means; both must agree.
fn method(walk: &mut Walk<'_>, place: &str, table: &Table, has_keys: bool) -> Option<&'static str> {
    const ALLOWED: &str = "`none` for a client without a proof, `client_secret_basic` or \
        `client_secret_post` beside `secret_hash`, `private_key_jwt` beside `jwks` or `jwks_uri`";
    let has_secret = table.contains_key("secret_hash");
    let named = match table.get(METHOD) {
        None => None,
        Some(value) => {
            let known = ["none", KEY_METHOD].into_iter().chain(SECRET_METHODS);
            let found = value
                .as_str()
                .and_then(|text| known.into_iter().find(|name| *name == text));
            if found.is_none() {
                walk.wrong(
                    &format!("{place}.{METHOD}"),
                    value,
                    "it is no such method",
                    ALLOWED,
                );
                return None;
            }
            found
        }
    };
    let method = named.unwrap_or(match (has_secret, has_keys) {
        (true, _) => "client_secret_basic",
        (false, true) => KEY_METHOD,
        (false, false) => "none",
    });
    let needs_secret = SECRET_METHODS.contains(&method);
    let reason = match (has_secret, has_keys) {
        (true, true) => "a client has either a secret or keys",
        (false, _) if needs_secret => "`secret_hash` is needed for it",
        (true, _) if !needs_secret => "`secret_hash` is of no use to it",
        (_, true) if method != KEY_METHOD => "`jwks` and `jwks_uri` are of no use to it",
        _ => return Some(method),
    };
    let value = Value::String(method.to_owned());
    walk.wrong(&format!("{place}.{METHOD}"), &value, reason, ALLOWED);
    None
}

/// A JWK Set, or its keys alone, as TOML or as JSON text. Never shown: somebody may have put the
/// private halves there.
fn jwks(walk: &mut Walk<'_>, place: &str, value: Option<&Value>) -> Result<Option<Json>, ()> {
    let Some(value) = value else {
        return Ok(None);
    };
    let json = match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => serde_json::to_value(other).ok(),
    };
    let jwks = match json {
        Some(Json::Array(keys)) => {
            Some(Map::from_iter([("keys".to_owned(), Json::from(keys))]).into())
        }
        Some(Json::Object(members)) => Some(Json::Object(members)),
        _ => None,
    };
    // Keys that are private are told so when the metadata is read.
    let usable = jwks.filter(|jwks| VerifyingKeys::parse(jwks).is_ok_and(|keys| !keys.is_empty()));
    if usable.is_none() {
        walk.fault(
            &format!("{place}.jwks"),
            Holds::Redacted,
            "it holds no key that could verify a signature".to_owned(),
            "public keys as a JWK Set: `{ keys = [{ kty = \"OKP\", crv = \"Ed25519\", x = \"…\" }] }`, \
             `[[clients.jwks]]` tables, or the set as JSON in a text",
        );
    }
    usable.map(Some).ok_or(())
}

/// One that could verify anything.
fn algorithm(walk: &mut Walk<'_>, place: &str, value: Option<&Value>) -> Option<()> {
    let Some(value) = value else {
        return Some(());
    };
    let known = verifying::algorithms();
    if value.as_str().is_some_and(|name| known.contains(&name)) {
        return Some(());
    }
    let place = format!("{place}.{SIGNING_ALG}");
    walk.wrong(
        &place,
        value,
        "it is no algorithm with a public key",
        &known.join(", "),
    );
    None
}

/// Never shown: whoever put the secret itself there would find it in the log.
fn secret_hash(
    walk: &mut Walk<'_>,
    place: &str,
    value: Option<&Value>,
) -> Result<Option<[u8; 32]>, ()> {
    let Some(value) = value else {
        return Ok(None);
    };
    if let Some(hash) = value.as_str().and_then(unhex) {
        return Ok(Some(hash));
    }
    walk.fault(
        &format!("{place}.secret_hash"),
        Holds::Redacted,
        "it is no SHA-256 hash in hexadecimal".to_owned(),
        "64 hexadecimal digits: `printf %s \"$SECRET\" | sha256sum`",
    );
    Err(())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .filter_map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect();
    // An odd digit at the end would be lost otherwise.
    (digits.len() == 64).then(|| bytes.try_into().ok())?
}
