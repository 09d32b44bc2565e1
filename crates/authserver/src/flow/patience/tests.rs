use std::cell::Cell;

use super::*;

fn away() -> StoreUnavailable {
    StoreUnavailable("away".into())
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_is_waited_out() {
    let tries = Cell::new(0);
    let answer = Patience::begin()
        .insist(
            |_: &StoreUnavailable| true,
            || {
                tries.set(tries.get() + 1);
                let tries = tries.get();
                async move { if tries < 5 { Err(away()) } else { Ok(tries) } }
            },
        )
        .await;
    assert_eq!(answer.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_long_failure_is_answered_after_five_seconds() {
    let start = Instant::now();
    let answer = Patience::begin()
        .insist(|_: &StoreUnavailable| true, async || Err::<(), _>(away()))
        .await;
    answer.unwrap_err();
    assert!(
        (4..=5).contains(&start.elapsed().as_secs()),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up() {
    let start = Instant::now();
    let answer: Result<(), StoreUnavailable> = Patience::begin().once(std::future::pending()).await;
    answer.unwrap_err();
    assert_eq!(start.elapsed(), LONGEST);
}

#[tokio::test(start_paused = true)]
async fn a_definite_answer_is_given_at_once() {
    let start = Instant::now();
    let answer = Patience::begin()
        .insist(|_: &StoreUnavailable| false, async || Err::<(), _>(away()))
        .await;
    answer.unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO);
}
