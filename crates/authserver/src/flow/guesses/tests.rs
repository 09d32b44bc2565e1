use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

const START: Timestamp = Timestamp::from_unix(1_000_000);

fn codes() -> CodeGuesses {
    CodeGuesses::new(Arc::new(Meter::alone()))
}

fn network(number: u32) -> ClientNetwork {
    ClientNetwork::of(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)))
}

fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

#[tokio::test]
async fn an_address_has_ten_wrong_codes_then_one_in_half_a_minute() {
    let guesses = codes();
    for _ in 0..10 {
        guesses.begin(network(1), START).await.unwrap();
    }
    let wait = guesses.begin(network(1), START).await.unwrap_err();
    assert_eq!(wait, Duration::from_secs(30));
    guesses.begin(network(1), after(29)).await.unwrap_err();
    guesses.begin(network(1), after(30)).await.unwrap();
    guesses.begin(network(1), after(30)).await.unwrap_err();
    guesses.begin(network(2), START).await.unwrap();
}

#[tokio::test]
async fn all_addresses_together_have_a_hundred_then_one_a_second() {
    let guesses = codes();
    for number in 0..100 {
        guesses.begin(network(number), START).await.unwrap();
    }
    let wait = guesses.begin(network(100), START).await.unwrap_err();
    assert_eq!(wait, Duration::from_secs(1));
    guesses.begin(network(100), after(1)).await.unwrap();
    guesses.begin(network(101), after(1)).await.unwrap_err();
}

#[tokio::test]
async fn right_codes_cost_nothing() {
    let guesses = codes();
    for _ in 0..500 {
        let guess = guesses.begin(network(1), START).await.unwrap();
        guesses.was_right(guess).await;
    }
    for _ in 0..10 {
        guesses.begin(network(1), START).await.unwrap();
    }
    guesses.begin(network(1), START).await.unwrap_err();
}

#[tokio::test]
async fn a_quarter_of_an_hour_lets_in_few_enough() {
    let (mut alone, mut together) = (0, 0);
    let (one, many) = (codes(), codes());
    for second in 0..900 {
        for _ in 0..20 {
            alone += u32::from(one.begin(network(1), after(second)).await.is_ok());
        }
        for number in 0..20 {
            let address = network(number * 1000 + u32::try_from(second).unwrap());
            together += u32::from(many.begin(address, after(second)).await.is_ok());
        }
    }
    assert_eq!((alone, together), (39, 999));
}

#[tokio::test]
async fn a_secret_is_not_looked_at_where_many_wrong_ones_came_from() {
    let guesses = SecretGuesses::new(Arc::new(Meter::alone()));
    let (client, other) = (
        ClientId::parse("client").unwrap(),
        ClientId::parse("other").unwrap(),
    );
    let looked = AtomicU32::new(0);
    let judge = |is_right: bool| {
        looked.fetch_add(1, Ordering::SeqCst);
        is_right.then_some(()).ok_or(())
    };
    let asker = (&client, network(1));
    for _ in 0..100 {
        let judged = guesses.judge(asker, START, || judge(true)).await;
        judged.unwrap().unwrap();
    }
    for _ in 0..10 {
        let judged = guesses.judge(asker, START, || judge(false)).await;
        judged.unwrap().unwrap_err();
    }
    let refused = guesses.judge(asker, START, || judge(true)).await;
    let retry_after = Duration::from_secs(30);
    assert_eq!(refused.unwrap_err(), TooMany { retry_after });
    assert_eq!(looked.load(Ordering::SeqCst), 110);
    // Neither another client nor another address has to wait for it.
    for asker in [(&other, network(1)), (&client, network(2))] {
        let judged = guesses.judge(asker, START, || judge(true)).await;
        judged.unwrap().unwrap();
    }
}
