use std::net::{IpAddr, Ipv4Addr};

use super::*;

const START: Timestamp = Timestamp::from_unix(1_000_000);

fn network(number: u32) -> ClientNetwork {
    ClientNetwork::of(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)))
}

fn after(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

#[test]
fn an_address_has_ten_wrong_codes_then_one_in_half_a_minute() {
    let guesses = CodeGuesses::default();
    for _ in 0..10 {
        guesses.begin(network(1), START).unwrap();
    }
    let wait = guesses.begin(network(1), START).unwrap_err();
    assert_eq!(wait, Duration::from_secs(30));
    guesses.begin(network(1), after(29)).unwrap_err();
    guesses.begin(network(1), after(30)).unwrap();
    guesses.begin(network(1), after(30)).unwrap_err();
    guesses.begin(network(2), START).unwrap();
}

#[test]
fn all_addresses_together_have_a_hundred_then_one_a_second() {
    let guesses = CodeGuesses::default();
    for number in 0..100 {
        guesses.begin(network(number), START).unwrap();
    }
    let wait = guesses.begin(network(100), START).unwrap_err();
    assert_eq!(wait, Duration::from_secs(1));
    guesses.begin(network(100), after(1)).unwrap();
    guesses.begin(network(101), after(1)).unwrap_err();
}

#[test]
fn right_codes_cost_nothing() {
    let guesses = CodeGuesses::default();
    for _ in 0..500 {
        let guess = guesses.begin(network(1), START).unwrap();
        guesses.was_right(guess);
    }
    for _ in 0..10 {
        guesses.begin(network(1), START).unwrap();
    }
    guesses.begin(network(1), START).unwrap_err();
}

#[test]
fn a_quarter_of_an_hour_lets_in_few_enough() {
    let (mut alone, mut together) = (0, 0);
    let (one, many) = (CodeGuesses::default(), CodeGuesses::default());
    for second in 0..900 {
        for _ in 0..20 {
            alone += u32::from(one.begin(network(1), after(second)).is_ok());
        }
        for number in 0..20 {
            let address = network(number * 1000 + u32::try_from(second).unwrap());
            together += u32::from(many.begin(address, after(second)).is_ok());
        }
    }
    assert_eq!((alone, together), (39, 999));
}

#[test]
fn a_flood_of_addresses_is_bounded_and_keeps_the_worst() {
    let guesses = CodeGuesses::default();
    for _ in 0..10 {
        guesses.begin(network(0), START).unwrap();
    }
    guesses.with(|counted| {
        for number in 1..=20_000 {
            make_room(&mut counted.askers, START);
            let address = counted.askers.entry(network(number)).or_default();
            address.charge(OF_ADDRESS, START);
        }
        assert!(counted.askers.len() <= MAX_ASKERS);
    });
    guesses.begin(network(0), START).unwrap_err();
}
