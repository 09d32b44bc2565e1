use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

fn good() -> Map<String, Value> {
    json!({
        "iss": "https://id.example", "aud": "client", "sub": "alice",
        "exp": NOW + 300, "iat": NOW - 1, "nonce": "n-1",
    })
    .as_object()
    .unwrap()
    .clone()
}

fn with(name: &str, value: Value) -> Map<String, Value> {
    let mut claims = good();
    if value.is_null() {
        claims.remove(name);
    } else {
        claims.insert(name.to_owned(), value);
    }
    claims
}

fn checked(claims: &Map<String, Value>) -> Result<(), String> {
    let issuer = IssuerRule::judge(None, None, "https://id.example").unwrap();
    check(
        claims,
        &Expected {
            issuer: &issuer,
            client_id: "client",
            nonce: &SecretString::new("n-1"),
            now: Timestamp::from_unix(NOW),
        },
    )
}

#[test]
fn a_token_for_this_login_is_believed() {
    for claims in [
        good(),
        with("aud", json!(["client"])),
        with("azp", json!("client")),
        with("exp", json!(NOW - 59)),
        with("iat", json!(NOW + 60)),
        with("iat", json!(1_799_999_999.5)),
        with("nbf", json!(NOW)),
    ] {
        assert_eq!(checked(&claims), Ok(()), "{claims:?}");
    }
    let mut several = with("aud", json!(["client", "other"]));
    several.insert("azp".to_owned(), json!("client"));
    assert_eq!(checked(&several), Ok(()));
}

#[test]
fn each_claim_that_is_wrong_or_absent_refuses_it() {
    for (name, value) in [
        ("iss", Value::Null),
        ("iss", json!("https://id.example/")),
        ("iss", json!("https://evil.example")),
        ("iss", json!(["https://id.example"])),
        ("aud", Value::Null),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!([])),
        ("azp", json!("other")),
        ("azp", json!(7)),
        ("exp", Value::Null),
        ("exp", json!(NOW - 60)),
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("iat", Value::Null),
        ("iat", json!(NOW + 61)),
        ("nonce", Value::Null),
        ("nonce", json!("n-2")),
        ("nonce", json!("")),
    ] {
        let reason = checked(&with(name, value.clone())).unwrap_err();
        assert!(reason.contains(&format!("`{name}`")), "{value}: {reason}");
        assert!(!reason.contains("n-1") && !reason.contains("n-2"));
    }
    assert!(checked(&with("nbf", json!(NOW + 61))).is_err());
    assert!(checked(&with("aud", json!(["client", "other"]))).is_err());
}

proptest! {
    /// The times, in whole numbers and fractions, against the rule in plain words.
    #[test]
    fn a_token_is_believed_in_its_time_alone(
        expiry in prop_oneof![any::<u64>(), NOW - 100..NOW + 100],
        issued in prop_oneof![any::<u64>(), NOW - 100..NOW + 100],
        not_before in prop_oneof![any::<u64>(), NOW - 100..NOW + 100],
    ) {
        let mut claims = with("exp", json!(expiry));
        claims.insert("iat".to_owned(), json!(issued));
        claims.insert("nbf".to_owned(), json!(not_before));
        let now = u128::from(NOW);
        let is_over = u128::from(expiry) + 60 <= now;
        let is_ahead = u128::from(issued.max(not_before)) > now + 60;
        prop_assert_eq!(checked(&claims).is_ok(), !is_over && !is_ahead);
    }

    #[test]
    fn a_time_is_a_number_from_1970_on(number in any::<f64>(), text in ".{0,12}") {
        for name in ["exp", "iat", "nbf"] {
            let refused = checked(&with(name, json!(text))).unwrap_err();
            prop_assert!(refused.contains(name));
            if number < 0.0 {
                prop_assert!(checked(&with(name, json!(number))).is_err());
            }
        }
    }

    /// Any other value in any claim that binds the token to this login.
    #[test]
    fn a_token_for_anybody_else_is_not_believed(
        name in prop::sample::select(vec!["iss", "aud", "azp", "nonce"]),
        value in prop_oneof![
            ".{0,24}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::collection::vec(".{0,8}", 0..3).prop_map(Value::from),
            Just(json!({})),
        ],
    ) {
        let expected = if matches!(name, "aud" | "azp") { json!("client") } else { good()[name].clone() };
        prop_assume!(value != expected && value != json!(["client"]));
        let refused = checked(&with(name, value)).unwrap_err();
        prop_assert!(refused.contains(&format!("`{name}`")), "{}", refused);
    }
}
