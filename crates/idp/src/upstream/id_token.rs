//! What an ID token must say to be believed (OpenID Connect Core 1.0 §3.1.3.7). Its signature was
//! checked before.

#[cfg(test)]
mod tests;

use domain::{secret::SecretString, time::Timestamp};
use serde_json::{Map, Value};

use super::metadata::IssuerRule;

/// How far the provider's clock may be off, in seconds.
const LEEWAY: u64 = 60;

/// What is expected of an ID token.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a IssuerRule,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a SecretString,
    pub(super) now: Timestamp,
}

/// Checks all claims that decide whether the token is meant for this login; the error says which
/// one is wrong. `sub` is left to the caller.
pub(super) fn check(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issuer = text("iss").ok_or("the ID token has no `iss`")?;
    if !expected.issuer.accepts(issuer, text("tid")) {
        return Err(format!(
            "the ID token's issuer (`iss`) is {}, but {} was expected",
            crate::text::plain(issuer, 200),
            expected.issuer.as_str()
        ));
    }
    check_audience(claims, expected.client_id)?;
    check_times(claims, expected.now)?;
    let nonce = text("nonce").ok_or("the ID token has no `nonce`")?;
    // Constant time, by the secret's own comparison.
    if SecretString::new(nonce) != *expected.nonce {
        return Err("the ID token belongs to another login (`nonce`)".to_owned());
    }
    Ok(())
}

/// We must be in the audience; where others are too, or the token names whom it was made for, that
/// must be us.
fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), String> {
    let (ours, others) = match claims.get("aud") {
        Some(Value::String(audience)) => (audience == client_id, false),
        Some(Value::Array(audiences)) => (
            audiences.iter().any(|audience| audience == client_id),
            audiences.iter().any(|audience| audience != client_id),
        ),
        _ => return Err("the ID token has no audience (`aud`)".to_owned()),
    };
    if !ours {
        return Err("the ID token is meant for another client (`aud`)".to_owned());
    }
    match claims.get("azp") {
        Some(authorized) if authorized == client_id => Ok(()),
        Some(_) => Err("the ID token was made for another client (`azp`)".to_owned()),
        None if others => Err(
            "the ID token is meant for several clients and does not say for which it was made \
             (`azp`)"
                .to_owned(),
        ),
        None => Ok(()),
    }
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), String> {
    let now = now.as_unix();
    let expiry = seconds(claims, "exp")?.ok_or("the ID token has no expiry (`exp`)")?;
    if expiry.saturating_add(LEEWAY) <= now {
        return Err(format!(
            "the ID token expired {} s ago (`exp`); is this machine's clock right?",
            now - expiry
        ));
    }
    let issued = seconds(claims, "iat")?.ok_or("the ID token has no issue time (`iat`)")?;
    let not_before = seconds(claims, "nbf")?.unwrap_or(0);
    let begin = issued.max(not_before);
    if begin > now.saturating_add(LEEWAY) {
        return Err(format!(
            "the ID token is from {} s in the future (`iat`, `nbf`); is this machine's clock right?",
            begin - now
        ));
    }
    Ok(())
}

/// A time in whole seconds; fractions are legal and cut.
pub(super) fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, String> {
    let wrong = || format!("the ID token's `{name}` is not a time");
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => Ok(Some(whole)),
            // At most 2^53, where a float still holds every whole second.
            (None, Some(fraction)) if (0.0..=9_007_199_254_740_992.0).contains(&fraction) => {
                Ok(Some(std::time::Duration::from_secs_f64(fraction).as_secs()))
            }
            _ => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    }
}
