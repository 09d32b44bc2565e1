//! How many requests one session may make at the MCP endpoint, where the operator bounds that.
//!
//! Each process counts for itself, without asking anybody. Where others share the store, one that has
//! seen a good part of the budget used reports what it let in, a chunk at a time and beside the calls,
//! and learns what all have used. So sessions well within their budget cost the store nothing, and all
//! machines together let in little more than one would.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    id::GrantId,
    rate::{Budget, Rate, Standing},
};
use quick_cache::sync::Cache;
use store::{Charged, Store};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

/// What askers are told that the budget is.
const POLICY: &str = "session";
/// Sessions remembered. Of more those seldom seen are forgotten, and begin anew.
const MAX_SESSIONS: usize = 65_536;
/// The part of a budget that one process lets be used without a word to others: a quarter.
const UNTOLD: u32 = 4;
/// Reports for a whole budget.
const REPORTS: u32 = 20;
/// How long a report may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The calls of all sessions of this process.
pub(crate) struct Calls {
    rate: Rate,
    counted: Cache<GrantId, Arc<Mutex<Counted>>>,
    store: Arc<dyn Store>,
    tasks: TaskTracker,
    beginning: Instant,
}

#[derive(Debug, Default)]
struct Counted {
    budget: Budget,
    /// Let in since the last report.
    untold: u32,
    is_reporting: bool,
}

// === impl Calls ===

impl Calls {
    pub(crate) fn new(rate: Rate, store: &Arc<dyn Store>, tasks: &TaskTracker) -> Self {
        Self {
            rate,
            counted: Cache::new(MAX_SESSIONS),
            store: Arc::clone(store),
            tasks: tasks.clone(),
            beginning: Instant::now(),
        }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// If the session has used up its budget; the call is not counted then.
    pub(crate) fn charge(&self, grant: GrantId) -> Result<Standing, Standing> {
        let session = self.of(grant);
        let now = self.beginning.elapsed();
        let mut counted = lock(&session);
        if counted.budget.debt(now).is_zero() {
            counted.untold = 0;
        }
        let charged = counted.budget.charge(self.rate, 1, now);
        let debt = counted.budget.debt(now);
        let standing = self.rate.standing(POLICY, debt);
        if charged.is_err() {
            return Err(standing);
        }
        if self.store.is_shared() {
            counted.untold = counted.untold.saturating_add(1);
            let is_much = debt * UNTOLD > self.rate.window();
            let chunk = self.rate.at_once().div_ceil(REPORTS);
            if is_much && counted.untold >= chunk && !counted.is_reporting {
                counted.is_reporting = true;
                let units = std::mem::take(&mut counted.untold);
                self.report(grant, units, Arc::clone(&session));
            }
        }
        Ok(standing)
    }

    /// What was let in is let in: it is counted beyond what is left too, and made up for later.
    fn report(&self, grant: GrantId, units: u32, session: Arc<Mutex<Counted>>) {
        let twice = std::num::NonZeroU32::MIN.saturating_add(1);
        let at_once = std::num::NonZeroU32::new(self.rate.at_once());
        let rate = at_once.and_then(|most| Rate::new(most.saturating_mul(twice), self.rate.each()));
        let (store, beginning) = (Arc::clone(&self.store), self.beginning);
        let rate = rate.unwrap_or(self.rate);
        self.tasks.spawn(async move {
            let charge = store.charge_budget(grant.as_bytes(), rate, units);
            let answer = timeout(PATIENCE, charge).await;
            let mut counted = lock(&session);
            counted.is_reporting = false;
            match answer {
                Ok(Ok(Charged::LetIn { debt } | Charged::Refused { debt })) => {
                    counted.budget.owe(debt, beginning.elapsed());
                }
                // The next report tells it too.
                Ok(Ok(Charged::Alone) | Err(_)) | Err(_) => {
                    counted.untold = counted.untold.saturating_add(units).min(rate.at_once());
                }
            }
        });
    }

    fn of(&self, grant: GrantId) -> Arc<Mutex<Counted>> {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        match self.counted.get_or_insert_with(&grant, fresh) {
            Ok(counted) => counted,
            Err(never) => match never {},
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Calls")
    }
}

fn lock(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    // Every state of the counts is a good one.
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}
