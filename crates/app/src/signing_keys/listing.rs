//! The signing keys as they are told of: never with anything private.

use std::path::PathBuf;

use domain::time::Timestamp;
use jose::signing::{KeyInfo, KeyState};
use serde::{Deserialize, Serialize};

use crate::{control::span, in_step};

/// Which signing keys there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyList {
    /// Where they come from.
    pub(crate) source: Source,
    /// The keys, in their order.
    pub(crate) keys: Vec<ListedKey>,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// `OIDC_PROVIDER_JWKS`.
    Configuration,
    /// A file of our own making.
    File(PathBuf),
    /// The store that machines share.
    Store,
}

/// A signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedKey {
    /// Its name.
    pub(crate) kid: String,
    /// What it signs by.
    pub(crate) alg: String,
    /// What it does: `announced`, `signing`, `standby`, `retired`, `expired`.
    pub(crate) state: String,
    /// Since when it signs (Unix seconds), where that was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) signs_from: Option<Timestamp>,
    /// Until when it is published (Unix seconds), where that was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) published_until: Option<Timestamp>,
}

// === impl KeyList ===

impl KeyList {
    pub(super) fn of(source: Source, keys: &[KeyInfo]) -> Self {
        Self {
            source,
            keys: keys.iter().map(ListedKey::of).collect(),
        }
    }

    /// For people.
    pub(crate) fn render(&self, now: Timestamp) -> String {
        use std::fmt::Write as _;

        let width = self.keys.iter().map(|key| key.kid.chars().count());
        let width = width.max().unwrap_or_default().max(3);
        let mut text = format!("{:width$}  ALG      STATE\n", "KID");
        // Writing to a `String` does not fail.
        for key in &self.keys {
            let (alg, state) = (&key.alg, key.told(now));
            _ = writeln!(text, "{:width$}  {alg:7}  {state}", key.kid);
        }
        _ = match &self.source {
            Source::Store => writeln!(
                text,
                "shared by all machines; running proxies take a change up within {} s",
                in_step::EVERY.as_secs()
            ),
            Source::Configuration => writeln!(text, "from OIDC_PROVIDER_JWKS"),
            Source::File(path) => writeln!(text, "kept in {}", path.display()),
        };
        text
    }
}

// === impl ListedKey ===

impl ListedKey {
    fn of(key: &KeyInfo) -> Self {
        Self {
            kid: key.kid.clone(),
            alg: key.algorithm.clone(),
            state: key.state.as_str().to_owned(),
            signs_from: key.from,
            published_until: key.until,
        }
    }

    /// Its state, with the time that matters.
    fn told(&self, now: Timestamp) -> String {
        let state = &self.state;
        let is = |known: KeyState| *state == known.as_str();
        match (self.signs_from, self.published_until) {
            (Some(from), _) if is(KeyState::Announced) => {
                format!("{state}, signs in {}", span(from.since(now)))
            }
            (Some(from), None) if is(KeyState::Signing) => {
                format!("{state} for {}", span(now.since(from)))
            }
            (_, Some(until)) if until > now => {
                format!("{state}, published for {} more", span(until.since(now)))
            }
            _ => state.clone(),
        }
    }
}
