use super::*;

const HERE: Duration = Duration::from_secs(1_800_000_000);

fn clock() -> SharedClock {
    SharedClock::new(|| HERE)
}

fn apart(millis: i64) -> Duration {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 {
        HERE.checked_sub(by).unwrap()
    } else {
        HERE + by
    }
}

/// Compares at the present of this machine, with an answer that came at once.
fn compare(clock: &SharedClock, millis: i64) -> Compared {
    clock.compare(HERE, apart(millis), HERE)
}

fn shown(clock: &SharedClock) -> i64 {
    i64::try_from(clock.now().as_unix()).unwrap() - 1_800_000_000
}

#[test]
fn a_clock_that_is_nearly_right_is_left_alone() {
    let clock = clock();
    for millis in [0, 400, -400, 999, -999] {
        assert_eq!(compare(&clock, millis), Compared::Unchanged);
        assert_eq!(shown(&clock), 0);
    }
}

#[test]
fn a_clock_that_is_wrong_follows_the_other_one_both_ways() {
    for millis in [1_000, 5_000, 86_400_000, -1_000, -5_000, -86_400_000] {
        let clock = clock();
        assert_eq!(compare(&clock, millis), Compared::Corrected(millis));
        assert_eq!(shown(&clock), millis / 1_000);
        assert_eq!(compare(&clock, millis), Compared::Unchanged);
    }
}

#[test]
fn once_corrected_it_moves_only_for_a_second_or_more_and_by_just_that() {
    let clock = clock();
    compare(&clock, 5_000);
    // Neither back nor forth with each measurement.
    for millis in [5_400, 4_600, 5_900, 4_100] {
        assert_eq!(compare(&clock, millis), Compared::Unchanged);
        assert_eq!(shown(&clock), 5);
    }
    assert_eq!(compare(&clock, 3_000), Compared::Corrected(3_000));
    assert_eq!(shown(&clock), 3);
    // The clock of the machine was set right.
    assert_eq!(compare(&clock, 0), Compared::Corrected(0));
    assert_eq!(shown(&clock), 0);
}

#[test]
fn the_time_that_the_answer_took_is_no_difference() {
    let clock = clock();
    let sent = HERE;
    let heard = HERE + Duration::from_millis(900);
    let between = HERE + Duration::from_millis(450);
    assert_eq!(clock.compare(sent, between, heard), Compared::Unchanged);
    let ahead = between + Duration::from_secs(4);
    assert_eq!(
        clock.compare(sent, ahead, heard),
        Compared::Corrected(4_000)
    );
}

#[test]
fn what_took_too_long_or_went_backwards_says_nothing() {
    let clock = clock();
    let late = HERE + Duration::from_millis(1_001);
    let theirs = HERE + Duration::from_secs(60);
    assert_eq!(clock.compare(HERE, theirs, late), Compared::Unchanged);
    assert_eq!(clock.compare(late, theirs, HERE), Compared::Unchanged);
    assert_eq!(shown(&clock), 0);
}
