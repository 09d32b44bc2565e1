//! The time that everything is judged by: this machine's, corrected by that of the store which others
//! share. Without one it is this machine's.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use domain::time::{Clock, Timestamp};

/// Clocks that are less apart are not corrected, in milliseconds: times are whole seconds, and the way
/// to the store and back takes its part.
const TOLERATED: i64 = 1_000;
/// An answer that took longer says too little about when it was given.
const VAGUE: Duration = Duration::from_secs(1);
/// How far apart clocks are before the operator hears of it, in milliseconds.
const TOLD: i64 = 2_000;

/// A clock that follows another one.
pub(crate) struct SharedClock {
    /// The time of this machine, since the Unix epoch.
    here: fn() -> Duration,
    /// What is added to it, in milliseconds.
    correction: AtomicI64,
}

/// What a look at the other clock has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Nothing: it agrees, or was too slow to answer.
    Unchanged,
    /// This clock follows the other one, which is so many milliseconds ahead of the machine's (behind
    /// where it is less than none).
    Corrected(i64),
}

// === impl SharedClock ===

impl SharedClock {
    /// A clock that is right until it is compared.
    pub(crate) const fn new(here: fn() -> Duration) -> Self {
        Self {
            here,
            correction: AtomicI64::new(0),
        }
    }

    /// The time of this machine, not corrected.
    pub(crate) fn here(&self) -> Duration {
        (self.here)()
    }

    /// Learns what the other clock showed between two moments of this machine. It jumps only where it
    /// was wrong by a second or more, and by just that.
    pub(crate) fn compare(&self, sent: Duration, theirs: Duration, heard: Duration) -> Compared {
        // A machine whose clock was set in between compares again the next time.
        let Some(way) = heard.checked_sub(sent).filter(|way| *way <= VAGUE) else {
            return Compared::Unchanged;
        };
        let apart = millis(theirs).saturating_sub(millis(sent + way / 2));
        let correction = self.correction.load(Ordering::Relaxed);
        if apart.saturating_sub(correction).saturating_abs() < TOLERATED {
            return Compared::Unchanged;
        }
        self.correction.store(apart, Ordering::Relaxed);
        Compared::Corrected(apart)
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let correction = self.correction.load(Ordering::Relaxed);
        let corrected = millis(self.here()).saturating_add(correction);
        Timestamp::from_unix(u64::try_from(corrected).unwrap_or_default() / 1_000)
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SharedClock")
            .field("correction", &self.correction)
            .finish_non_exhaustive()
    }
}

// === impl Compared ===

impl Compared {
    /// Says it to the operator.
    pub(crate) fn tell(self) {
        let Self::Corrected(apart) = self else {
            return;
        };
        let seconds = apart.unsigned_abs().div_ceil(1_000);
        let way = if apart < 0 { "ahead of" } else { "behind" };
        if apart.saturating_abs() >= TOLD {
            tracing::warn!(
                "the clock of this machine is {seconds} s {way} the store's, whose time is used from \
                 now on; let both follow a time server"
            );
        } else {
            tracing::info!(
                "this proxy goes by the clock of the store, {seconds} s apart from ours"
            );
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
