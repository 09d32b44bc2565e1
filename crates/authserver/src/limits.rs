//! How many requests one client network may make (`MAX_REQUESTS`).
//!
//! Counted are requests that begin something (authorization, registration, the first page of an
//! interaction) and requests that are refused. Token requests that succeed are never counted: a
//! refused one is a lost login, and cloud clients come from few addresses.

#[cfg(test)]
mod tests;

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use domain::address::ClientNetwork;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::server::Limits;

/// Networks remembered. Beyond it those seldom seen are forgotten: who has so many addresses
/// could not be held back by counting them, and nobody else may suffer for it.
const MAX_NETWORKS: usize = 65_536;

/// The budget of each network.
pub(crate) struct RequestLimits(Rule);

enum Rule {
    /// Everything is let in.
    Unbounded,
    /// Nothing is; who asks is told to come back after the window.
    Nothing(Duration),
    Counted(Limiter),
}

type Limiter = RateLimiter<ClientNetwork, Budgets, MonotonicClock, NoOpMiddleware<Duration>>;

/// A network has made more requests than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many requests from this address; try again in {} s",
    retry_after.as_secs()
)]
pub(crate) struct TooMany {
    /// When the next one is let in: whole seconds, at least one.
    pub(crate) retry_after: Duration,
}

/// One GCRA state per network, bounded in number.
struct Budgets(Cache<ClientNetwork, Arc<InMemoryState>>);

/// Time since the start, which no change of the wall clock moves.
struct MonotonicClock(Instant);

// === impl RequestLimits ===

impl RequestLimits {
    /// No request counted yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::bounded(limits, MAX_NETWORKS)
    }

    fn bounded(limits: Limits, networks: usize) -> Self {
        let Some(requests) = limits.requests else {
            return Self(Rule::Unbounded);
        };
        let Some(requests) = NonZeroU32::new(requests) else {
            return Self(Rule::Nothing(limits.window));
        };
        // A period of no length at all is no bound.
        Self(
            Quota::with_period(limits.window / requests.get()).map_or(Rule::Unbounded, |quota| {
                Rule::Counted(RateLimiter::new(
                    quota.allow_burst(requests),
                    Budgets(Cache::new(networks)),
                    MonotonicClock(Instant::now()),
                ))
            }),
        )
    }

    /// Counts one request of `network`.
    ///
    /// # Errors
    /// If it has used up its budget; the request is not counted then.
    pub(crate) fn charge(&self, network: ClientNetwork) -> Result<(), TooMany> {
        let limiter = match &self.0 {
            Rule::Unbounded => return Ok(()),
            Rule::Nothing(window) => {
                let retry_after = (*window).max(Duration::from_secs(1));
                return Err(TooMany { retry_after });
            }
            Rule::Counted(limiter) => limiter,
        };
        limiter.check_key(&network).map_err(|refused| {
            let wait = refused.wait_time_from(limiter.clock().now());
            let begun = u64::from(wait.subsec_nanos() > 0);
            TooMany {
                retry_after: Duration::from_secs(wait.as_secs().saturating_add(begun).max(1)),
            }
        })
    }
}

impl fmt::Debug for RequestLimits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RequestLimits")
    }
}

// === impl Budgets ===

impl StateStore for Budgets {
    type Key = ClientNetwork;

    fn measure_and_replace<T, F, E>(&self, network: &ClientNetwork, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let state = match self.0.get_or_insert_with(network, fresh) {
            Ok(state) => state,
            Err(never) => match never {},
        };
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

// === impl MonotonicClock ===

impl Clock for MonotonicClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
