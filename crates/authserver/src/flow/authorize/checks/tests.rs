use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn max_age_is_a_whole_number_of_seconds(text in "[0-9]{1,22}|[+-]?[0-9.]{1,5}|.{1,8}") {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let expected = text.parse::<u64>().ok().filter(|_| is_number);
        match max_age(Some(&text)) {
            Ok(read) => prop_assert_eq!(read, expected),
            Err(error) => {
                prop_assert_eq!(expected, None);
                prop_assert_eq!(error.error, Code::InvalidRequest);
            }
        }
    }

    /// OpenID Connect Core §3.1.2.1: `none` stands alone and is never fulfilled; of the others only
    /// those go on that the identity provider is to see.
    #[test]
    fn none_is_refused_and_unknown_values_are_passed_over(
        values in prop::collection::vec("none|login|select_account|consent|[a-z]{1,5}", 0..5),
    ) {
        let has_none = values.iter().any(|value| value == "none");
        let has_other = values.iter().any(|value| value != "none");
        match prompt(Some(&values.join(" "))) {
            Ok(forwarded) => {
                prop_assert!(!has_none);
                let expected: Vec<_> = ["login", "select_account"]
                    .into_iter()
                    .filter(|known| values.iter().any(|value| value == known))
                    .collect();
                prop_assert_eq!(forwarded.unwrap_or_default(), expected.join(" "));
            }
            Err(error) => {
                prop_assert!(has_none);
                let code = if has_other { Code::InvalidRequest } else { Code::LoginRequired };
                prop_assert_eq!(error.error, code);
            }
        }
    }

    /// RFC 7636: a digest, and S256 by name.
    #[test]
    fn only_s256_of_a_digest_is_a_challenge(
        challenge in "[A-Za-z0-9_-]{43}|.{0,45}",
        method in "S256|s256|plain|[A-Z0-9]{0,4}",
    ) {
        let asked = Asked {
            code_challenge: Some(&challenge),
            code_challenge_method: Some(&method),
            ..Asked::default()
        };
        let is_fine = method == "S256" && CodeChallenge::parse(&challenge).is_some();
        match code_challenge(&asked) {
            Ok(_) => prop_assert!(is_fine),
            Err(error) => {
                prop_assert!(!is_fine);
                prop_assert_eq!(error.error, Code::InvalidRequest);
            }
        }
    }
}
