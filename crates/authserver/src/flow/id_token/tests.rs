use super::*;

fn algorithms() -> Vec<String> {
    ["ES256", "RS256", "PS256"].map(str::to_owned).to_vec()
}

#[test]
fn the_asked_algorithm_signs_where_there_is_a_key_else_the_first() {
    for (asked, signs) in [
        (Some("PS256"), "PS256"),
        (Some("HS256"), "ES256"),
        (Some("none"), "ES256"),
        (None, "RS256"),
    ] {
        assert_eq!(
            algorithm_for(&algorithms(), asked).as_deref(),
            Some(signs),
            "{asked:?}"
        );
    }
}

#[test]
fn who_registered_no_algorithm_gets_the_first_where_there_is_no_rsa_key() {
    let algorithms = ["Ed25519".to_owned(), "ES256".to_owned()];
    assert_eq!(algorithm_for(&algorithms, None).as_deref(), Some("Ed25519"));
}

/// The example of OpenID Connect Core appendix A.3 (`code id_token token`).
#[test]
fn the_hash_is_that_of_the_specification() {
    let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    assert_eq!(half_hash(Some("RS256"), token), "77QmUPtjPfzWtF2AnpK9RQ");
}

#[test]
fn the_hash_follows_the_algorithm() {
    for (algorithm, characters) in [("ES256", 22), ("ES384", 32), ("Ed25519", 43), ("EdDSA", 43)] {
        assert_eq!(
            half_hash(Some(algorithm), "token").len(),
            characters,
            "{algorithm}"
        );
    }
}
