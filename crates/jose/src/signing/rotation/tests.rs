use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use domain::time::Clock;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    signing::{KeyInfo, KeyRing, KeyState, SigningKeys},
    verifying::VerifyingKeys,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug)]
struct At(AtomicU64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

fn ring_at(text: &SecretString, now: u64) -> KeyRing {
    let clock = Arc::new(At(AtomicU64::new(now)));
    KeyRing::parse(text.expose(), clock).unwrap().0
}

fn list(text: &SecretString, now: u64) -> Vec<KeyInfo> {
    ring_at(text, now).list()
}

fn states(text: &SecretString, now: u64) -> Vec<(String, KeyState)> {
    list(text, now)
        .into_iter()
        .map(|key| (key.algorithm, key.state))
        .collect()
}

fn set(algorithms: &[SigningAlgorithm]) -> SecretString {
    let keys: Vec<_> = algorithms
        .iter()
        .map(|algorithm| SigningKeys::generate(*algorithm).unwrap())
        .collect();
    let keys: Vec<_> = keys.iter().map(SecretString::expose).collect();
    SecretString::new(format!("[{}]", keys.join(",")))
}

fn rotation(now: u64, from: u64) -> Rotation {
    Rotation {
        algorithm: None,
        now: Timestamp::from_unix(now),
        from: Timestamp::from_unix(from),
        replaced: Replaced::Kept(DAY),
    }
}

fn named(name: &str, state: KeyState) -> (String, KeyState) {
    (name.to_owned(), state)
}

#[test]
fn every_signing_key_gets_a_successor_and_ends_after_it() {
    let text = set(&[SigningAlgorithm::Es256, SigningAlgorithm::Ed25519]);
    let rotated = rotation(1_000, 2_000).of(text.expose()).unwrap();
    assert_eq!(
        states(&rotated, 1_999),
        [
            named("ES256", KeyState::Announced),
            named("ES256", KeyState::Signing),
            named("Ed25519", KeyState::Announced),
            named("Ed25519", KeyState::Signing),
        ]
    );
    let retired = [KeyState::Signing, KeyState::Retired].repeat(2);
    for now in [2_000, 2_000 + DAY.as_secs() - 1] {
        let states: Vec<_> = states(&rotated, now).into_iter().map(|(_, s)| s).collect();
        assert_eq!(states, retired);
    }
    let end = Timestamp::from_unix(2_000).plus(DAY);
    let gone = without_expired(rotated.expose(), end).unwrap().unwrap();
    assert_eq!(
        states(&gone, end.as_unix()),
        [
            named("ES256", KeyState::Signing),
            named("Ed25519", KeyState::Signing)
        ]
    );
    assert_eq!(without_expired(gone.expose(), end).unwrap(), None);
    // What stays is the same key, not only one like it.
    let kids = |text: &SecretString| -> Vec<_> {
        list(text, end.as_unix())
            .into_iter()
            .map(|k| k.kid)
            .collect()
    };
    let all = kids(&rotated);
    assert_eq!(kids(&gone), [all[0].clone(), all[2].clone()]);
}

#[test]
fn a_single_algorithm_is_rotated_alone_or_added() {
    let text = set(&[SigningAlgorithm::Es256, SigningAlgorithm::Ed25519]);
    let only = |algorithm| {
        let rotation = Rotation {
            algorithm: Some(algorithm),
            ..rotation(1_000, 1_000)
        };
        states(&rotation.of(text.expose()).unwrap(), 1_000)
    };
    assert_eq!(
        only(SigningAlgorithm::Ed25519),
        [
            named("ES256", KeyState::Signing),
            named("Ed25519", KeyState::Signing),
            named("Ed25519", KeyState::Retired),
        ]
    );
    assert_eq!(
        only(SigningAlgorithm::Es384),
        [
            named("ES256", KeyState::Signing),
            named("Ed25519", KeyState::Signing),
            named("ES384", KeyState::Signing),
        ]
    );
}

#[test]
fn an_announced_key_is_hastened_and_never_doubled() {
    let text = set(&[SigningAlgorithm::Es256]);
    let announced = rotation(1_000, 5_000).of(text.expose()).unwrap();
    let waiting = list(&announced, 1_000)[0].clone();
    assert_eq!(
        rotation(1_000, 5_000).of(announced.expose()).unwrap_err(),
        RotateError::Announced {
            kid: waiting.kid.clone(),
            from: Timestamp::from_unix(5_000),
        }
    );
    let hastened = rotation(1_100, 1_100).of(announced.expose()).unwrap();
    let keys = list(&hastened, 1_100);
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (&keys[0].kid, keys[0].state),
        (&waiting.kid, KeyState::Signing)
    );
    assert_eq!(keys[1].until, Some(Timestamp::from_unix(1_100).plus(DAY)));
}

#[test]
fn several_rotations_within_a_second_leave_one_signer() {
    let mut text = set(&[SigningAlgorithm::Es256]);
    let mut tokens = Vec::new();
    for _ in 0..4 {
        let claims = serde_json::Map::new();
        let keys = ring_at(&text, 1_000).current();
        tokens.push(keys.sign(None, "JWT", &claims).unwrap());
        text = rotation(1_000, 1_000).of(text.expose()).unwrap();
    }
    let states: Vec<_> = states(&text, 1_000).into_iter().map(|(_, s)| s).collect();
    assert_eq!(states[0], KeyState::Signing);
    assert_eq!(states[1..], [KeyState::Retired; 4]);
    let published = ring_at(&text, 1_000).current().public_jwks();
    let keys = VerifyingKeys::parse(&published).unwrap();
    for token in tokens {
        keys.verify(token.expose()).unwrap();
    }
}

#[test]
fn keys_that_leaked_are_withdrawn_with_all_that_were_beside_them() {
    let text = set(&[SigningAlgorithm::Es256, SigningAlgorithm::Ed25519]);
    let once = rotation(1_000, 1_000).of(text.expose()).unwrap();
    let announced = rotation(1_000, 5_000).of(once.expose()).unwrap();
    let before = list(&announced, 1_000);
    assert_eq!(before.len(), 6);
    for algorithm in [None, Some(SigningAlgorithm::Es256)] {
        let withdrawal = Rotation {
            algorithm,
            replaced: Replaced::Withdrawn,
            ..rotation(1_000, 1_000)
        };
        let after = list(&withdrawal.of(announced.expose()).unwrap(), 1_000);
        let of = |name: &str| -> Vec<&KeyInfo> {
            after.iter().filter(|key| key.algorithm == name).collect()
        };
        let is_new = |key: &&KeyInfo| before.iter().all(|old| old.kid != key.kid);
        assert_eq!(of("ES256").len(), 1);
        assert!(of("ES256").iter().all(is_new));
        assert_eq!(of("ES256")[0].state, KeyState::Signing);
        let expected = if algorithm.is_none() { 1 } else { 3 };
        assert_eq!(of("Ed25519").len(), expected);
    }
}

#[test]
fn keys_that_are_all_out_of_time_are_replaced_and_published_until_theirs_can_be_verified() {
    let text = set(&[SigningAlgorithm::Es256, SigningAlgorithm::Ed25519]);
    let mut keys: Vec<Value> = serde_json::from_str(text.expose()).unwrap();
    for key in &mut keys {
        key["exp"] = json!(500);
    }
    let text = SecretString::new(json!(keys).to_string());
    let claims = serde_json::Map::new();
    let before = ring_at(&text, 1_000).current();
    let before = before.sign(None, "JWT", &claims).unwrap();
    let rotated = rotation(1_000, 1_000).of(text.expose()).unwrap();
    let mut after: Vec<_> = states(&rotated, 1_000)
        .into_iter()
        .map(|(_, s)| s)
        .collect();
    after.sort_by_key(|state| state.as_str());
    assert_eq!(
        after,
        [
            KeyState::Retired,
            KeyState::Retired,
            KeyState::Signing,
            KeyState::Signing
        ]
    );
    let published = ring_at(&rotated, 1_000).current().public_jwks();
    let keys = VerifyingKeys::parse(&published).unwrap();
    keys.verify(before.expose()).unwrap();
}

#[test]
fn no_more_keys_are_gathered_than_verifiers_read() {
    let mut text = set(&[SigningAlgorithm::Ed25519]);
    let last = loop {
        match rotation(1_000, 1_000).of(text.expose()) {
            Ok(rotated) => text = rotated,
            Err(error) => break error,
        }
    };
    assert_eq!(last, RotateError::TooMany);
    let many = list(&text, 1_000).len();
    assert_eq!(many, MAX_KEYS);
    const { assert!(MAX_KEYS <= VerifyingKeys::MAX_KEYS) };
    // They expire, and there is room again.
    let later = rotation(1_000 + DAY.as_secs(), 1_000 + DAY.as_secs());
    let rotated = later.of(text.expose()).unwrap();
    assert_eq!(list(&rotated, 1_000 + DAY.as_secs()).len(), 2);
}

#[test]
fn a_key_for_several_algorithms_has_a_successor_for_all_of_them() {
    let text = set(&[SigningAlgorithm::Rs256]);
    let mut keys: Vec<Value> = serde_json::from_str(text.expose()).unwrap();
    keys[0].as_object_mut().unwrap().remove("alg");
    let rotated = rotation(1_000, 1_000).of(&json!(keys).to_string()).unwrap();
    let current = ring_at(&rotated, 1_000).current();
    assert_eq!(current.algorithms(), ["RS256", "PS256"]);
    assert_eq!(
        states(&rotated, 1_000),
        [
            named("RS256", KeyState::Signing),
            named("RS256", KeyState::Retired)
        ]
    );
}

#[test]
fn what_is_of_no_use_here_stays_in_the_set() {
    let text = set(&[SigningAlgorithm::Es256]);
    let mut keys: Vec<Value> = serde_json::from_str(text.expose()).unwrap();
    let foreign = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "foreign" });
    keys.insert(0, foreign.clone());
    let rotated = rotation(1_000, 1_000).of(&json!(keys).to_string()).unwrap();
    let after: Value = serde_json::from_str(rotated.expose()).unwrap();
    assert_eq!(after["keys"][0], foreign);
    assert_eq!(after["keys"].as_array().unwrap().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However it is rotated: a token is verified by what is published from the moment it is
    /// signed for as long as keys are kept, and nobody has waited less than was announced.
    #[test]
    fn no_token_loses_its_key(
        steps in proptest::collection::vec((0_u64..40_000, 0_u64..5_000), 1..8),
    ) {
        let mut text = set(&[SigningAlgorithm::Es256, SigningAlgorithm::Ed25519]);
        let mut now = 1_000_000;
        let mut tokens: Vec<(u64, SecretString)> = Vec::new();
        for (pause, wait) in steps {
            now += pause;
            if let Some(kept) = without_expired(text.expose(), Timestamp::from_unix(now)).unwrap() {
                text = kept;
            }
            match rotation(now, now + wait).of(text.expose()) {
                Ok(rotated) => text = rotated,
                Err(RotateError::Announced { .. }) => {}
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            let keys = ring_at(&text, now).current();
            tokens.push((now, keys.sign(Some("ES256"), "JWT", &serde_json::Map::new()).unwrap()));
            let published = VerifyingKeys::parse(&keys.public_jwks()).unwrap();
            for (signed, token) in &tokens {
                if now < signed + DAY.as_secs() {
                    prop_assert!(published.verify(token.expose()).is_ok());
                }
            }
        }
    }
}
