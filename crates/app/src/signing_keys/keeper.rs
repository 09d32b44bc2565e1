//! The signing keys of this process: where they come from, and how they are exchanged while it
//! runs.

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use domain::{
    secret::SecretString,
    time::{Clock, Timestamp},
};
use jose::signing::{KeyRing, Replaced, Rotation, SigningAlgorithm};
use serde::{Deserialize, Serialize};

use super::listing::{KeyList, Source};
use crate::config::{Lives, show_duration};

/// The signing keys of this process.
#[derive(Debug)]
pub(crate) struct KeyKeeper {
    ring: Arc<KeyRing>,
    source: Source,
    lives: Lives,
    clock: Arc<dyn Clock>,
    /// Held from the reading of the file to its writing.
    rotating: Mutex<()>,
}

/// What is to be rotated, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RotationRequest {
    /// The algorithm that gets a new key; absent: all that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<String>,
    /// How long the new keys are published before they sign, in seconds.
    pub(crate) wait_seconds: u64,
    /// Take the old keys out at once.
    #[serde(default)]
    pub(crate) withdraw: bool,
}

// === impl KeyKeeper ===

impl KeyKeeper {
    /// Takes keys that were read, and remembers where they came from.
    ///
    /// # Errors
    /// If they cannot be used.
    pub(crate) fn new(
        keys: &SecretString,
        source: Source,
        lives: Lives,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let (ring, skipped) = KeyRing::parse(keys.expose(), Arc::clone(clock))
            .context("OIDC_PROVIDER_JWKS (or the key file in the data directory) cannot be used")?;
        for key in skipped {
            tracing::warn!("signing key {} is left out: {}", key.index, key.reason);
        }
        if ring.is_out_of_time() {
            tracing::warn!(
                "no signing key may sign now by its `nbf` and `exp`; they are used as if they had \
                 neither"
            );
        }
        Ok(Self {
            ring: Arc::new(ring),
            source,
            lives,
            clock: Arc::clone(clock),
            rotating: Mutex::new(()),
        })
    }

    /// What signs, and what is published.
    pub(crate) const fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// All keys.
    pub(crate) fn list(&self) -> KeyList {
        KeyList::of(self.source.clone(), &self.ring.list())
    }

    /// Takes keys that were exchanged elsewhere.
    ///
    /// # Errors
    /// If they cannot be used; then those at hand stay.
    pub(crate) fn take_over(&self, keys: &SecretString) -> Result<()> {
        Ok(self.ring.replace(keys.expose())?)
    }

    /// Puts new keys in place of those that sign; waits for the disk.
    ///
    /// # Errors
    /// If the keys are configured, the rotation makes no sense, or the file cannot be written.
    pub(crate) fn rotate(&self, asked: &RotationRequest) -> Result<KeyList> {
        let path = match &self.source {
            Source::File(path) => path,
            Source::Configuration => bail!(configured(self.lives)),
            Source::Store => bail!(super::SHARED),
        };
        let _rotating = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let rotation = asked.at(self.clock.now(), self.lives)?;
        let keys = super::rotate(path, rotation)?;
        self.ring.replace(keys.expose())?;
        for key in self.ring.list() {
            if key.from == Some(rotation.from) {
                tracing::info!(
                    "signing key {} for {} signs from {} on",
                    key.kid,
                    key.algorithm,
                    rotation.from
                );
            }
        }
        Ok(self.list())
    }
}

// === impl RotationRequest ===

impl RotationRequest {
    /// What that means at a time.
    ///
    /// # Errors
    /// If its algorithm is unknown.
    pub(super) fn at(&self, now: Timestamp, lives: Lives) -> Result<Rotation> {
        let algorithm = match self.algorithm.as_deref() {
            None => None,
            Some(name) => Some(
                SigningAlgorithm::parse(name)
                    .with_context(|| format!("there is no signing algorithm `{name}` here"))?,
            ),
        };
        Ok(Rotation {
            algorithm,
            now,
            from: now.plus(Duration::from_secs(self.wait_seconds)),
            replaced: if self.withdraw {
                Replaced::Withdrawn
            } else {
                Replaced::Kept(lives.of_replaced_keys())
            },
        })
    }
}

/// Why configured keys are not rotated by a command, and how they are.
pub(super) fn configured(lives: Lives) -> String {
    format!(
        "the signing keys are those of OIDC_PROVIDER_JWKS, so they are exchanged there: put the key \
         that `mcp-auth-proxy keys generate --in 1h` prints before the others, and restart; it is \
         published at once and signs in an hour. Take the old one out {} later",
        show_duration(lives.of_replaced_keys())
    )
}
