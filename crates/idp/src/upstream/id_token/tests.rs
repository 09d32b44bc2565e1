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
    #[test]
    fn no_number_makes_the_times_panic(number in any::<f64>(), whole in any::<u64>()) {
        let _ = checked(&with("exp", json!(number)));
        let _ = checked(&with("iat", json!(whole)));
        let _ = checked(&with("nbf", json!(whole)));
    }
}
