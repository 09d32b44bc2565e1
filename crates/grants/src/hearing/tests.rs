use super::*;

const GRACE: Duration = Duration::from_secs(60);

fn seconds(hearing: &Hearing, seconds: u64) -> Instant {
    hearing.began + Duration::from_secs(seconds)
}

/// A grant read at this second.
fn read_at(hearing: &Hearing, second: u64) -> LastReading {
    let last = LastReading::default();
    last.note(hearing.reading(seconds(hearing, second)));
    last
}

#[test]
fn a_grant_is_current_for_five_seconds_after_it_was_read_or_confirmed() {
    let hearing = Hearing::new(GRACE);
    hearing.begin();
    let last = read_at(&hearing, 10);
    let is_current = |second| hearing.is_current(&last, seconds(&hearing, second));
    assert!(is_current(14));
    assert!(!is_current(15));
    hearing.confirm(seconds(&hearing, 12));
    assert!(is_current(16));
    assert!(!is_current(17));
    // A beat that was sent before it was read confirms nothing new.
    hearing.confirm(seconds(&hearing, 9));
    assert!(!is_current(15));
}

#[test]
fn what_was_read_before_listening_began_anew_is_read_again() {
    let hearing = Hearing::new(GRACE);
    hearing.begin();
    let last = read_at(&hearing, 10);
    hearing.confirm(seconds(&hearing, 11));
    hearing.interrupt(false);
    hearing.begin();
    hearing.confirm(seconds(&hearing, 12));
    assert!(!hearing.is_current(&last, seconds(&hearing, 12)));
    last.note(hearing.reading(seconds(&hearing, 12)));
    assert!(hearing.is_current(&last, seconds(&hearing, 13)));
}

#[test]
fn while_the_store_is_away_a_grant_is_used_until_the_grace_after_its_confirmation() {
    let hearing = Hearing::new(GRACE);
    hearing.begin();
    let last = read_at(&hearing, 10);
    hearing.confirm(seconds(&hearing, 30));
    hearing.interrupt(false);
    let is_current = |second| hearing.is_current(&last, seconds(&hearing, second));
    assert!(is_current(89));
    assert!(!is_current(90));
    // Back for a moment, and away again before it was read anew.
    hearing.begin();
    assert!(!is_current(32));
    hearing.interrupt(false);
    assert!(is_current(89));
    assert!(!is_current(90));
}

#[test]
fn a_store_that_answers_and_lets_nobody_listen_is_asked() {
    let hearing = Hearing::new(GRACE);
    hearing.begin();
    let last = read_at(&hearing, 10);
    hearing.interrupt(true);
    assert!(hearing.is_current(&last, seconds(&hearing, 14)));
    assert!(!hearing.is_current(&last, seconds(&hearing, 15)));
}
