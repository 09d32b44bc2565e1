//! How many tokens may be looked for among what the predecessor left. Its tokens bear no checksum,
//! so that junk cannot be told from them; it may cost something, but not without bound.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// A bucket of look-ups, for the whole process.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Option<Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    as_of: Instant,
}

/// Look-ups that find nothing, a second, in the long run.
const PER_SECOND: f64 = 100.0;
/// And so many at once.
const MOST: f64 = 1000.0;

// === impl Budget ===

impl Budget {
    /// Whether one more may be looked for.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = slot.get_or_insert(Bucket {
            left: MOST,
            as_of: now,
        });
        let passed = now.saturating_duration_since(bucket.as_of).as_secs_f64();
        bucket.left = (bucket.left + passed * PER_SECOND).min(MOST);
        bucket.as_of = now;
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }

    /// What was found does not count.
    pub(super) fn give_back(&self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = slot.as_mut() {
            bucket.left = (bucket.left + 1.0).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_bounded_and_what_was_found_costs_nothing() {
        let budget = Budget::default();
        let mut now = Instant::now();
        let flood = |now| (0..5000).filter(|_| budget.take(now)).count();
        assert_eq!(flood(now), 1000);
        now += Duration::from_secs(2);
        assert_eq!(flood(now), 200);
        for _ in 0..10 {
            budget.give_back();
        }
        assert_eq!(flood(now), 10);
        now += Duration::from_secs(3600);
        assert_eq!(flood(now), 1000);
    }
}
