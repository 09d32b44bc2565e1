//! A successful token response (RFC 6749 §5.1), read leniently.

use std::time::Duration;

use domain::{scope::Scope, secret::SecretString};
use serde_json::{Map, Value};

use crate::provider::IdentityTokens;

/// Members that have a field of their own, or say nothing that is used.
const KNOWN: [&str; 6] = [
    "access_token",
    "refresh_token",
    "id_token",
    "expires_in",
    "scope",
    "token_type",
];
/// Further members are stored with the session: the longest one kept, and all together, in bytes
/// of JSON.
const MAX_EXTRA_MEMBER: usize = 4 * 1024;
const MAX_EXTRA: usize = 16 * 1024;

/// The tokens of one answer.
#[derive(Debug)]
pub(in super::super) struct TokenAnswer {
    pub(in super::super) access_token: SecretString,
    pub(in super::super) refresh_token: Option<SecretString>,
    pub(in super::super) id_token: Option<SecretString>,
    /// Absent where the provider says nothing of use.
    pub(in super::super) expires_in: Option<Duration>,
    /// Space-joined; absent where the provider names none.
    pub(in super::super) scope: Option<String>,
    pub(in super::super) extra: Map<String, Value>,
}

// === impl TokenAnswer ===

impl TokenAnswer {
    /// `None` if there is no access token.
    pub(super) fn read(members: Map<String, Value>) -> Option<Self> {
        let secret = |name: &str| {
            members
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(SecretString::new)
        };
        Some(Self {
            access_token: secret("access_token")?,
            refresh_token: secret("refresh_token"),
            id_token: secret("id_token"),
            expires_in: members.get("expires_in").and_then(lifetime),
            scope: members.get("scope").and_then(scope),
            extra: bounded(members),
        })
    }

    /// Takes over what this answer leaves out from the session that it renews. The old expiry says
    /// nothing about the new access token and stays behind.
    pub(in super::super) fn carry_over(&mut self, current: &IdentityTokens) {
        if self.refresh_token.is_none() {
            self.refresh_token.clone_from(&current.refresh_token);
        }
        if self.id_token.is_none() {
            self.id_token.clone_from(&current.id_token);
        }
        self.scope.get_or_insert_with(|| current.scope.clone());
        let mut extra = current.extra.clone();
        extra.append(&mut self.extra);
        self.extra = bounded(extra);
    }
}

/// Whole seconds, from a number or a text. Zero and less is how some say that it never ends.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    (seconds >= 1.0)
        .then(|| Duration::try_from_secs_f64(seconds.floor()).ok())
        .flatten()
}

/// Scopes in a text (with spaces, or GitHub's commas) or in a list, as Twitch has them.
fn scope(value: &Value) -> Option<String> {
    let words: Vec<&str> = match value {
        Value::String(text) if text.contains(' ') => text.split(' ').collect(),
        Value::String(text) => text.split(',').collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let scopes: Vec<&str> = words
        .into_iter()
        .filter(|word| Scope::parse(word).is_ok())
        .collect();
    (!scopes.is_empty()).then(|| scopes.join(" "))
}

/// Further members within the bounds, the smallest first: identifiers and URLs before documents.
fn bounded(members: Map<String, Value>) -> Map<String, Value> {
    let size = |(name, value): &(String, Value)| name.len() + value.to_string().len();
    let mut further: Vec<(String, Value)> = members
        .into_iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()))
        .collect();
    further.sort_by_key(size);
    let mut room = MAX_EXTRA;
    further
        .into_iter()
        .take_while(|member| {
            let left = room.checked_sub(size(member));
            room = left.unwrap_or(0);
            left.is_some() && size(member) <= MAX_EXTRA_MEMBER
        })
        .collect()
}
