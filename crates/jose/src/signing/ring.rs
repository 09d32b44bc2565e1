//! Our keys over time: each is announced, signs, retires and goes, without a restart.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use domain::time::{Clock, Timestamp};

use super::{
    InvalidKeys, SigningKeys, SkippedKey,
    dated::{self, Dated, Moment},
};

/// The private keys of this process, with their times.
///
/// A JWK says by `nbf` (Unix seconds) since when it signs, and by `exp` until when it is
/// published. Before `nbf` it is published without signing, so that verifiers know it in time. Of
/// the keys for one algorithm the one with the latest `nbf` that has passed signs; keys that say
/// none come behind it, in their order. Neither member is published.
pub struct KeyRing {
    clock: Arc<dyn Clock>,
    state: RwLock<Ring>,
}

/// What a key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, not yet signing.
    Announced,
    /// Signing by one algorithm at least.
    Signing,
    /// Published behind another key for its algorithms.
    Standby,
    /// Replaced by a newer one; published while something may still be verified with it.
    Retired,
    /// No longer published.
    Expired,
}

/// What there is to say about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub kid: String,
    /// The algorithm it signs by unasked.
    pub algorithm: String,
    /// What it does now.
    pub state: KeyState,
    /// Since when it signs, where that was said.
    pub from: Option<Timestamp>,
    /// Until when it is published, where that was said.
    pub until: Option<Timestamp>,
}

struct Ring {
    keys: Vec<Dated>,
    /// Those of the span below.
    current: Arc<SigningKeys>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

// === impl KeyRing ===

impl KeyRing {
    /// Reads keys, in the form that [`SigningKeys::parse`] takes.
    ///
    /// # Errors
    /// As there.
    pub fn parse(
        text: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<SkippedKey>), InvalidKeys> {
        let (keys, skipped) = dated::read(text)?;
        let state = RwLock::new(Ring::at(keys, clock.now()));
        Ok((Self { clock, state }, skipped))
    }

    /// The keys that count now. The same value until something changes.
    pub fn current(&self) -> Arc<SigningKeys> {
        let now = self.clock.now();
        {
            let ring = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if ring.covers(now) {
                return Arc::clone(&ring.current);
            }
        }
        let mut ring = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !ring.covers(now) {
            let keys = std::mem::take(&mut ring.keys);
            *ring = Ring::at(keys, now);
        }
        Arc::clone(&ring.current)
    }

    /// Puts other keys in place of these.
    ///
    /// # Errors
    /// As for [`KeyRing::parse`]; then these stay.
    pub fn replace(&self, text: &str) -> Result<(), InvalidKeys> {
        let (keys, _) = dated::read(text)?;
        let ring = Ring::at(keys, self.clock.now());
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    /// All keys, in their order.
    pub fn list(&self) -> Vec<KeyInfo> {
        let ring = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let moment = Moment {
            keys: &ring.keys,
            now: self.clock.now(),
        };
        let info = |(index, dated): (usize, &Dated)| {
            Some(KeyInfo {
                kid: dated.key.kid().to_owned(),
                algorithm: dated.key.algorithms().next()?.name().to_owned(),
                state: moment.state(index)?,
                from: dated.from,
                until: dated.until,
            })
        };
        ring.keys.iter().enumerate().filter_map(info).collect()
    }

    /// Whether, by their times, no key may sign now. All do then, as if they had no times.
    pub fn is_out_of_time(&self) -> bool {
        let ring = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let keys = &ring.keys;
        Moment { keys, now }.is_empty()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyRing([redacted])")
    }
}

// === impl Ring ===

impl Ring {
    fn at(keys: Vec<Dated>, now: Timestamp) -> Self {
        let moment = Moment { keys: &keys, now };
        let current = Arc::new(SigningKeys::at(&moment));
        let (since, until) = (moment.last_change(), moment.next_change());
        Self {
            keys,
            current,
            since,
            until,
        }
    }

    fn covers(&self, now: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= now) && self.until.is_none_or(|until| now < until)
    }
}

// === impl KeyState ===

impl KeyState {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Signing => "signing",
            Self::Standby => "standby",
            Self::Retired => "retired",
            Self::Expired => "expired",
        }
    }
}
