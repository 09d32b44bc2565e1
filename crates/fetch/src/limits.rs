//! How often one network may make us fetch, how often one host is asked, and how much at once.

use std::{
    convert::Infallible, hash::Hash, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use quick_cache::sync::Cache;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::error::FetchError;

/// Fetches that one asking network causes in a minute. Documents are remembered, so that a login
/// seldom costs one.
const PER_NETWORK: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// Fetches that one host sees in a minute, whoever causes them.
const PER_HOST: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// Fetches under way.
const AT_ONCE: usize = 32;
/// Networks and hosts remembered; those seldom seen are forgotten first.
const REMEMBERED: usize = 16_384;

/// The budgets of one fetcher.
pub(crate) struct Limits {
    networks: Limiter<IpAddr>,
    hosts: Limiter<String>,
    at_once: Semaphore,
}

type Limiter<K> = RateLimiter<K, Budgets<K>, MonotonicClock, NoOpMiddleware<Duration>>;

/// One GCRA state per key, bounded in number.
struct Budgets<K>(Cache<K, Arc<InMemoryState>>);

/// Time since the start, which no change of the wall clock moves.
struct MonotonicClock(Instant);

// === impl Limits ===

impl Limits {
    pub(crate) fn new() -> Self {
        Self {
            networks: limiter(PER_NETWORK),
            hosts: limiter(PER_HOST),
            at_once: Semaphore::new(AT_ONCE),
        }
    }

    /// Counts one fetch from `host` for `network`.
    pub(crate) fn charge(&self, network: IpAddr, host: &str) -> Result<(), FetchError> {
        check(&self.networks, &network)?;
        check(&self.hosts, &host.to_owned())
    }

    /// A place among the fetches under way; waits for one.
    pub(crate) async fn place(&self) -> Result<SemaphorePermit<'_>, FetchError> {
        self.at_once.acquire().await.map_err(|_| FetchError::Busy {
            retry_after: Duration::from_secs(1),
        })
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Limits")
    }
}

fn limiter<K: Clone + Eq + Hash>(per_minute: NonZeroU32) -> Limiter<K> {
    RateLimiter::new(
        Quota::per_minute(per_minute),
        Budgets(Cache::new(REMEMBERED)),
        MonotonicClock(Instant::now()),
    )
}

fn check<K: Clone + Eq + Hash>(limiter: &Limiter<K>, key: &K) -> Result<(), FetchError> {
    limiter.check_key(key).map_err(|refused| {
        let wait = refused.wait_time_from(limiter.clock().now());
        let begun = u64::from(wait.subsec_nanos() > 0);
        FetchError::Busy {
            retry_after: Duration::from_secs(wait.as_secs().saturating_add(begun).max(1)),
        }
    })
}

// === impl Budgets ===

impl<K: Clone + Eq + Hash> StateStore for Budgets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let fresh = || Ok::<_, Infallible>(Arc::default());
        let state = match self.0.get_or_insert_with(key, fresh) {
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
