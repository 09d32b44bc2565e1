use jsonwebtoken::{DecodingKey, Validation, jwk::Jwk};
use proptest::prelude::*;

use super::*;
use crate::{jwk::PublicHalf, verifying::VerifyingKeys};

const ALL: [SigningAlgorithm; 5] = [
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Ps256,
    SigningAlgorithm::Es256,
    SigningAlgorithm::Es384,
    SigningAlgorithm::Ed25519,
];
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "k", "oth"];

fn generated(algorithm: SigningAlgorithm) -> Map<String, Value> {
    let text = SigningKeys::generate(algorithm).unwrap();
    serde_json::from_str(text.expose()).unwrap()
}

fn without(mut key: Map<String, Value>, members: &[&str]) -> Map<String, Value> {
    key.retain(|name, _| !members.contains(&name.as_str()));
    key
}

fn with(mut key: Map<String, Value>, member: &str, value: impl Into<Value>) -> Map<String, Value> {
    key.insert(member.to_owned(), value.into());
    key
}

fn parse(keys: &[Map<String, Value>]) -> Result<(SigningKeys, Vec<SkippedKey>), InvalidKeys> {
    SigningKeys::parse(&json!(keys).to_string())
}

fn claims() -> Map<String, Value> {
    json!({ "sub": "alice", "exp": 4_102_444_800_u64 })
        .as_object()
        .unwrap()
        .clone()
}

fn header(token: &SecretString) -> Value {
    let encoded = token.expose().split('.').next().unwrap();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, encoded).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn every_generated_key_signs_what_its_public_half_verifies() {
    for algorithm in ALL {
        let key = generated(algorithm);
        let (keys, skipped) = parse(std::slice::from_ref(&key)).unwrap();
        assert_eq!(skipped, []);
        let token = keys.sign(None, "JWT", &claims()).unwrap();
        let header = header(&token);
        assert_eq!(header["alg"], Algorithm::from(algorithm).name());
        assert_eq!(header["typ"], "JWT");
        assert_eq!(header["kid"], key["kid"]);
        let verified = VerifyingKeys::parse(&keys.public_jwks())
            .unwrap()
            .verify(token.expose())
            .unwrap();
        assert_eq!(verified.claims, claims());
    }
}

#[test]
fn another_implementation_verifies_what_is_signed_here() {
    for algorithm in ALL {
        let (keys, _) = parse(&[generated(algorithm)]).unwrap();
        // That crate knows Ed25519 by its older name only.
        let token = keys.sign(Some("EdDSA"), "JWT", &claims()).unwrap();
        let mut public = keys.public_jwks()["keys"][0].clone();
        if public["alg"] == "Ed25519" {
            public["alg"] = json!("EdDSA");
        }
        let jwk: Jwk = serde_json::from_value(public).unwrap();
        let known = jsonwebtoken::decode_header(token.expose()).unwrap();
        let decoded = jsonwebtoken::decode::<Value>(
            token.expose(),
            &DecodingKey::from_jwk(&jwk).unwrap(),
            &Validation::new(known.alg),
        )
        .unwrap();
        assert_eq!(decoded.claims["sub"], "alice");
    }
}

#[test]
fn nothing_private_is_published() {
    let keys: Vec<_> = ALL.into_iter().map(generated).collect();
    let (parsed, _) = parse(&keys).unwrap();
    let published = parsed.public_jwks();
    for (key, original) in published["keys"].as_array().unwrap().iter().zip(&keys) {
        for member in PRIVATE_MEMBERS {
            assert!(key.get(member).is_none());
        }
        for member in ["kty", "kid", "use", "alg"] {
            assert_eq!(key[member], original[member]);
        }
    }
    assert_eq!(published["keys"].as_array().unwrap().len(), keys.len());
    assert!(!format!("{parsed:?}").contains(keys[2]["d"].as_str().unwrap()));
}

#[test]
fn each_key_has_a_secret_of_its_own_that_does_not_change() {
    let pairs = ALL.map(generated);
    let secrets = |keys: &[Map<String, Value>]| -> Vec<_> {
        let (keys, _) = parse(keys).unwrap();
        keys.derived_secrets().cloned().collect()
    };
    let made = secrets(&pairs);
    assert_eq!(made.len(), ALL.len());
    for (index, secret) in made.iter().enumerate() {
        assert!(!made[..index].contains(secret));
        assert_eq!(secrets(&pairs[index..=index]), std::slice::from_ref(secret));
        let private = crate::jwk::bytes(&pairs[index], "d").unwrap();
        assert_ne!(private.as_slice(), secret.expose());
    }
}

#[test]
fn both_forms_of_a_set_are_read() {
    let key = generated(SigningAlgorithm::Es256);
    for text in [json!([key]), json!({ "keys": [key] })] {
        let (keys, _) = SigningKeys::parse(&text.to_string()).unwrap();
        assert_eq!(keys.algorithms(), ["ES256"]);
    }
}

#[test]
fn the_first_key_that_fits_signs_and_the_first_of_all_where_none_does() {
    let (keys, _) = parse(&[
        generated(SigningAlgorithm::Es256),
        without(generated(SigningAlgorithm::Rs256), &["alg"]),
        without(generated(SigningAlgorithm::Ed25519), &["alg"]),
    ])
    .unwrap();
    assert_eq!(
        keys.algorithms(),
        ["ES256", "RS256", "PS256", "Ed25519", "EdDSA"]
    );
    for (asked, used) in [
        (Some("ES256"), "ES256"),
        (Some("PS256"), "PS256"),
        (Some("Ed25519"), "Ed25519"),
        (Some("EdDSA"), "EdDSA"),
        (Some("ES384"), "ES256"),
        (Some("HS256"), "ES256"),
        (Some("none"), "ES256"),
        (None, "RS256"),
    ] {
        let token = keys.sign(asked, "JWT", &claims()).unwrap();
        assert_eq!(header(&token)["alg"], used, "asked {asked:?}");
        let published = VerifyingKeys::parse(&keys.public_jwks()).unwrap();
        assert!(published.verify(token.expose()).is_ok());
    }
}

#[test]
fn a_key_for_several_algorithms_publishes_none() {
    let (keys, _) = parse(&[
        without(generated(SigningAlgorithm::Rs256), &["alg"]),
        without(generated(SigningAlgorithm::Es384), &["alg"]),
    ])
    .unwrap();
    let published = keys.public_jwks();
    assert_eq!(published["keys"][0].get("alg"), None);
    assert_eq!(published["keys"][1]["alg"], "ES384");
}

#[test]
fn a_named_algorithm_restricts_a_key() {
    let (keys, _) = parse(&[with(generated(SigningAlgorithm::Rs256), "alg", "RS512")]).unwrap();
    assert_eq!(keys.algorithms(), ["RS512"]);
    let token = keys.sign(Some("RS256"), "JWT", &claims()).unwrap();
    assert_eq!(header(&token)["alg"], "RS512");
}

#[test]
fn an_absent_kid_is_the_thumbprint() {
    // RFC 8037 appendix A.
    let key = json!([{
        "kty": "OKP", "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }]);
    let (keys, _) = SigningKeys::parse(&key.to_string()).unwrap();
    assert_eq!(
        keys.public_jwks()["keys"][0]["kid"],
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    // RFC 7638 §3.1.
    let rsa = json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
              BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_\
              FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-\
              bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    });
    let half = PublicHalf::read(rsa.as_object().unwrap(), crate::algorithm::KeyKind::Rsa).unwrap();
    assert_eq!(
        half.thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn kinds_of_no_use_are_skipped_and_named() {
    let good = generated(SigningAlgorithm::Es256);
    let object = |value: Value| value.as_object().unwrap().clone();
    let (keys, skipped) = parse(&[
        object(json!({ "kty": "EC", "crv": "P-521", "d": "AA", "x": "AA", "y": "AA" })),
        object(json!({ "kty": "OKP", "crv": "X25519", "d": "AA", "x": "AA" })),
        with(good.clone(), "use", "enc"),
        object(json!({ "kty": "oct", "k": "c2VjcmV0" })),
        without(good.clone(), &["d"]),
        with(good.clone(), "alg", "ECDH-ES"),
        with(good.clone(), "key_ops", json!(["verify"])),
        good.clone(),
        good.clone(),
    ])
    .unwrap();
    assert_eq!(keys.algorithms(), ["ES256"]);
    let named: Vec<_> = skipped.iter().map(|key| key.index).collect();
    assert_eq!(named, [0, 1, 2, 3, 4, 5, 6, 8]);
    for (key, word) in skipped.iter().zip([
        "P-521",
        "X25519",
        "not for signing",
        "symmetric",
        "no private half",
        "`alg`",
        "not for signing",
        "twice",
    ]) {
        assert!(key.reason.contains(word), "{key:?} names {word}");
    }
}

#[test]
fn what_is_broken_is_refused_without_quoting_it() {
    let rsa = generated(SigningAlgorithm::Rs256);
    let curve = generated(SigningAlgorithm::Es256);
    let edwards = generated(SigningAlgorithm::Ed25519);
    let other_d = |algorithm| generated(algorithm)["d"].clone();
    for key in [
        without(rsa.clone(), &["p"]),
        without(rsa.clone(), &["n"]),
        with(rsa.clone(), "q", rsa["p"].clone()),
        with(rsa.clone(), "oth", json!([])),
        with(rsa.clone(), "kid", 7),
        with(curve.clone(), "d", other_d(SigningAlgorithm::Es256)),
        with(curve.clone(), "d", "secret!"),
        with(curve, "x", "AA"),
        with(edwards.clone(), "d", other_d(SigningAlgorithm::Ed25519)),
        with(edwards, "d", "AAAA"),
    ] {
        let secret = key["d"].as_str().unwrap().to_owned();
        let error = parse(&[key]).unwrap_err().to_string();
        assert!(
            error.starts_with("key 0 (counted from 0) is broken: "),
            "{error}"
        );
        assert!(!error.contains(&secret));
    }
    for text in [
        "",
        "secret",
        "7",
        "{}",
        "[]",
        "[\"secret\"]",
        "{\"keys\":{}}",
    ] {
        let error = SigningKeys::parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn coordinates_that_lost_their_leading_zeros_and_padded_members_are_read() {
    let key = generated(SigningAlgorithm::Es256);
    let padded = with(key.clone(), "x", format!("{}=", key["x"].as_str().unwrap()));
    let (keys, _) = parse(&[padded]).unwrap();
    assert_eq!(keys.public_jwks()["keys"][0]["x"], key["x"]);
    let short = json!({ "x": "AQ" });
    let sized = jwk::sized(short.as_object().unwrap(), "x", 3).unwrap();
    assert_eq!(sized.as_slice(), [0, 0, 1]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = SigningKeys::parse(&text);
    }

    #[test]
    fn no_members_make_the_parser_panic(
        kty in "RSA|EC|OKP|oct|[a-z]{0,3}",
        crv in "P-256|P-384|Ed25519|[A-Z]{0,3}",
        d in "[A-Za-z0-9_=-]{0,90}",
        x in "[A-Za-z0-9_=-]{0,90}",
    ) {
        let key = json!([{
            "kty": kty, "crv": crv, "d": d, "x": x, "y": x, "n": x, "e": "AQAB",
            "p": d, "q": d, "dp": d, "dq": d, "qi": d,
        }]);
        prop_assert!(SigningKeys::parse(&key.to_string()).is_err());
    }
}
