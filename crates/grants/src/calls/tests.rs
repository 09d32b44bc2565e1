use std::num::NonZeroU32;

use store::embedded::EmbeddedStore;
use testkit::{redis::Redis, wait};

use super::*;
use crate::{
    machines::connect,
    testing::{CountedRandom, ManualClock},
};

const SESSION: GrantId = GrantId::from_bytes([1; 16]);
const OTHER: GrantId = GrantId::from_bytes([2; 16]);
const SOON: Duration = Duration::from_secs(20);

fn rate(requests: u32) -> Rate {
    let requests = NonZeroU32::new(requests).unwrap();
    Rate::in_window(requests, Duration::from_secs(60)).unwrap()
}

fn calls(requests: u32, store: impl Store + 'static) -> Calls {
    let store: Arc<dyn Store> = Arc::new(store);
    Calls::new(rate(requests), &store, &TaskTracker::new())
}

/// Calls until one is refused, each after what the one before has told was answered.
async fn until_refused(calls: &Calls) -> u32 {
    let mut let_in = 0;
    while calls.charge(SESSION).is_ok() {
        let_in += 1;
        let session = calls.of(SESSION);
        wait::until_true("the report", SOON, || !lock(&session).is_reporting)
            .await
            .unwrap();
    }
    let_in
}

#[tokio::test(start_paused = true)]
async fn a_session_has_a_budget_of_its_own_that_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new());
    let store = EmbeddedStore::open(&directory.path().join("store"), clock).unwrap();
    let calls = calls(60, store);
    for left in (0..60).rev() {
        assert_eq!(calls.charge(SESSION).unwrap().left, left);
    }
    let refused = calls.charge(SESSION).unwrap_err();
    assert_eq!(refused.resets_in, Duration::from_secs(1));
    calls.charge(OTHER).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    calls.charge(SESSION).unwrap();
    calls.charge(SESSION).unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_let_in_little_more_together_than_one_does_alone() {
    let redis = Redis::start().await.unwrap();
    let random = Arc::new(CountedRandom::default());
    // Slow enough that nothing to speak of comes back while the test runs.
    let window = Duration::from_secs(100_000);
    let machine = async || {
        let store: Arc<dyn Store> = Arc::new(connect(&redis, random.clone()).await);
        let rate = Rate::in_window(NonZeroU32::new(100).unwrap(), window).unwrap();
        Calls::new(rate, &store, &TaskTracker::new())
    };
    let [first, second, third] = [machine().await, machine().await, machine().await];
    assert_eq!(until_refused(&first).await, 100);
    for other in [&second, &third] {
        // A quarter before it tells, and learns.
        assert_eq!(until_refused(other).await, 26);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_well_within_its_budget_costs_no_command() {
    let redis = Redis::start().await.unwrap();
    let store = connect(&redis, Arc::new(CountedRandom::default())).await;
    let calls = calls(1000, store);
    for _ in 0..200 {
        calls.charge(SESSION).unwrap();
    }
    let session = calls.of(SESSION);
    assert!(!lock(&session).is_reporting);
    assert_eq!(redis.command(&["DBSIZE"]).await.unwrap(), ":0\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_holds_no_call_up() {
    let mut redis = Redis::start().await.unwrap();
    let store = connect(&redis, Arc::new(CountedRandom::default())).await;
    let calls = calls(20, store);
    redis.process().kill().unwrap();
    for _ in 0..20 {
        calls.charge(SESSION).unwrap();
    }
    calls.charge(SESSION).unwrap_err();
}
