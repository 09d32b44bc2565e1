use domain::id::GrantId;

use super::*;
use crate::{
    record::{CodeProof, Pad, Pads},
    testing::{CountedRandom, DAY, HOUR, ISSUER, settings},
};

const START: u64 = 1_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(START + seconds)
}

struct Bench {
    random: CountedRandom,
    settings: GrantSettings,
    root: Root<'static>,
    line: Line,
}

impl Bench {
    fn new() -> Self {
        let random = CountedRandom::default();
        let source: &dyn Random = &random;
        let root = Root::new(source.secret(), GrantId::from_bytes([1; 16]), ISSUER);
        let proof = CodeProof {
            challenge: domain::pkce::CodeChallenge::from_digest([1; 32]),
            redirect_uri: [2; 32],
        };
        let line = Line {
            opened: at(0),
            absolute_end: at(90 * DAY),
            ends_at: at(90),
            check: [0; 16],
            generation: 0,
            newest_seen: 0,
            refresh_pads: Pads::new(&random, at(0)),
            access_pads: Pads::new(&random, at(0)),
            issued: Vec::new(),
            addresses: Vec::new(),
            retired: Vec::new(),
            code: CodeState::Open {
                pad: Pad(source.secret()),
                proof,
                nonce: None,
            },
        };
        Self {
            random,
            settings: settings(),
            root,
            line,
        }
    }

    fn moment(&self, seconds: u64) -> (Timestamp, GrantSettings) {
        (at(seconds), self.settings.clone())
    }

    fn with<T>(
        &mut self,
        seconds: u64,
        step: impl FnOnce(&mut Line, &Root<'_>, Moment<'_>) -> T,
    ) -> T {
        let (now, settings) = self.moment(seconds);
        let moment = Moment {
            now,
            settings: &settings,
            random: &self.random,
        };
        step(&mut self.line, &self.root, moment)
    }

    fn redeemed() -> Self {
        let mut bench = Self::new();
        let idle = bench.settings.refresh_idle;
        bench.with(10, |line, _, moment| line.redeem([1; 16], idle, moment));
        bench
    }

    fn advance(&mut self, seconds: u64) {
        let shown = self.line.generation;
        self.with(seconds, |line, root, moment| {
            line.advance(shown, [1; 16], root, moment);
        });
    }
}

#[test]
fn a_redeemed_code_opens_nothing_and_is_dropped_at_the_first_rotation() {
    let mut bench = Bench::redeemed();
    assert!(matches!(bench.line.code, CodeState::Redeemed { at, .. } if at == self::at(10)));
    assert_eq!(bench.line.ends_at, at(10 + 14 * DAY));
    bench.advance(20);
    assert_eq!(bench.line.code, CodeState::Dropped);
}

#[test]
fn a_late_use_moves_the_end_at_most_daily() {
    let mut bench = Bench::redeemed();
    bench.advance(20);
    let late = |bench: &mut Bench, seconds| {
        bench.with(seconds, |line, _, moment| {
            line.hand_present([1; 16], moment)
        })
    };
    assert!(!late(&mut bench, DAY));
    assert_eq!(bench.line.ends_at, at(20 + 14 * DAY));
    assert!(late(&mut bench, 21 + DAY));
    assert_eq!(bench.line.ends_at, at(21 + 15 * DAY));
    // A new address is written at once, and moves the end too.
    let wrote = bench.with(2 * DAY, |line, _, moment| {
        line.hand_present([2; 16], moment)
    });
    assert!(wrote);
    assert_eq!(bench.line.ends_at, at(16 * DAY));
}

#[test]
fn a_short_idle_life_is_moved_more_often() {
    let mut bench = Bench::redeemed();
    bench.settings.refresh_idle = Duration::from_secs(600);
    bench.advance(20);
    let wrote = bench.with(81, |line, _, moment| line.hand_present([1; 16], moment));
    assert!(wrote);
    assert_eq!(bench.line.ends_at, at(681));
}

#[test]
fn refresh_pads_move_weekly_and_access_pads_once_a_life() {
    let mut bench = Bench::redeemed();
    let numbers = |bench: &Bench| {
        (
            bench.line.refresh_pads.number,
            bench.line.access_pads.number,
        )
    };
    // An access token lives ten seconds longer than its client is told.
    bench.advance(HOUR + 9);
    assert_eq!(numbers(&bench), (0, 0));
    bench.advance(HOUR + 10);
    assert_eq!(numbers(&bench), (0, 1));
    bench.advance(2 * HOUR + 19);
    assert_eq!(numbers(&bench), (0, 1));
    bench.advance(7 * DAY - 1);
    assert_eq!(numbers(&bench), (0, 2));
    bench.advance(7 * DAY);
    assert_eq!(numbers(&bench), (1, 2));
    assert!(bench.line.retired.is_empty());
    let erased = bench.line.refresh_pads.previous.clone().unwrap();
    bench.advance(14 * DAY);
    let half = bench.root.half(&erased.0);
    assert_eq!(bench.line.retired, [retired_half(half.expose())]);
}

#[test]
fn what_is_remembered_is_bounded_and_the_newest_is_kept() {
    let mut bench = Bench::redeemed();
    for step in 0..40 {
        bench.advance(20 + step);
    }
    assert_eq!(bench.line.issued.len(), 16);
    assert_eq!(bench.line.replaced_at(41), None, "the present one");
    assert_eq!(bench.line.replaced_at(40), Some(at(59)));
    assert_eq!(bench.line.replaced_at(25), Some(at(44)));
    assert_eq!(bench.line.replaced_at(24), None, "no longer kept");
    for address in 0..20_u8 {
        bench.with(100, |line, _, moment| {
            line.mark_seen(u32::from(address) + 1, [address; 16], moment)
        });
    }
    assert_eq!(bench.line.addresses.len(), 8);
    assert_eq!(bench.line.newest_at(&[1; 16]), Some(41));
    assert_eq!(bench.line.newest_at(&[19; 16]), Some(20));
    assert_eq!(bench.line.newest_at(&[5; 16]), None);
    // One that is older than all that are kept pushes nobody out.
    bench.with(100, |line, _, moment| line.mark_seen(1, [99; 16], moment));
    assert_eq!(bench.line.newest_at(&[99; 16]), None);
}

#[test]
fn a_mark_is_written_only_when_it_is_news() {
    let mut bench = Bench::redeemed();
    let mark = |bench: &mut Bench, generation, from| {
        bench.with(20, |line, _, moment| {
            line.mark_seen(generation, [from; 16], moment)
        })
    };
    assert!(mark(&mut bench, 1, 1), "the first call");
    assert!(!mark(&mut bench, 1, 1));
    assert!(mark(&mut bench, 1, 2), "another address");
    assert!(!mark(&mut bench, 1, 2));
}
