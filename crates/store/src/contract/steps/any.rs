//! Sequences of steps, made at random.

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::{Step, Write};

/// How many names of a kind there are.
const NAMES: u8 = 5;
const GRANTS: u8 = 2;

/// Runs a property over sequences of steps; `cases` of them where `PROPTEST_CASES` does not say how
/// many.
pub(crate) fn for_any_steps(cases: u32, property: impl Fn(Vec<Step>) -> Result<(), TestCaseError>) {
    let mut config = Config::default();
    if config.cases == 256 {
        config.cases = cases;
    }
    config.failure_persistence = None;
    let steps = prop::collection::vec(step(), 1..60);
    TestRunner::new(config).run(&steps, property).unwrap();
}

/// Compares what is left: all that can be read, and then taken.
pub(crate) fn all_reads() -> Vec<Step> {
    let mut reads = Vec::new();
    for name in 0..NAMES {
        reads.extend([
            Step::LoadClient(name),
            Step::LoadInteraction(name),
            Step::TakeState(name),
            Step::MarkOnce(name, 60),
        ]);
    }
    for name in 0..GRANTS {
        reads.extend([
            Step::Load(name),
            Step::GrantsOf(name),
            Step::FindDevice(name),
            Step::LoadDevice(name),
        ]);
    }
    reads
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES;
    let few = || 0..GRANTS;
    let body = any::<u8>;
    let time = || prop::sample::select(vec![10_u64, 20, 60, 120]);
    let version = || prop::sample::select(vec![0_u64, 1, 1, 1, 2, 2, 3, 4]);
    let write = move || {
        (version(), 0..3_u8, body(), time()).prop_map(|(expected, operation, body, ttl)| Write {
            expected,
            operation,
            body,
            ttl,
        })
    };
    let clients = prop_oneof![
        4 => (name(), body()).prop_map(|(name, body)| Step::Register(name, body)),
        1 => name().prop_map(Step::LoadClient),
        2 => (name(), time()).prop_map(|(name, ttl)| Step::ExtendClient(name, ttl)),
        1 => (name(), body()).prop_map(|(name, body)| Step::ReplaceClient(name, body)),
        1 => name().prop_map(Step::ForgetClient),
    ];
    let interactions = prop_oneof![
        4 => (name(), body(), time())
            .prop_map(|(name, body, ttl)| Step::PutInteraction(name, body, ttl)),
        1 => name().prop_map(Step::LoadInteraction),
        2 => name().prop_map(Step::TakeInteraction),
        2 => (name(), body(), time()).prop_map(|(name, uid, ttl)| Step::PutState(name, uid, ttl)),
        2 => name().prop_map(Step::TakeState),
        1 => name().prop_map(Step::DropState),
        2 => (name(), time()).prop_map(|(name, ttl)| Step::MarkOnce(name, ttl)),
    ];
    let grants = prop_oneof![
        3 => (few(), write()).prop_map(|(grant, write)| Step::Open(grant, write)),
        2 => few().prop_map(Step::Load),
        5 => (few(), write()).prop_map(|(grant, write)| Step::Replace(grant, write)),
        4 => (few(), version(), body())
            .prop_map(|(grant, expected, body)| Step::Settle { grant, expected, body }),
        4 => (few(), version(), 0..3_u8, time()).prop_map(|(grant, expected, holder, life)| {
            Step::TakeLease { grant, expected, holder, life }
        }),
        1 => (few(), 0..3_u8).prop_map(|(grant, holder)| Step::GiveLeaseBack { grant, holder }),
        1 => (few(), time()).prop_map(|(grant, ttl)| Step::End(grant, ttl)),
        1 => (few(), few(), time())
            .prop_map(|(holder, grant, ttl)| Step::Index { holder, grant, ttl }),
        1 => few().prop_map(Step::GrantsOf),
    ];
    let devices = prop_oneof![
        2 => (few(), few(), time())
            .prop_map(|(code, grant, ttl)| Step::NameDevice { code, grant, ttl }),
        1 => few().prop_map(Step::FindDevice),
        1 => few().prop_map(Step::ForgetCode),
        3 => (few(), write()).prop_map(|(grant, write)| Step::PutDevice(grant, write)),
        1 => few().prop_map(Step::LoadDevice),
        2 => (few(), write()).prop_map(|(grant, write)| Step::ReplaceDevice(grant, write)),
        2 => (few(), write()).prop_map(|(grant, write)| Step::ApproveDevice(grant, write)),
    ];
    prop_oneof![
        2 => prop::sample::select(vec![10_u64, 20, 60]).prop_map(Step::Pass),
        3 => clients,
        3 => interactions,
        6 => grants,
        3 => devices,
    ]
}
