use proptest::prelude::*;

use super::*;

proptest! {
    /// RFC 7636 §4.2: 43 characters, in the one spelling that a digest has.
    #[test]
    fn a_challenge_has_one_spelling(digest: [u8; 32], text in "[A-Za-z0-9_=+/-]{40,46}|.{0,50}") {
        let encoded = URL_SAFE_NO_PAD.encode(digest);
        prop_assert_eq!(CodeChallenge::parse(&encoded), Some(CodeChallenge::from_digest(digest)));
        prop_assert_eq!(CodeChallenge::parse(&format!("{encoded}=")), None);
        if let Some(read) = CodeChallenge::parse(&text) {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(read.digest()), text);
        }
    }

    /// RFC 7636 §4.1.
    #[test]
    fn a_verifier_is_43_to_128_unreserved_characters(
        text in "[A-Za-z0-9._~-]{0,140}|[ -~]{43,60}|.{40,50}",
    ) {
        let is_unreserved = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~')
        };
        let length = text.chars().count();
        let is_one = (43..=128).contains(&length) && text.chars().all(is_unreserved);
        let read = CodeVerifier::parse(&text);
        prop_assert_eq!(read.as_ref().map(CodeVerifier::expose), is_one.then_some(text.as_str()));
    }
}
