//! Where grants in memory are found: a bounded cache that keeps the recently used ones, and a
//! registry of all that somebody still holds, so that a grant is never in memory twice.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use domain::{id::GrantId, time::Timestamp};
use quick_cache::{Weighter, sync::Cache};
use store::{Ears, seal::sha256};

use crate::{
    audit::EndReason,
    hearing::{Hearing, Reading},
    live::Live,
};

/// The grants in memory, and the tokens lately refused.
pub(crate) struct Registry {
    /// Where others write to the store too.
    hearing: Option<Hearing>,
    warm: Cache<GrantId, Arc<Live>, ByBytes>,
    known: Mutex<Known>,
    refused: Cache<TokenHash, Refused>,
}

/// Why a well-formed token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It names no grant, or not with the right key.
    Unknown,
    /// Its grant was ended.
    Ended,
}

/// How many ends there had been when a record was read, and what had been heard by then. An end in
/// between wins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    ends: u64,
    reading: Reading,
    pub(crate) as_of: tokio::time::Instant,
}

/// A grant ended while its record was being read: to be read again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overtaken;

#[derive(Default)]
struct Known {
    lives: HashMap<GrantId, Weak<Live>>,
    ends: u64,
}

#[derive(Clone)]
struct ByBytes;

/// The start of a token's SHA-256: names the token itself, not its grant, so that nobody can have
/// another's token refused.
type TokenHash = [u8; 16];

#[derive(Clone)]
struct Refused {
    refusal: Refusal,
    until: Timestamp,
}

/// How long a well-formed token that opens nothing is remembered.
const REFUSED_LIFE: Duration = Duration::from_secs(5);
/// How many are remembered.
const MAX_REFUSED: usize = 16_384;
/// About the weight of a grant with opaque identity tokens; sizes the map, bounds nothing.
const TYPICAL_WEIGHT: u64 = 3072;
/// Most grants the map is sized for at the start; it grows beyond.
const MAX_SIZED_FOR: u64 = 65_536;

// === impl Registry ===

impl Registry {
    pub(crate) fn new(bytes: u64, hearing: Option<Hearing>) -> Self {
        let sized_for = (bytes / TYPICAL_WEIGHT).min(MAX_SIZED_FOR);
        Self {
            hearing,
            warm: Cache::with_weighter(
                usize::try_from(sized_for).unwrap_or_default(),
                bytes,
                ByBytes,
            ),
            known: Mutex::new(Known::default()),
            refused: Cache::new(MAX_REFUSED),
        }
    }

    /// The grant, if it is in memory.
    pub(crate) fn find(&self, grant: &GrantId) -> Option<Arc<Live>> {
        if let Some(live) = self.warm.get(grant) {
            return Some(live);
        }
        let live = self.known().lives.get(grant).and_then(Weak::upgrade)?;
        self.keep(&live);
        Some(live)
    }

    /// To be taken before a record is read.
    pub(crate) fn epoch(&self) -> Epoch {
        let now = tokio::time::Instant::now();
        Epoch {
            reading: self
                .hearing
                .as_ref()
                .map(|hearing| hearing.reading(now.into_std()))
                .unwrap_or_default(),
            ends: self.known().ends,
            as_of: now,
        }
    }

    /// Whether a grant in memory can be used without a look into the store.
    pub(crate) fn is_current(&self, live: &Live) -> bool {
        self.hearing.as_ref().is_none_or(|hearing| {
            hearing.is_current(&live.last_reading, tokio::time::Instant::now().into_std())
        })
    }

    /// For how long ends have been heard without a break; where nobody else writes to the store,
    /// always.
    pub(crate) fn heard_for(&self) -> Duration {
        let now = tokio::time::Instant::now().into_std();
        self.hearing
            .as_ref()
            .map_or(Duration::MAX, |hearing| hearing.unbroken_for(now))
    }

    #[cfg(test)]
    pub(crate) fn generation(&self) -> u64 {
        self.hearing.as_ref().map_or(0, Hearing::generation)
    }

    /// Notes that a grant in memory was read again.
    pub(crate) fn note_reading(live: &Live, epoch: Epoch) {
        live.last_reading.note(epoch.reading);
    }

    /// Takes in a grant made from a record read in this epoch. Where another request was faster,
    /// that one's is returned.
    pub(crate) fn admit(&self, live: Live, epoch: Epoch) -> Result<Arc<Live>, Overtaken> {
        // Whatever is dropped must be dropped outside of the lock: a grant's end of life takes it.
        live.last_reading.note(epoch.reading);
        let live = Arc::new(live);
        let admitted = {
            let mut known = self.known();
            if known.ends != epoch.ends {
                Err(Overtaken)
            } else if let Some(other) = known.lives.get(&live.id).and_then(Weak::upgrade) {
                Ok(other)
            } else {
                known.lives.insert(live.id, Arc::downgrade(&live));
                Ok(Arc::clone(&live))
            }
        };
        if let Ok(live) = &admitted {
            self.keep(live);
        }
        admitted
    }

    /// Ends a grant for everybody in this process; returns it if somebody had it.
    pub(crate) fn end(&self, grant: &GrantId, reason: EndReason) -> Option<Arc<Live>> {
        let live = {
            let mut known = self.known();
            known.ends += 1;
            known.lives.remove(grant).and_then(|live| live.upgrade())
        };
        if let Some(live) = &live {
            live.end(reason);
        }
        drop(self.warm.remove(grant));
        live
    }

    /// Called when the last holder of a grant has gone.
    pub(crate) fn forget(&self, grant: &GrantId) {
        let mut known = self.known();
        // Another one may have been made since.
        if known
            .lives
            .get(grant)
            .is_some_and(|live| live.strong_count() == 0)
        {
            known.lives.remove(grant);
        }
    }

    /// Remembers that a token opens nothing.
    pub(crate) fn refuse(&self, token: &str, refusal: Refusal, now: Timestamp) {
        self.refuse_named(&sha256(token.as_bytes()), refusal, now);
    }

    /// The same by a hash of what was shown.
    pub(crate) fn refuse_named(&self, hash: &[u8; 32], refusal: Refusal, now: Timestamp) {
        let until = now.plus(REFUSED_LIFE);
        self.refused
            .insert(start_of(hash), Refused { refusal, until });
    }

    /// Whether a token is remembered as opening nothing.
    pub(crate) fn refusal(&self, token: &str, now: Timestamp) -> Option<Refusal> {
        self.refusal_of(&sha256(token.as_bytes()), now)
    }

    /// The same by a hash of what was shown.
    pub(crate) fn refusal_of(&self, hash: &[u8; 32], now: Timestamp) -> Option<Refusal> {
        self.refused
            .get(&start_of(hash))
            .filter(|refused| now < refused.until)
            .map(|refused| refused.refusal)
    }

    fn keep(&self, live: &Arc<Live>) {
        self.warm.insert(live.id, Arc::clone(live));
        // An end that came between finding and keeping has removed nothing: do it now.
        if live.is_ended() {
            drop(self.warm.remove(&live.id));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ears for Registry {
    fn ended(&self, grant: &GrantId) {
        if self.end(grant, EndReason::Elsewhere).is_some() {
            tracing::debug!(grant.id = %grant, "the end of a grant was announced");
        }
    }

    fn began(&self) {
        if let Some(hearing) = &self.hearing {
            hearing.begin();
        }
    }

    fn confirmed(&self, as_of: Instant) {
        if let Some(hearing) = &self.hearing {
            hearing.confirm(as_of);
        }
    }

    fn interrupted(&self, is_reached: bool) {
        if let Some(hearing) = &self.hearing {
            hearing.interrupt(is_reached);
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registry")
            .field("warm", &self.warm.len())
            .finish_non_exhaustive()
    }
}

// === impl ByBytes ===

impl Weighter<GrantId, Arc<Live>> for ByBytes {
    fn weight(&self, _: &GrantId, live: &Arc<Live>) -> u64 {
        live.weight()
    }
}

fn start_of(hash: &[u8; 32]) -> TokenHash {
    // 16 of 32 bytes are always there.
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
