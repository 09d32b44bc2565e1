use std::sync::LazyLock;

use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    der::tests::der,
    signing::{SigningAlgorithm, SigningKeys},
};

/// RFC 7515 appendix A.3.
const RFC_KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const RFC_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0d\
    HA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5\
    djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn signer(algorithm: SigningAlgorithm, kid: Option<&str>) -> SigningKeys {
    let text = SigningKeys::generate(algorithm).unwrap();
    let mut key: Value = serde_json::from_str(text.expose()).unwrap();
    if let Some(kid) = kid {
        key["kid"] = json!(kid);
    }
    SigningKeys::parse(&json!([key]).to_string()).unwrap().0
}

fn public(keys: &SigningKeys) -> Value {
    keys.public_jwks()["keys"][0].clone()
}

fn verifier(keys: impl IntoIterator<Item = Value>) -> VerifyingKeys {
    let keys: Vec<Value> = keys.into_iter().collect();
    VerifyingKeys::parse(&json!({ "keys": keys })).unwrap()
}

fn claims() -> Map<String, Value> {
    json!({ "sub": "alice" }).as_object().unwrap().clone()
}

fn token(keys: &SigningKeys) -> String {
    keys.sign(None, "JWT", &claims())
        .unwrap()
        .expose()
        .to_owned()
}

/// The same token with another header; its signature no longer fits.
fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", jwk::encode(header.to_string().as_bytes()))
}

fn without(mut key: Value, member: &str) -> Value {
    key.as_object_mut().unwrap().remove(member);
    key
}

#[test]
fn the_example_of_the_rfc_verifies() {
    let keys = VerifyingKeys::parse(&serde_json::from_str(RFC_KEY).unwrap()).unwrap();
    let verified = keys.verify(RFC_TOKEN).unwrap();
    assert_eq!(verified.algorithm, "ES256");
    assert_eq!(verified.claims["iss"], "joe");
}

#[test]
fn what_another_implementation_signed_verifies() {
    let signing = SigningKeys::generate(SigningAlgorithm::Rs256).unwrap();
    let jwk: Value = serde_json::from_str(signing.expose()).unwrap();
    // That crate takes RSA keys as PKCS#1 only: made here from the numbers of the JWK.
    let number = |member: &str| {
        let raw = jwk::bytes(jwk.as_object().unwrap(), member).unwrap();
        let sign: &[u8] = if raw[0] < 0x80 { &[] } else { &[0] };
        der(0x02, &[sign, raw.as_slice()].concat())
    };
    let body: Vec<u8> = [
        der(0x02, &[0]),
        number("n"),
        number("e"),
        number("d"),
        number("p"),
        number("q"),
        number("dp"),
        number("dq"),
        number("qi"),
    ]
    .concat();
    let key = EncodingKey::from_rsa_der(&der(0x30, &body));
    let (keys, _) = SigningKeys::parse(&json!([jwk]).to_string()).unwrap();
    for algorithm in [
        jsonwebtoken::Algorithm::RS256,
        jsonwebtoken::Algorithm::RS384,
        jsonwebtoken::Algorithm::RS512,
        jsonwebtoken::Algorithm::PS256,
        jsonwebtoken::Algorithm::PS384,
        jsonwebtoken::Algorithm::PS512,
    ] {
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).unwrap();
        let verified = verifier([without(public(&keys), "alg")])
            .verify(&token)
            .unwrap();
        assert_eq!(verified.algorithm, format!("{algorithm:?}"));
    }
}

#[test]
fn a_changed_token_is_refused() {
    let keys = signer(SigningAlgorithm::Es256, None);
    let good = token(&keys);
    let trusted = verifier([public(&keys)]);
    assert!(trusted.verify(&good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let forged = jwk::encode(br#"{"sub":"mallory"}"#);
    let changed = format!("{}.{forged}.{}", parts[0], parts[2]);
    assert_eq!(
        trusted.verify(&changed).unwrap_err(),
        InvalidToken::Signature
    );
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(
        trusted.verify(&unsigned).unwrap_err(),
        InvalidToken::Signature
    );
}

#[test]
fn none_and_symmetric_algorithms_are_never_accepted() {
    let keys = signer(SigningAlgorithm::Rs256, None);
    let trusted = verifier([
        public(&keys),
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "shared" }),
    ]);
    let unsigned = with_header("x.eyJzdWIiOiJhbGljZSJ9.", &json!({ "alg": "none" }));
    assert_eq!(
        trusted.verify(&unsigned).unwrap_err(),
        InvalidToken::Algorithm
    );
    for name in ["HS256", "HS512", "NONE", "None", "RSA-OAEP", "ES256K", ""] {
        let token = with_header(&token(&keys), &json!({ "alg": name }));
        assert_eq!(trusted.verify(&token).unwrap_err(), InvalidToken::Algorithm);
    }
    // The classic confusion: the public key used as the secret of an HMAC.
    let secret = serde_json::to_vec(&public(&keys)).unwrap();
    let hmac = jsonwebtoken::encode(
        &Header::new(jsonwebtoken::Algorithm::HS256),
        &claims(),
        &EncodingKey::from_secret(&secret),
    )
    .unwrap();
    assert_eq!(trusted.verify(&hmac).unwrap_err(), InvalidToken::Algorithm);
}

#[test]
fn a_key_is_used_only_for_its_kind_and_its_algorithm() {
    let rsa = signer(SigningAlgorithm::Rs256, Some("one"));
    let good = token(&rsa);
    for name in ["ES256", "EdDSA", "PS256"] {
        let confused = with_header(&good, &json!({ "alg": name, "kid": "one" }));
        assert_eq!(
            verifier([public(&rsa)]).verify(&confused).unwrap_err(),
            InvalidToken::UnknownKey,
            "{name}"
        );
    }
    let mut encrypting = public(&rsa);
    encrypting["use"] = json!("enc");
    let mut wrapping = public(&rsa);
    wrapping["alg"] = json!("RSA-OAEP");
    let mut wrapping_only = public(&rsa);
    wrapping_only["key_ops"] = json!(["encrypt"]);
    for key in [encrypting, wrapping, wrapping_only] {
        assert!(verifier([key]).is_empty());
    }
}

#[test]
fn ed25519_verifies_under_both_of_its_names() {
    let keys = signer(SigningAlgorithm::Ed25519, None);
    for asked in ["Ed25519", "EdDSA"] {
        let token = keys.sign(Some(asked), "JWT", &claims()).unwrap();
        for published in ["Ed25519", "EdDSA"] {
            let mut key = public(&keys);
            key["alg"] = json!(published);
            let verified = verifier([key]).verify(token.expose()).unwrap();
            assert_eq!(verified.algorithm, asked);
        }
    }
}

#[test]
fn keys_are_found_by_kid_else_by_trying() {
    let (old, new) = (
        signer(SigningAlgorithm::Es256, Some("old")),
        signer(SigningAlgorithm::Es256, Some("new")),
    );
    let signed = token(&new);
    assert!(
        verifier([public(&old), public(&new)])
            .verify(&signed)
            .is_ok()
    );
    assert_eq!(
        verifier([public(&old)]).verify(&signed).unwrap_err(),
        InvalidToken::UnknownKey
    );
    // Published without a name: tried.
    let nameless = without(public(&new), "kid");
    assert!(verifier([public(&old), nameless]).verify(&signed).is_ok());
    // Named the same, but another key.
    let mut impostor = public(&old);
    impostor["kid"] = json!("new");
    assert_eq!(
        verifier([impostor]).verify(&signed).unwrap_err(),
        InvalidToken::Signature
    );
}

#[test]
fn a_token_is_tried_with_so_many_keys_and_no_more() {
    let signing = signer(SigningAlgorithm::Es256, None);
    let other = signer(SigningAlgorithm::Es256, None);
    let after = |count: usize| {
        let mut keys = vec![public(&other); count];
        keys.push(public(&signing));
        verifier(keys.into_iter().map(|key| without(key, "kid")))
    };
    let token = token(&signing);
    let last = VerifyingKeys::MAX_TRIED - 1;
    assert!(after(last).verify(&token).is_ok());
    let beyond = after(last + 1).verify(&token);
    assert_eq!(beyond.unwrap_err(), InvalidToken::Signature);
    // Whoever names the key may have as many as are read.
    let mut named = vec![public(&other); VerifyingKeys::MAX_KEYS - 1];
    named.push(public(&signing));
    assert!(verifier(named).verify(&token).is_ok());
}

#[test]
fn what_is_no_token_or_no_set_is_refused() {
    let keys = signer(SigningAlgorithm::Es256, None);
    let trusted = verifier([public(&keys)]);
    let good = token(&keys);
    let critical = with_header(&good, &json!({ "alg": "ES256", "crit": ["exp"] }));
    let nested = format!("{good}.extra");
    let long = "a".repeat(VerifyingKeys::MAX_TOKEN_BYTES + 1);
    for token in ["", ".", "..", "a.b", "a.b.c", &critical, &nested, &long] {
        assert_eq!(trusted.verify(token).unwrap_err(), InvalidToken::Malformed);
    }
    for jwks in [json!(null), json!([]), json!({}), json!({ "keys": {} })] {
        assert!(VerifyingKeys::parse(&jwks).is_err());
    }
    let strange = json!({ "keys": [1, {}, { "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" }] });
    assert!(VerifyingKeys::parse(&strange).unwrap().is_empty());
}

/// One key for all cases: making one is what takes time.
fn signed_and_trusted() -> (&'static SigningKeys, &'static VerifyingKeys) {
    static KEYS: LazyLock<(SigningKeys, VerifyingKeys)> = LazyLock::new(|| {
        let keys = signer(SigningAlgorithm::Es256, None);
        let trusted = verifier([public(&keys)]);
        (keys, trusted)
    });
    (&KEYS.0, &KEYS.1)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 10, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(token in "[A-Za-z0-9_.-]{0,120}") {
        let keys = VerifyingKeys::parse(&serde_json::from_str(RFC_KEY).unwrap()).unwrap();
        prop_assert!(keys.verify(&token).is_err());
    }

    #[test]
    fn what_was_signed_is_what_is_read(
        claims in prop::collection::hash_map("[a-z]{1,6}", any_json(), 0..5),
    ) {
        let (keys, trusted) = signed_and_trusted();
        let claims: Map<String, Value> = claims.into_iter().collect();
        let token = keys.sign(None, "JWT", &claims).unwrap();
        prop_assert_eq!(trusted.verify(token.expose()).unwrap().claims, claims.clone());
        prop_assert_eq!(unverified_claims(token.expose()).unwrap(), claims);
    }

    /// Whichever character is another one, and wherever: refused, with the error of its part.
    #[test]
    fn a_token_with_one_wrong_character_is_refused(
        at in any::<prop::sample::Index>(),
        other in prop::char::range(' ', '~'),
    ) {
        let (keys, trusted) = signed_and_trusted();
        let good = token(keys);
        let at = at.index(good.len());
        prop_assume!(good.as_bytes()[at] != other as u8);
        let mut changed = good.clone();
        changed.replace_range(at..=at, &other.to_string());
        let refused = trusted.verify(&changed).unwrap_err();
        let dots: Vec<usize> = good.match_indices('.').map(|(at, _)| at).collect();
        match (at, other) {
            (at, _) if dots.contains(&at) => prop_assert_eq!(refused, InvalidToken::Malformed),
            (_, '.') => prop_assert_eq!(refused, InvalidToken::Malformed),
            // What is claimed is not looked at before the signature is.
            (at, _) if dots[0] < at && at < dots[1] => {
                prop_assert_eq!(refused, InvalidToken::Signature);
            }
            (at, _) if at > dots[1] => prop_assert!(
                matches!(refused, InvalidToken::Signature | InvalidToken::Malformed)
            ),
            // A header may come to name another algorithm or key.
            _ => {}
        }
    }

    #[test]
    fn a_token_that_was_cut_is_refused(cut in any::<prop::sample::Index>()) {
        let (keys, trusted) = signed_and_trusted();
        let good = token(keys);
        let kept = &good[..cut.index(good.len())];
        let refused = trusted.verify(kept).unwrap_err();
        prop_assert!(matches!(refused, InvalidToken::Malformed | InvalidToken::Signature));
    }

    /// A set is as good as its good keys, whatever else stands in it.
    #[test]
    fn junk_in_a_set_neither_helps_nor_harms(
        before in prop::collection::vec(any_json(), 0..4),
        member in "kty|crv|x|y|n|e|use|key_ops|alg|kid",
        value in any_json(),
    ) {
        let (keys, _) = signed_and_trusted();
        let good = token(keys);
        let mut spoiled = public(keys);
        spoiled[&member] = value;
        spoiled["x"] = json!("AAAA");
        let mut entries = before;
        entries.push(spoiled);
        prop_assert!(verifier(entries.clone()).verify(&good).is_err());
        entries.push(public(keys));
        prop_assert!(verifier(entries).verify(&good).is_ok());
    }

    #[test]
    fn only_a_list_of_keys_is_a_set(value in any_json()) {
        let is_set = value.get("keys").is_some_and(Value::is_array);
        prop_assert_eq!(VerifyingKeys::parse(&value).is_ok(), is_set);
    }

    /// Only what is asymmetric and known by its exact name.
    #[test]
    fn no_other_name_is_an_algorithm(name in "[A-Za-z0-9-]{0,8}|(HS|RS|ES|PS|rs|Rs)(256|384|512)|none|NONE|EdDSA") {
        let (keys, trusted) = signed_and_trusted();
        let kid = public(keys)["kid"].clone();
        let token = with_header(&token(keys), &json!({ "alg": name, "kid": kid }));
        let refused = trusted.verify(&token).unwrap_err();
        if algorithms().contains(&name.as_str()) {
            let expected = if name == "ES256" { InvalidToken::Signature } else { InvalidToken::UnknownKey };
            prop_assert_eq!(refused, expected);
        } else {
            prop_assert_eq!(refused, InvalidToken::Algorithm);
        }
    }
}
