use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    sync::atomic::{AtomicU64, Ordering},
};

use jose::{signing::SigningKeys, verifying::VerifyingKeys};
use serde_json::Map;
use tempfile::TempDir;

use super::*;
use crate::signing_keys::{FILE, file_in, generate, keep, listing::ListedKey, load_for_use};

const START: u64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
const LIVES: Lives = Lives {
    access: Duration::from_secs(3600),
    refresh_idle: Duration::from_secs(14 * 24 * 3600),
    grant: Duration::from_secs(90 * 24 * 3600),
    refresh_window: Duration::from_secs(4500),
};

#[derive(Debug)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

struct House {
    directory: TempDir,
    clock: Arc<ManualClock>,
}

impl House {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock(AtomicU64::new(START))),
        }
    }

    /// As a start of the process does it.
    fn open(&self) -> KeyKeeper {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let directory = self.directory.path();
        let keys = load_for_use(directory, clock.now()).unwrap();
        let keys = keys.unwrap_or_else(|| {
            let keys = generate().unwrap();
            keep(&file_in(directory), &keys).unwrap();
            keys
        });
        let source = Source::File(self.directory.path().join(FILE));
        KeyKeeper::new(&keys, source, LIVES, &clock).unwrap()
    }
}

fn es256_in(wait: Duration) -> RotationRequest {
    RotationRequest {
        algorithm: Some("ES256".to_owned()),
        wait_seconds: wait.as_secs(),
        withdraw: false,
    }
}

fn states(keeper: &KeyKeeper) -> Vec<String> {
    let keys = keeper.list().keys.into_iter();
    let es256 = keys.filter(|key| key.alg == "ES256");
    es256.map(|key| key.state).collect()
}

fn kids(keys: &[ListedKey]) -> BTreeSet<&str> {
    keys.iter().map(|key| key.kid.as_str()).collect()
}

#[test]
fn a_rotation_is_taken_at_once_and_found_again_by_the_next_start() {
    let house = House::new();
    let keeper = house.open();
    let before = keeper.list();
    assert_eq!(before.keys.len(), 3);
    let rotated = keeper.rotate(&es256_in(Duration::from_secs(3600))).unwrap();
    assert_eq!(rotated, keeper.list());
    assert_eq!(rotated.keys.len(), 4);
    assert!(kids(&rotated.keys).is_superset(&kids(&before.keys)));
    let mode = fs::metadata(house.directory.path().join(FILE))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    for (forward, expected) in [
        (Duration::ZERO, &["announced", "signing"][..]),
        (Duration::from_secs(3600), &["signing", "retired"]),
        (DAY * 14, &["signing", "retired"]),
        (DAY, &["signing"]),
    ] {
        house.clock.forward(forward);
        assert_eq!(states(&house.open()), expected);
    }
    // The process that went on running has seen the same, but for what only a start drops.
    assert_eq!(states(&keeper), ["signing", "expired"]);
}

#[test]
fn what_was_signed_before_a_rotation_is_verified_after_it_and_after_a_start() {
    let house = House::new();
    let keeper = house.open();
    let claims = Map::new();
    let before = keeper.ring().current().sign(None, "JWT", &claims).unwrap();
    let everything = RotationRequest {
        algorithm: None,
        ..es256_in(Duration::ZERO)
    };
    keeper.rotate(&everything).unwrap();
    let after = keeper.ring().current().sign(None, "JWT", &claims).unwrap();
    for ring in [keeper.ring(), house.open().ring()] {
        let keys = VerifyingKeys::parse(&ring.current().public_jwks()).unwrap();
        for token in [&before, &after] {
            keys.verify(token.expose()).unwrap();
        }
    }
}

#[test]
fn rotations_at_once_lose_no_key() {
    let house = House::new();
    let keeper = Arc::new(house.open());
    let before = keeper.list();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let keeper = Arc::clone(&keeper);
            std::thread::spawn(move || keeper.rotate(&es256_in(Duration::ZERO)).unwrap())
        })
        .collect();
    let mut seen: BTreeSet<String> = before.keys.into_iter().map(|key| key.kid).collect();
    for thread in threads {
        seen.extend(thread.join().unwrap().keys.into_iter().map(|key| key.kid));
    }
    let list = house.open().list();
    assert_eq!(list.keys.len(), 7);
    assert!(
        seen.iter()
            .all(|kid| kids(&list.keys).contains(kid.as_str()))
    );
}

#[test]
fn a_rotation_that_cannot_be_kept_changes_nothing() {
    let house = House::new();
    let keeper = house.open();
    let before = keeper.list();
    // A directory stands where the new file is written.
    fs::create_dir(house.directory.path().join(format!("{FILE}.new"))).unwrap();
    let error = keeper.rotate(&es256_in(Duration::ZERO)).unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
    assert_eq!(keeper.list(), before);
    fs::remove_dir(house.directory.path().join(format!("{FILE}.new"))).unwrap();
    assert_eq!(house.open().list(), before);
}

#[test]
fn an_unknown_algorithm_and_a_second_announcement_are_refused() {
    let house = House::new();
    let keeper = house.open();
    let unknown = RotationRequest {
        algorithm: Some("HS256".to_owned()),
        ..es256_in(Duration::ZERO)
    };
    let error = keeper.rotate(&unknown).unwrap_err().to_string();
    assert!(error.contains("HS256"), "{error}");
    let hour = es256_in(Duration::from_secs(3600));
    keeper.rotate(&hour).unwrap();
    let error = keeper.rotate(&hour).unwrap_err().to_string();
    assert!(error.contains("announced already"), "{error}");
    assert_eq!(states(&keeper), ["announced", "signing"]);
}

#[test]
fn configured_keys_are_listed_but_rotated_where_they_are_configured() {
    let clock: Arc<dyn Clock> = House::new().clock;
    let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let keys = SecretString::new(format!("[{}]", key.expose()));
    let keeper = KeyKeeper::new(&keys, Source::Configuration, LIVES, &clock).unwrap();
    assert_eq!(keeper.list().source, Source::Configuration);
    assert_eq!(states(&keeper), ["signing"]);
    let error = keeper.rotate(&es256_in(DAY)).unwrap_err().to_string();
    for part in [
        "OIDC_PROVIDER_JWKS",
        "keys generate --in 1h",
        "out 15d later",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn nothing_private_is_told() {
    let house = House::new();
    let keeper = house.open();
    let list = keeper.rotate(&es256_in(DAY)).unwrap();
    let told = format!(
        "{}{}{keeper:?}",
        serde_json::to_string(&list).unwrap(),
        list.render(house.clock.now())
    );
    let text = fs::read_to_string(house.directory.path().join(FILE)).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    for key in kept["keys"].as_array().unwrap() {
        assert!(told.contains(key["kid"].as_str().unwrap()));
        assert!(!told.contains(key["d"].as_str().unwrap()));
    }
    assert!(told.contains("announced, signs in 1 d 0 h"), "{told}");
}
