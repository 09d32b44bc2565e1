use super::*;

fn ledger(window: u64) -> Ledger {
    Ledger::new(Duration::from_secs(2), Duration::from_secs(window))
}

fn refresh_token(answer: &Value) -> &str {
    answer["refresh_token"].as_str().unwrap()
}

#[test]
fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    let mut ledger = ledger(0);
    let code = ledger.log_in("alice");
    let first = ledger.redeem(&code).unwrap();
    assert!(ledger.redeem(&code).is_none());
    let (second, _) = ledger.refresh(refresh_token(&first), 1);
    let second = second.unwrap();
    let access = second["access_token"].as_str().unwrap();
    assert_eq!(ledger.holder(access).as_deref(), Some("alice"));
    assert!(!*ledger.ended("alice").borrow());

    assert!(ledger.refresh(refresh_token(&first), 2).0.is_none());
    assert!(*ledger.ended("alice").borrow());
    assert_eq!(ledger.holder(access), None);
    assert!(ledger.refresh(refresh_token(&second), 1).0.is_none());
    let outcomes: Vec<_> = ledger.refreshes().iter().map(|log| log.outcome).collect();
    assert!(matches!(outcomes[0], Outcome::Rotated { .. }));
    assert_eq!(
        outcomes[1..],
        [Outcome::Reused { first: 0 }, Outcome::Unknown]
    );
}

#[test]
fn within_a_window_it_is_good_again() {
    let mut ledger = ledger(60);
    let code = ledger.log_in("alice");
    let first = ledger.redeem(&code).unwrap();
    for _ in 0..2 {
        let (answer, _) = ledger.refresh(refresh_token(&first), 1);
        ledger
            .refresh(refresh_token(&answer.unwrap()), 1)
            .0
            .unwrap();
    }
    assert_eq!(ledger.refreshes()[2].outcome, Outcome::Again);
    assert!(!*ledger.ended("alice").borrow());
}
