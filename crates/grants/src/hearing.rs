//! How certain memory is of a grant whose store others write to as well.
//!
//! Ends are announced, and what was announced until some moment is known to have been heard. A
//! grant in memory is current as of the later of two moments: when its record was read, and that
//! of the last confirmation since. It is used without a look into the store while that is recent;
//! and longer while the store answers nobody, so that an outage does not end what runs.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What was heard, as of when.
#[derive(Debug)]
pub(crate) struct Hearing {
    began: Instant,
    /// How long memory is used after its last confirmation, while the store is away.
    grace: Duration,
    /// Raised each time listening begins: what was read before may have changed unheard.
    generation: AtomicU64,
    /// Milliseconds since `began`.
    confirmed: AtomicU64,
    /// The last confirmation before the present generation.
    confirmed_before: AtomicU64,
    is_away: AtomicBool,
    is_interrupted: AtomicBool,
    /// When listening last began anew, in milliseconds since `began`.
    resumed: AtomicU64,
}

/// When a record was read: in which generation, and how long after the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    generation: u64,
    at: u64,
}

/// A reading that is replaced by later ones.
#[derive(Debug, Default)]
pub(crate) struct LastReading {
    generation: AtomicU64,
    at: AtomicU64,
}

/// How long a moment counts as the present. Beats come every two seconds.
pub(crate) const CERTAIN: Duration = Duration::from_secs(5);

// === impl Hearing ===

impl Hearing {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            began: tokio::time::Instant::now().into_std(),
            grace: grace.max(CERTAIN),
            generation: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            confirmed_before: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            resumed: AtomicU64::new(0),
        }
    }

    /// To be taken before a record is read.
    pub(crate) fn reading(&self, now: Instant) -> Reading {
        Reading {
            generation: self.generation.load(Ordering::SeqCst),
            at: self.millis(now),
        }
    }

    /// Whether a grant can be used without reading it again.
    pub(crate) fn is_current(&self, last: &LastReading, now: Instant) -> bool {
        let read = last.load();
        let generation = self.generation.load(Ordering::SeqCst);
        let confirmed = if read.generation == generation {
            self.confirmed.load(Ordering::SeqCst)
        } else if read.generation + 1 == generation {
            self.confirmed_before.load(Ordering::SeqCst)
        } else {
            0
        };
        let age = Duration::from_millis(self.millis(now).saturating_sub(read.at.max(confirmed)));
        if self.is_away.load(Ordering::SeqCst) {
            age < self.grace
        } else {
            read.generation == generation && age < CERTAIN
        }
    }

    #[cfg(test)]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn begin(&self) {
        let confirmed = self.confirmed.load(Ordering::SeqCst);
        self.confirmed_before.store(confirmed, Ordering::SeqCst);
        self.generation.fetch_add(1, Ordering::SeqCst);
        let now = tokio::time::Instant::now().into_std();
        self.resumed.store(self.millis(now), Ordering::SeqCst);
        self.is_interrupted.store(false, Ordering::SeqCst);
        self.is_away.store(false, Ordering::SeqCst);
    }

    pub(crate) fn confirm(&self, as_of: Instant) {
        self.confirmed.store(self.millis(as_of), Ordering::SeqCst);
    }

    pub(crate) fn interrupt(&self, is_reached: bool) {
        self.is_interrupted.store(true, Ordering::SeqCst);
        self.is_away.store(!is_reached, Ordering::SeqCst);
    }

    /// For how long listening has gone on since it was interrupted; for ever where it never was, or
    /// never began (it may not be allowed).
    pub(crate) fn unbroken_for(&self, now: Instant) -> Duration {
        let generation = self.generation.load(Ordering::SeqCst);
        let is_interrupted = self.is_interrupted.load(Ordering::SeqCst);
        match generation {
            0 => Duration::MAX,
            _ if is_interrupted => Duration::ZERO,
            1 => Duration::MAX,
            _ => {
                let resumed = self.resumed.load(Ordering::SeqCst);
                Duration::from_millis(self.millis(now).saturating_sub(resumed))
            }
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let millis = now.saturating_duration_since(self.began).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}

// === impl LastReading ===

impl LastReading {
    pub(crate) fn note(&self, reading: Reading) {
        self.at.store(reading.at, Ordering::SeqCst);
        self.generation.store(reading.generation, Ordering::SeqCst);
    }

    fn load(&self) -> Reading {
        Reading {
            generation: self.generation.load(Ordering::SeqCst),
            at: self.at.load(Ordering::SeqCst),
        }
    }
}

#[cfg(test)]
mod tests;
