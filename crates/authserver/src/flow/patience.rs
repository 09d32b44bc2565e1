//! How long a machine's request waits for a store that is away: clients drop their tokens on most
//! answers but a success, so a short failure is better waited out.

#[cfg(test)]
mod tests;

use std::time::Duration;

use store::StoreUnavailable;
use tokio::time::{Instant, sleep, timeout_at};

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);
/// Between one try and the next.
const PAUSE: Duration = Duration::from_millis(250);

/// The time that one request may spend on waiting for the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience(Instant);

// === impl Patience ===

impl Patience {
    /// Begins now.
    pub(crate) fn begin() -> Self {
        Self(Instant::now() + LONGEST)
    }

    /// Waits for one attempt, which is given up when the time is over.
    pub(crate) async fn once<T, E>(
        self,
        attempt: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<StoreUnavailable>,
    {
        match timeout_at(self.0, attempt).await {
            Ok(answer) => answer,
            Err(_) => Err(E::from(StoreUnavailable(format!(
                "it gave no answer within {LONGEST:?}"
            )))),
        }
    }

    /// Tries again while the fault is a passing one and there is time. Only for steps that may be
    /// repeated.
    pub(crate) async fn insist<T, E, A>(
        self,
        is_passing: impl Fn(&E) -> bool,
        attempt: impl Fn() -> A,
    ) -> Result<T, E>
    where
        E: From<StoreUnavailable>,
        A: Future<Output = Result<T, E>>,
    {
        loop {
            match self.once(attempt()).await {
                Err(error) if is_passing(&error) && Instant::now() + PAUSE < self.0 => {
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}
