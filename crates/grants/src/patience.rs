//! Waiting for the store: a short absence is bridged, a long one is answered as a passing fault.

use std::{future::Future, time::Duration};

use store::StoreUnavailable;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout_at},
};

/// How long each wait may take. One value for the whole process; tests use a short one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bound for the store in one operation.
    pub(crate) store: Duration,
    /// How much of it is spent on asking again after a failure.
    pub(crate) store_retries: Duration,
    /// First pause before the store is asked again; doubles.
    pub(crate) store_retry: Duration,
    /// Bound for whoever waits for a refresh and has no valid token.
    pub(crate) refresh: Duration,
    /// Bound for whoever waits for a refresh and has a valid token.
    pub(crate) refresh_ahead: Duration,
    /// First pause before the provider is asked again; doubles.
    pub(crate) refresh_retry: Duration,
    /// Longest sleep between two looks at the clock while waiting for the end of a grant.
    pub(crate) look: Duration,
    /// Where others refresh too: how long a provider's no to the present token is doubted, since
    /// the answer to another's question may be on its way to the store.
    pub(crate) doubt: Duration,
}

/// The time one operation has for the store.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// When the operation began.
    pub(crate) began: Instant,
    deadline: Instant,
    retries: Duration,
    retry: Duration,
}

/// Longest pause between two tries at the store.
const LONGEST_STORE_RETRY: Duration = Duration::from_millis(500);

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            store: Duration::from_secs(5),
            store_retries: Duration::from_secs(5),
            store_retry: Duration::from_millis(50),
            refresh: Duration::from_secs(15),
            refresh_ahead: Duration::from_secs(2),
            refresh_retry: Duration::from_millis(250),
            look: Duration::from_secs(300),
            doubt: Duration::from_secs(5),
        }
    }
}

// === impl Patience ===

impl Patience {
    pub(crate) fn new(pace: &Pace) -> Self {
        let began = Instant::now();
        Self {
            began,
            deadline: began + pace.store,
            retries: pace.store_retries,
            retry: pace.store_retry,
        }
    }

    /// Repeats a step until it succeeds or the time is over. The step must be one that may be
    /// sent twice: a read, an end, or a write with one operation id.
    pub(crate) async fn call<T, F>(
        &self,
        mut step: impl FnMut() -> F,
    ) -> Result<T, StoreUnavailable>
    where
        F: Future<Output = Result<T, StoreUnavailable>>,
    {
        let mut pause = self.retry;
        let mut give_up = None;
        loop {
            let failure = match timeout_at(self.deadline, step()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(StoreUnavailable("it did not answer in time".to_owned())),
            };
            let give_up = *give_up.get_or_insert_with(|| {
                let failed = Instant::now();
                self.deadline.min(failed + self.retries)
            });
            if Instant::now() + pause >= give_up {
                return Err(failure);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_STORE_RETRY);
        }
    }

    /// Waits for its turn no longer than for the store itself.
    pub(crate) async fn lock<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
    ) -> Result<MutexGuard<'a, T>, StoreUnavailable> {
        timeout_at(self.deadline, mutex.lock())
            .await
            .map_err(|_| StoreUnavailable("others wait for it too".to_owned()))
    }
}
