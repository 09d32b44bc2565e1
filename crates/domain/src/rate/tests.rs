use proptest::prelude::*;

use super::*;

fn rate(at_once: u32, each: u64) -> Rate {
    let at_once = NonZeroU32::new(at_once).unwrap();
    Rate::new(at_once, Duration::from_secs(each)).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_budget_lets_in_so_many_at_once_and_then_one_at_a_time() {
    let (rate, mut budget) = (rate(3, 20), Budget::default());
    let now = seconds(1_000);
    for left in [2, 1, 0] {
        budget.charge(rate, 1, now).unwrap();
        assert_eq!(rate.standing("test", budget.debt(now)).left, left);
    }
    assert_eq!(budget.charge(rate, 1, now), Err(seconds(20)));
    assert_eq!(budget.charge(rate, 1, now + seconds(19)), Err(seconds(1)));
    budget.charge(rate, 1, now + seconds(20)).unwrap();
    budget.charge(rate, 1, now + seconds(20)).unwrap_err();
}

#[test]
fn what_is_taken_back_was_never_used() {
    let (rate, mut budget) = (rate(2, 60), Budget::default());
    for _ in 0..10 {
        budget.charge(rate, 2, seconds(5)).unwrap();
        budget.give_back(rate, 2);
    }
    budget.charge(rate, 2, seconds(5)).unwrap();
    assert_eq!(budget.charge(rate, 1, seconds(5)), Err(seconds(60)));
}

#[test]
fn what_others_used_is_owed_too_and_never_makes_good() {
    let (rate, mut budget) = (rate(10, 6), Budget::default());
    budget.owe(seconds(60), seconds(100));
    assert_eq!(budget.charge(rate, 1, seconds(100)), Err(seconds(6)));
    budget.owe(seconds(1), seconds(100));
    assert_eq!(budget.debt(seconds(100)), seconds(60));
}

#[test]
fn a_standing_is_told_as_the_draft_has_it() {
    let rate = rate(60, 1);
    let told = |debt| {
        let standing = rate.standing("address", debt);
        [standing.policy_header(), standing.header()]
    };
    assert_eq!(
        told(Duration::from_millis(1_500)),
        [r#""address";q=60;w=60"#, r#""address";r=58;t=2"#]
    );
    assert_eq!(told(seconds(60))[1], r#""address";r=0;t=1"#);
    let nothing = Standing::of_nothing("address", seconds(60));
    assert_eq!(nothing.header(), r#""address";r=0;t=60"#);
}

#[test]
fn a_wider_rate_has_the_same_window() {
    let wide = rate(60, 1).times(NonZeroU32::new(16).unwrap());
    assert_eq!(wide.at_once(), 960);
    assert_eq!(wide.window(), seconds(60));
}

proptest! {
    /// In any time a budget lets in what fits in at once, and one for each time that passed.
    #[test]
    fn no_sequence_gets_more_than_the_rate(
        at_once in 1_u32..20,
        each in 1_u64..100,
        steps in proptest::collection::vec((0_u64..50, 1_u32..4), 1..200),
    ) {
        let rate = rate(at_once, each);
        let (mut budget, mut now, mut let_in) = (Budget::default(), 1_000, 0_u64);
        for (pause, units) in steps {
            now += pause;
            if budget.charge(rate, units, seconds(now)).is_ok() {
                let_in += u64::from(units);
            }
        }
        prop_assert!(let_in <= u64::from(at_once) + (now - 1_000) / each);
    }

    /// Whoever waits as long as they are told is let in.
    #[test]
    fn the_told_wait_is_enough(at_once in 1_u32..20, each in 1_u64..100, charges in 1_u32..60) {
        let (rate, mut budget) = (rate(at_once, each), Budget::default());
        let mut now = seconds(0);
        for _ in 0..charges {
            if let Err(wait) = budget.charge(rate, 1, now) {
                prop_assert!(wait > Duration::ZERO);
                now += wait;
                prop_assert_eq!(budget.charge(rate, 1, now), Ok(()));
            }
        }
    }
}
