//! What is remembered of a device that waits, and its form in the store: one format byte, then
//! postcard.

#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::{id::ClientId, resource::Resource, scope::ScopeSet, time::Timestamp};
use serde::{Deserialize, Serialize};
use store::{StoreUnavailable, seal::letter_box::PublicKey};

use super::{DEVICE_LIFE, POLL_INTERVAL, keys::UserCodeHash};

/// The newest format; the only one so far.
const FORMAT: u8 = 1;
/// Times are whole seconds and networks are uneven: who is so little early has kept the interval.
const TOLERANCE: Duration = Duration::from_secs(1);

/// A device as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DeviceRecord {
    /// The private half is derived from the device code.
    pub(super) public_key: PublicKey,
    pub(super) user_code: UserCodeHash,
    pub(super) client: ClientId,
    pub(super) resource: Resource,
    pub(super) scopes: ScopeSet,
    pub(super) asked_at: Timestamp,
    /// The address, sealed under a key of the user code.
    pub(super) origin: Vec<u8>,
    pub(super) pace: Pace,
    pub(super) state: DeviceState,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DeviceState {
    /// For its user.
    Waiting,
    /// The grant is open; its root is sealed to the device.
    Approved { root: Vec<u8> },
    /// The user said no.
    Denied,
    /// Its tokens were collected and seen in use: the root is erased.
    Used,
}

/// How often a device may ask, and when it last did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    interval: Duration,
    last: Option<Timestamp>,
}

/// What a poll that has to wait is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paced {
    Pending,
    SlowDown,
}

// === impl DeviceRecord ===

impl DeviceRecord {
    /// When nobody can say yes any more.
    pub(super) fn ends_at(&self) -> Timestamp {
        self.asked_at.plus(DEVICE_LIFE)
    }

    /// Whether its user can still decide.
    pub(super) fn is_waiting(&self, now: Timestamp) -> bool {
        self.state == DeviceState::Waiting && now < self.ends_at()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let encoded = postcard::to_extend(self, vec![FORMAT]);
        // postcard fails only on sequences of unknown length, which these types do not have.
        #[expect(clippy::expect_used, reason = "no sequence of unknown length")]
        encoded.expect("records are plain data")
    }

    /// A record that cannot be read is the store's fault: a newer release wrote it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreUnavailable> {
        match bytes.split_first() {
            Some((&FORMAT, body)) => postcard::from_bytes(body).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            StoreUnavailable("the device's record cannot be read by this release".to_owned())
        })
    }
}

// === impl Pace ===

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            interval: POLL_INTERVAL,
            last: None,
        }
    }

    /// Judges a poll. Says also whether there is anything to write: of several polls in one second
    /// only the first is noted, so that a device which never pauses does not keep the store busy.
    pub(super) fn poll(&mut self, now: Timestamp) -> (Paced, bool) {
        let Some(last) = self.last.replace(now) else {
            return (Paced::Pending, true);
        };
        if now.since(last) + TOLERANCE >= self.interval {
            return (Paced::Pending, true);
        }
        if now <= last {
            return (Paced::SlowDown, false);
        }
        self.interval = (self.interval + POLL_INTERVAL).min(DEVICE_LIFE);
        (Paced::SlowDown, true)
    }
}
