//! Keys with the times between which they count, and what each does at a moment.

use std::{cmp::Reverse, sync::Arc};

use domain::time::Timestamp;
use serde_json::{Map, Value};

use super::{
    InvalidKeys, KeyState, SkippedKey,
    key::{Key, Unusable, broken},
};
use crate::algorithm::Algorithm;

/// From here on (the year 5138) a time was meant in milliseconds.
const TOO_LATE: u64 = 100_000_000_000;

/// A key and its times. The names are those of JWT claims (RFC 7519 §4.1), as is customary for
/// keys too; RFC 7517 §4 lets a JWK have further members.
pub(super) struct Dated {
    pub(super) key: Arc<Key>,
    /// `nbf`: since when it signs. Absent: since ever, behind any that says when.
    pub(super) from: Option<Timestamp>,
    /// `exp`: until when it is published. Absent: as long as it is there.
    pub(super) until: Option<Timestamp>,
}

/// Keys at a moment.
pub(super) struct Moment<'a> {
    pub(super) keys: &'a [Dated],
    pub(super) now: Timestamp,
}

/// Reads a set, without the keys that are of no use here.
pub(super) fn read(text: &str) -> Result<(Vec<Dated>, Vec<SkippedKey>), InvalidKeys> {
    let mut keys: Vec<Dated> = Vec::new();
    let mut skipped = Vec::new();
    for (index, entry) in entries(text)?.iter().enumerate() {
        match Dated::read(index, entry)? {
            Ok(key) if keys.iter().any(|known| known.key.same_as(&key.key)) => {
                let reason = "it stands there twice".to_owned();
                skipped.push(SkippedKey { index, reason });
            }
            Ok(key) => keys.push(key),
            Err(reason) => skipped.push(SkippedKey { index, reason }),
        }
    }
    if keys.is_empty() {
        return Err(nothing_left(&skipped));
    }
    Ok((keys, skipped))
}

/// The entries of a set.
pub(super) fn entries(text: &str) -> Result<Vec<Value>, InvalidKeys> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // Only the place: the text is secret.
        InvalidKeys(format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let entries = match value {
        Value::Array(entries) => Some(entries),
        Value::Object(mut members) => match members.remove("keys") {
            Some(Value::Array(entries)) => Some(entries),
            _ => None,
        },
        _ => None,
    };
    entries.ok_or_else(|| {
        InvalidKeys(
            "it is neither a JSON array of JWKs nor an object with such an array as `keys`"
                .to_owned(),
        )
    })
}

fn nothing_left(skipped: &[SkippedKey]) -> InvalidKeys {
    if skipped.is_empty() {
        return InvalidKeys("it holds no key".to_owned());
    }
    let reasons: Vec<String> = skipped
        .iter()
        .map(|key| format!("key {}: {}", key.index, key.reason))
        .collect();
    InvalidKeys(format!(
        "none of its keys can sign ({})",
        reasons.join("; ")
    ))
}

// === impl Dated ===

impl Dated {
    /// The key of an entry, or why it is of no use here.
    pub(super) fn read(index: usize, entry: &Value) -> Result<Result<Self, String>, InvalidKeys> {
        let Some(members) = entry.as_object() else {
            return Err(InvalidKeys(format!(
                "key {index} (counted from 0) is not a JSON object"
            )));
        };
        match Self::of(members) {
            Ok(key) => Ok(Ok(key)),
            Err(Unusable::Skip(reason)) => Ok(Err(reason)),
            Err(Unusable::Broken(reason)) => Err(InvalidKeys(format!(
                "key {index} (counted from 0) is broken: {reason}"
            ))),
        }
    }

    fn of(members: &Map<String, Value>) -> Result<Self, Unusable> {
        Ok(Self {
            key: Arc::new(Key::read(members)?),
            from: time(members, "nbf")?,
            until: time(members, "exp")?,
        })
    }

    fn has_begun(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now)
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.algorithms().any(|known| known == algorithm)
    }
}

fn time(members: &Map<String, Value>, member: &str) -> Result<Option<Timestamp>, Unusable> {
    let value = match members.get(member) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let seconds = value
        .as_u64()
        .ok_or_else(|| broken(&format!("its `{member}` is not a time in Unix seconds")))?;
    if seconds >= TOO_LATE {
        return Err(broken(&format!(
            "its `{member}` is in milliseconds, it must be in seconds"
        )));
    }
    Ok(Some(Timestamp::from_unix(seconds)))
}

// === impl Moment ===

impl Moment<'_> {
    /// Whether none may sign by its times. Then all may: something must.
    pub(super) fn is_empty(&self) -> bool {
        !self.keys.iter().any(|key| self.counts(key))
    }

    /// Whether a key may be signed with, by its times alone.
    fn counts(&self, key: &Dated) -> bool {
        key.has_begun(self.now) && !key.has_ended(self.now)
    }

    pub(super) fn is_published(&self, index: usize) -> bool {
        self.keys
            .get(index)
            .is_some_and(|key| !key.has_ended(self.now))
    }

    /// The key that signs by an algorithm: of those that say since when the latest, else the
    /// first.
    pub(super) fn signer(&self, algorithm: Algorithm) -> Option<usize> {
        let fitting = self
            .keys
            .iter()
            .enumerate()
            .filter(|(_, key)| self.counts(key) && key.fits(algorithm));
        let (index, _) = fitting.max_by_key(|(index, key)| (key.from, Reverse(*index)))?;
        Some(index)
    }

    pub(super) fn may_sign(&self, index: usize) -> bool {
        matches!(
            self.state(index),
            Some(KeyState::Signing | KeyState::Standby)
        )
    }

    /// What the key does.
    pub(super) fn state(&self, index: usize) -> Option<KeyState> {
        let key = self.keys.get(index)?;
        if key.has_ended(self.now) {
            return Some(KeyState::Expired);
        }
        if !key.has_begun(self.now) {
            return Some(KeyState::Announced);
        }
        let signs = |algorithm| self.signer(algorithm) == Some(index);
        if key.key.algorithms().any(signs) {
            return Some(KeyState::Signing);
        }
        // Behind a key without a time it stands by: that one may be taken out again.
        let is_replaced = |algorithm| {
            let signer = self
                .signer(algorithm)
                .and_then(|index| self.keys.get(index));
            signer.is_some_and(|signer| signer.from.is_some())
        };
        if key.key.algorithms().all(is_replaced) {
            return Some(KeyState::Retired);
        }
        Some(KeyState::Standby)
    }

    /// When something changes next.
    pub(super) fn next_change(&self) -> Option<Timestamp> {
        self.times().filter(|time| *time > self.now).min()
    }

    /// Since when it is so.
    pub(super) fn last_change(&self) -> Option<Timestamp> {
        self.times().filter(|time| *time <= self.now).max()
    }

    fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.keys
            .iter()
            .flat_map(|key| key.from.into_iter().chain(key.until))
    }
}
