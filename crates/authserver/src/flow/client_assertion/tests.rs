use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://proxy.example";

fn good() -> Map<String, Value> {
    let claims = json!({
        "iss": "client", "sub": "client", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "1",
    });
    claims.as_object().unwrap().clone()
}

fn with(name: &str, value: Value) -> Map<String, Value> {
    let mut claims = good();
    claims.insert(name.to_owned(), value);
    claims
}

fn checked(claims: &Map<String, Value>) -> Result<Once, AssertionError> {
    let audiences = [ISSUER.to_owned(), format!("{ISSUER}/token")];
    let expected = Expected {
        audiences: &audiences,
        now: Timestamp::from_unix(NOW),
        network: ClientNetwork::of([192, 0, 2, 1].into()),
    };
    check_claims(claims, "client", &expected)
}

proptest! {
    /// RFC 7523 §3 in plain numbers: a minute of doubt at each end, an hour at most.
    #[test]
    fn an_assertion_counts_in_its_time_alone(
        expiry in prop_oneof![any::<u64>(), NOW - 100..NOW + 4000],
        issued in prop_oneof![any::<u64>(), NOW - 4000..NOW + 100],
        not_before in prop_oneof![any::<u64>(), NOW - 100..NOW + 100],
    ) {
        let mut claims = with("exp", json!(expiry));
        claims.insert("iat".to_owned(), json!(issued));
        claims.insert("nbf".to_owned(), json!(not_before));
        let now = u128::from(NOW);
        let [expiry, issued, not_before] = [expiry, issued, not_before].map(u128::from);
        let is_in_time = expiry + 60 > now
            && expiry <= now + 3600 + 60
            && not_before <= now + 60
            && issued <= now + 60
            && issued + 3600 + 60 >= now;
        let once = checked(&claims);
        prop_assert_eq!(once.is_ok(), is_in_time);
        // It is remembered for longer than it would count.
        if let Ok(once) = once {
            prop_assert!(now + u128::from(once.life.as_secs()) >= expiry + 60);
        }
    }

    /// Any other value in a claim that binds it to client, server and request.
    #[test]
    fn an_assertion_of_or_for_anybody_else_is_refused_by_its_claim(
        name in prop::sample::select(vec!["iss", "sub", "aud", "jti", "exp", "nbf", "iat"]),
        value in prop_oneof![
            ".{0,20}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            prop::collection::vec(".{0,8}", 0..3).prop_map(Value::from),
            Just(Value::Null),
            Just(json!({})),
        ],
    ) {
        let is_text = value.is_string();
        let named = match name {
            "iss" | "sub" => "iss and sub",
            "aud" => "aud",
            "jti" if is_text && value != "" => return Ok(()),
            "jti" => "jti",
            _ => "times",
        };
        prop_assume!(value != "client");
        let refused = checked(&with(name, value)).err().unwrap().to_string();
        prop_assert!(refused.contains(named), "{}", refused);
    }

    /// Two assertions are one only if client and `jti` are.
    #[test]
    fn each_jti_of_each_client_is_a_mark_of_its_own(
        one in ("[a-z\\x00]{1,4}", "[a-z\\x00]{1,4}"),
        other in ("[a-z\\x00]{1,4}", "[a-z\\x00]{1,4}"),
    ) {
        let mark = |client: &str, jti: &str| {
            let mut claims = with("jti", json!(jti));
            claims.insert("iss".to_owned(), json!(client));
            claims.insert("sub".to_owned(), json!(client));
            let audiences = [ISSUER.to_owned()];
            let expected = Expected {
                audiences: &audiences,
                now: Timestamp::from_unix(NOW),
                network: ClientNetwork::of([192, 0, 2, 1].into()),
            };
            check_claims(&claims, client, &expected).map(|once| once.mark).unwrap()
        };
        let is_same = mark(&one.0, &one.1) == mark(&other.0, &other.1);
        prop_assert_eq!(is_same, one == other);
    }
}
