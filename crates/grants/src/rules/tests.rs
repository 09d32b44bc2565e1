//! Random sequences of commands against a plain model that remembers everything.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::GrantId;
use proptest::prelude::*;

use super::*;
use crate::{
    keys::Root,
    line::Moment,
    messages::GrantSettings,
    record::{CodeState, Pads},
    testing::{CountedRandom, DAY, HOUR, ISSUER, MINUTE, settings},
};

const START: u64 = 1_000_000;

#[derive(Clone, Debug)]
enum Command {
    /// Shows the refresh token of the generation so many before the present one.
    Rotate {
        back: u32,
        from: u8,
    },
    /// Calls with an access token of the generation so many before the present one.
    Call {
        back: u32,
        from: u8,
    },
    Wait {
        seconds: u64,
    },
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (prop_oneof![5 => Just(0_u32), 3 => 1_u32..4, 1 => 1_u32..30], 0_u8..5)
            .prop_map(|(back, from)| Command::Rotate { back, from }),
        3 => (prop_oneof![3 => Just(0_u32), 1 => 1_u32..4], 0_u8..5)
            .prop_map(|(back, from)| Command::Call { back, from }),
        2 => prop_oneof![0..5 * MINUTE, Just(HOUR), 0..2 * HOUR, 0..2 * DAY]
            .prop_map(|seconds| Command::Wait { seconds }),
    ]
}

/// Remembers every issue and every use, without a bound.
struct Model {
    now: u64,
    issued: BTreeMap<u32, u64>,
    seen: BTreeSet<u32>,
    reached: BTreeSet<(u8, u32)>,
    present: u32,
}

impl Model {
    fn judge(&self, shown: u32, from: u8, window: u64) -> &'static str {
        if shown == self.present {
            return "present";
        }
        if window == 0 {
            return "theft";
        }
        let lost = !self.seen.iter().any(|seen| *seen > shown);
        // The line remembers sixteen issue times; of older generations the oldest of those counts.
        let oldest_kept = self.present.saturating_sub(15).max(1);
        let replaced = self.issued[&(shown + 1).max(oldest_kept)];
        let within = self.now - replaced <= window;
        let sibling = self
            .reached
            .iter()
            .any(|(address, generation)| *address == from && *generation > shown);
        if lost || within || sibling {
            "late"
        } else {
            "theft"
        }
    }

    fn rotate(&mut self, shown: u32, from: u8) {
        self.seen.insert(shown);
        self.present += 1;
        self.issued.insert(self.present, self.now);
        self.reached.insert((from, self.present));
    }
}

fn opened(random: &CountedRandom) -> Line {
    let now = Timestamp::from_unix(START);
    Line {
        opened: now,
        absolute_end: Timestamp::from_unix(START + 90 * DAY),
        ends_at: now,
        check: [0; 16],
        generation: 0,
        newest_seen: 0,
        refresh_pads: Pads::new(random, now),
        access_pads: Pads::new(random, now),
        issued: Vec::new(),
        addresses: Vec::new(),
        retired: Vec::new(),
        code: CodeState::Dropped,
    }
}

fn address(from: u8) -> AddressHash {
    [from; 16]
}

fn run(commands: &[Command], settings: &GrantSettings) -> Result<(), TestCaseError> {
    let random = CountedRandom::default();
    let root = Root::new(
        (&random as &dyn domain::random::Random).secret(),
        GrantId::from_bytes([1; 16]),
        ISSUER,
    );
    let mut line = opened(&random);
    let mut model = Model {
        now: START,
        issued: BTreeMap::from([(1, START)]),
        seen: BTreeSet::new(),
        reached: BTreeSet::from([(0, 1)]),
        present: 1,
    };
    let window = settings.refresh_window.as_secs();
    let moment = |now| Moment {
        now: Timestamp::from_unix(now),
        settings,
        random: &random,
    };
    line.redeem(address(0), settings.refresh_idle, moment(START));
    for command in commands {
        let now = moment(model.now);
        match *command {
            Command::Wait { seconds } => model.now += seconds,
            Command::Call { back, from } => {
                let shown = model.present.saturating_sub(back).max(1);
                line.mark_seen(shown, address(from), now);
                model.seen.insert(shown);
                model.reached.insert((from, shown));
            }
            Command::Rotate { back, from } => {
                let shown = model.present.saturating_sub(back).max(1);
                let expected = model.judge(shown, from, window);
                let verdict = judge(
                    shown,
                    &line,
                    &address(from),
                    settings.refresh_window,
                    now.now,
                );
                let found = match verdict {
                    Verdict::Present => "present",
                    Verdict::Late(_) => "late",
                    Verdict::Theft => "theft",
                    Verdict::Newer => "newer",
                };
                prop_assert_eq!(found, expected, "generation {} of {}", shown, model.present);
                match verdict {
                    Verdict::Present => {
                        line.advance(shown, address(from), &root, now);
                        model.rotate(shown, from);
                    }
                    Verdict::Late(_) => {
                        line.hand_present(address(from), now);
                        model.reached.insert((from, model.present));
                    }
                    // It ends here.
                    Verdict::Theft | Verdict::Newer => return Ok(()),
                }
                prop_assert_eq!(line.generation, model.present);
                prop_assert!(line.ends_at <= line.absolute_end);
                prop_assert!(line.issued.len() <= 16 && line.addresses.len() <= 8);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_line_is_judged_as_by_one_who_remembers_everything(
        commands in prop::collection::vec(any_command(), 1..60),
        is_strict in prop::bool::weighted(0.1),
    ) {
        let mut settings = settings();
        if is_strict {
            settings.refresh_window = Duration::ZERO;
        }
        run(&commands, &settings)?;
    }

    /// One client that does nothing wrong but lose answers is never taken for a thief.
    #[test]
    fn a_lone_client_is_never_taken_for_a_thief(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0..13 * DAY, 0_u8..20), 1..40),
    ) {
        let random = CountedRandom::default();
        let settings = settings();
        let root = Root::new(
            (&random as &dyn domain::random::Random).secret(),
            GrantId::from_bytes([1; 16]),
            ISSUER,
        );
        let mut line = opened(&random);
        let mut now = START;
        let mut held = 1;
        let moment = |now| Moment {
            now: Timestamp::from_unix(now),
            settings: &settings,
            random: &random,
        };
        line.redeem(address(0), settings.refresh_idle, moment(now));
        for (answer_arrives, calls, pause, from) in steps {
            now += pause;
            // It moves between networks as it likes.
            let verdict = judge(
                held, &line, &address(from), settings.refresh_window, Timestamp::from_unix(now),
            );
            match verdict {
                Verdict::Present => line.advance(held, address(from), &root, moment(now)),
                Verdict::Late(_) => {
                    line.hand_present(address(from), moment(now));
                }
                Verdict::Newer | Verdict::Theft => prop_assert!(false, "{:?}", verdict),
            }
            if answer_arrives {
                held = line.generation;
            }
            if calls {
                line.mark_seen(held, address(from), moment(now));
            }
        }
    }

    #[test]
    fn a_generation_that_the_store_lost_is_adopted(lost in 1_u32..100) {
        let random = CountedRandom::default();
        let settings = settings();
        let root = Root::new(
            (&random as &dyn domain::random::Random).secret(),
            GrantId::from_bytes([1; 16]),
            ISSUER,
        );
        let mut line = opened(&random);
        let moment = Moment { now: Timestamp::from_unix(START), settings: &settings, random: &random };
        line.redeem(address(0), settings.refresh_idle, moment);
        let shown = 1 + lost;
        let verdict = judge(shown, &line, &address(0), settings.refresh_window, moment.now);
        prop_assert_eq!(verdict, Verdict::Newer);
        line.advance(shown, address(0), &root, moment);
        prop_assert_eq!(line.generation, shown + 1);
        prop_assert_eq!(line.newest_seen, shown);
        prop_assert!(line.issued.len() <= 16);
    }
}
