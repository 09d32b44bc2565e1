//! Chance that is the same for the same seed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

#[derive(Debug)]
pub(super) struct Dice(AtomicU64);

// === impl Dice ===

impl Dice {
    /// Those of a part of a schedule; the throws of one do not move those of another.
    pub(super) fn new(seed: u64, part: u64) -> Self {
        let mixed = (seed.wrapping_add(1))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(part.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        Self(AtomicU64::new(mixed))
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        // SplitMix64.
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut word = self.0.fetch_add(step, Ordering::SeqCst).wrapping_add(step);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    pub(super) fn pick(&self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    pub(super) fn is_in(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }
}
