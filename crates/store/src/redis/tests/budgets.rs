use std::num::NonZeroU32;

use domain::rate::Rate;

use super::*;
use crate::{BudgetStore as _, Charged};

const BUDGET: [u8; 16] = [7; 16];

fn rate(at_once: u32, each: Duration) -> Rate {
    Rate::new(NonZeroU32::new(at_once).unwrap(), each).unwrap()
}

async fn debt(store: &RedisStore, rate: Rate, units: u32) -> Result<Duration, Duration> {
    match store.charge_budget(&BUDGET, rate, units).await.unwrap() {
        Charged::LetIn { debt } => Ok(debt),
        Charged::Refused { debt } => Err(debt),
        Charged::Alone => panic!("others use it too"),
    }
}

#[tokio::test]
async fn a_budget_is_counted_for_all_by_the_clock_of_the_server() {
    let fixture = Fixture::new().await;
    let here = fixture.connect().await;
    // Another process makes other operation ids.
    let random = Arc::new(CountedRandom(AtomicU64::new(1280)));
    let settings = fixture.settings();
    let there = RedisStore::connect(&settings, random, &SystemClock);
    let there = there.await.unwrap();
    let rate = rate(3, Duration::from_secs(1000));
    // Hardly any time passes.
    let about = |debt: Duration, units: u64| {
        let most = Duration::from_secs(units * 1000);
        debt <= most && most.saturating_sub(debt) < Duration::from_secs(60)
    };
    assert!(about(debt(&here, rate, 2).await.unwrap(), 2));
    assert!(about(debt(&there, rate, 2).await.unwrap_err(), 2));
    assert!(about(debt(&there, rate, 1).await.unwrap(), 3));
    // A look changes nothing.
    for _ in 0..3 {
        assert!(about(debt(&here, rate, 0).await.unwrap(), 3));
    }
    here.give_back_budget(&BUDGET, rate, 2).await.unwrap();
    assert!(about(debt(&there, rate, 2).await.unwrap(), 3));
}

#[tokio::test]
async fn a_budget_is_forgotten_when_it_is_whole_and_nothing_is_saved_up() {
    let fixture = Fixture::new().await;
    let store = fixture.connect().await;
    let slow = rate(3, Duration::from_secs(1000));
    debt(&store, slow, 1).await.unwrap();
    assert_eq!(fixture.keys().await.len(), 1);
    for _ in 0..5 {
        store.give_back_budget(&BUDGET, slow, 1).await.unwrap();
    }
    assert_eq!(fixture.keys().await, Vec::<String>::new());
    debt(&store, slow, 3).await.unwrap();
    debt(&store, slow, 1).await.unwrap_err();
}

#[tokio::test]
async fn a_charge_that_was_sent_twice_counts_once() {
    let fixture = Fixture::new().await;
    let store = fixture.connect().await;
    let key = store.keys.budget(&BUDGET);
    let arguments = [b"operate1".as_slice(), b"1000000", b"3", b"1"];
    for _ in 0..5 {
        let (code, micros): (i64, u64) = store
            .link
            .run(&store.scripts.change_budget, &[&key], &arguments)
            .await
            .unwrap();
        assert_eq!(code, scripts::code::DONE);
        assert!(micros <= 1_000_000, "{micros}");
    }
}
