use std::sync::atomic::{AtomicU64, Ordering};

use domain::secret::SecretString;
use serde_json::{Map, Value, json};

use super::*;
use crate::{signing::SigningAlgorithm, verifying::VerifyingKeys};

#[derive(Debug, Default)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

fn key(algorithm: SigningAlgorithm, kid: &str, times: &Value) -> Value {
    let text = SigningKeys::generate(algorithm).unwrap();
    let mut members: Map<String, Value> = serde_json::from_str(text.expose()).unwrap();
    members.insert("kid".to_owned(), kid.into());
    members.extend(times.as_object().unwrap().clone());
    members.into()
}

fn es256(kid: &str, times: &Value) -> Value {
    key(SigningAlgorithm::Es256, kid, times)
}

fn ring(keys: &[Value]) -> (KeyRing, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let (ring, skipped) = KeyRing::parse(&json!(keys).to_string(), shared).unwrap();
    assert_eq!(skipped, []);
    (ring, clock)
}

fn token(ring: &KeyRing, algorithm: &str) -> SecretString {
    let claims = Map::from_iter([("sub".to_owned(), json!("alice"))]);
    ring.current()
        .sign(Some(algorithm), "JWT", &claims)
        .unwrap()
}

fn signer(ring: &KeyRing, algorithm: &str) -> String {
    let token = token(ring, algorithm);
    let header = token.expose().split('.').next().unwrap();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
    let header: Value = serde_json::from_slice(&bytes).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn published(ring: &KeyRing) -> Vec<String> {
    let jwks = ring.current().public_jwks();
    let keys = jwks["keys"].as_array().unwrap();
    let kids = keys
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned());
    kids.collect()
}

fn states(ring: &KeyRing) -> Vec<KeyState> {
    ring.list().iter().map(|key| key.state).collect()
}

#[test]
fn a_key_is_announced_signs_retires_and_goes() {
    let (ring, clock) = ring(&[
        es256("new", &json!({ "nbf": 200 })),
        es256("old", &json!({ "exp": 300 })),
    ]);
    let before = token(&ring, "ES256");
    for (now, signs, seen, old, new) in [
        (
            199,
            "old",
            &["old", "new"][..],
            KeyState::Signing,
            KeyState::Announced,
        ),
        (
            200,
            "new",
            &["new", "old"],
            KeyState::Retired,
            KeyState::Signing,
        ),
        (
            299,
            "new",
            &["new", "old"],
            KeyState::Retired,
            KeyState::Signing,
        ),
        (300, "new", &["new"], KeyState::Expired, KeyState::Signing),
    ] {
        clock.set(now);
        assert_eq!(signer(&ring, "ES256"), signs, "at {now}");
        assert_eq!(published(&ring), seen, "at {now}");
        assert_eq!(states(&ring), [new, old], "at {now}");
        let keys = VerifyingKeys::parse(&ring.current().public_jwks()).unwrap();
        assert_eq!(keys.verify(before.expose()).is_ok(), now < 300, "at {now}");
    }
}

#[test]
fn without_times_the_first_that_fits_signs_for_ever() {
    let (ring, clock) = ring(&[
        es256("first", &json!({})),
        es256("second", &json!({})),
        key(SigningAlgorithm::Ed25519, "third", &json!({})),
    ]);
    for now in [0, 4_000_000_000] {
        clock.set(now);
        assert_eq!(signer(&ring, "ES256"), "first");
        assert_eq!(signer(&ring, "RS256"), "first");
        assert_eq!(signer(&ring, "EdDSA"), "third");
        assert_eq!(published(&ring), ["first", "second", "third"]);
    }
    assert_eq!(
        states(&ring),
        [KeyState::Signing, KeyState::Standby, KeyState::Signing]
    );
}

#[test]
fn the_latest_that_has_begun_signs_wherever_it_stands() {
    let keys = [
        es256("never said", &json!({})),
        es256("long ago", &json!({ "nbf": 10 })),
        es256("lately", &json!({ "nbf": 90 })),
        es256("soon", &json!({ "nbf": 110 })),
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let (ring, clock) = ring(&order.map(|index: usize| keys[index].clone()));
        clock.set(100);
        assert_eq!(signer(&ring, "ES256"), "lately");
        assert_eq!(published(&ring).len(), 4);
    }
}

#[test]
fn a_key_for_several_algorithms_goes_on_signing_where_it_was_not_replaced() {
    let mut both = key(SigningAlgorithm::Rs256, "both", &json!({}));
    both.as_object_mut().unwrap().remove("alg");
    let new = key(SigningAlgorithm::Rs256, "new", &json!({ "nbf": 10 }));
    let (ring, clock) = ring(&[both, new]);
    clock.set(10);
    assert_eq!(signer(&ring, "RS256"), "new");
    assert_eq!(signer(&ring, "PS256"), "both");
    // Who asks for what there is not gets the algorithm of the first key, by its present signer.
    assert_eq!(signer(&ring, "ES512"), "new");
    assert_eq!(states(&ring), [KeyState::Signing, KeyState::Signing]);
}

#[test]
fn an_algorithm_is_offered_once_a_key_signs_by_it() {
    let (ring, clock) = ring(&[
        key(SigningAlgorithm::Es384, "next", &json!({ "nbf": 10 })),
        es256("present", &json!({})),
    ]);
    clock.set(9);
    assert_eq!(ring.current().algorithms(), ["ES256"]);
    assert_eq!(signer(&ring, "ES384"), "present");
    clock.set(10);
    assert_eq!(ring.current().algorithms(), ["ES384", "ES256"]);
    assert_eq!(signer(&ring, "ES384"), "next");
}

#[test]
fn keys_that_are_all_out_of_time_sign_rather_than_none() {
    let (ring, clock) = ring(&[
        es256("gone", &json!({ "exp": 10 })),
        es256("to come", &json!({ "nbf": 100 })),
    ]);
    clock.set(50);
    assert!(ring.is_out_of_time());
    assert_eq!(signer(&ring, "ES256"), "gone");
    assert_eq!(published(&ring), ["gone", "to come"]);
    clock.set(100);
    assert!(!ring.is_out_of_time());
    assert_eq!(signer(&ring, "ES256"), "to come");
}

#[test]
fn the_same_value_is_given_until_something_changes() {
    let (ring, clock) = ring(&[
        es256("new", &json!({ "nbf": 100 })),
        es256("old", &json!({})),
    ]);
    clock.set(50);
    let before = ring.current();
    clock.set(99);
    assert!(Arc::ptr_eq(&before, &ring.current()));
    clock.set(100);
    let after = ring.current();
    assert!(!Arc::ptr_eq(&before, &after));
    clock.set(1_000_000);
    assert!(Arc::ptr_eq(&after, &ring.current()));
    // A clock that was put right.
    clock.set(99);
    assert_eq!(signer(&ring, "ES256"), "old");
}

#[test]
fn secrets_of_every_published_key_are_tried_and_new_ones_come_from_one_that_signs() {
    let (ring, clock) = ring(&[
        es256("new", &json!({ "nbf": 100 })),
        es256("old", &json!({ "exp": 200 })),
    ]);
    let secrets = || -> Vec<_> { ring.current().derived_secrets().cloned().collect() };
    clock.set(99);
    let before = secrets();
    clock.set(100);
    let after = secrets();
    assert_eq!(before.len(), 2);
    assert_ne!(before[0], after[0]);
    assert!(after.contains(&before[0]) && before.contains(&after[0]));
}

#[test]
fn times_are_not_published() {
    let (ring, _) = ring(&[es256("key", &json!({ "nbf": 0, "exp": 9, "iat": 0 }))]);
    let jwks = ring.current().public_jwks();
    for member in ["nbf", "exp", "iat", "d"] {
        assert_eq!(jwks["keys"][0].get(member), None, "{member}");
    }
}

#[test]
fn what_is_no_time_is_refused() {
    for (member, value, reason) in [
        ("nbf", json!("tomorrow"), "is not a time"),
        ("exp", json!(-1), "is not a time"),
        ("nbf", json!(1_900_000_000_000_u64), "milliseconds"),
    ] {
        let keys = json!([es256("key", &json!({ member: value }))]).to_string();
        let clock = Arc::new(ManualClock::default());
        let error = KeyRing::parse(&keys, clock).unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{member}`")) && error.contains(reason),
            "{error}"
        );
    }
}

#[test]
fn other_keys_take_their_place_at_once_or_not_at_all() {
    let (ring, _) = ring(&[es256("old", &json!({}))]);
    ring.replace("[]").unwrap_err();
    assert_eq!(signer(&ring, "ES256"), "old");
    let new = json!([es256("new", &json!({}))]).to_string();
    ring.replace(&new).unwrap();
    assert_eq!(signer(&ring, "ES256"), "new");
    assert_eq!(published(&ring), ["new"]);
}
