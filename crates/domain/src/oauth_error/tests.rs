use proptest::prelude::*;

use super::*;

proptest! {
    /// RFC 6749 §5.2, RFC 6750 §3: whatever of a request gets into a text, it can stand in JSON, in
    /// a query and between the quotes of a header.
    #[test]
    fn a_description_is_what_the_grammar_allows(text in ".{0,80}|[ -~]{0,80}") {
        let error = OAuthError::new(OAuthErrorCode::InvalidRequest, text.clone());
        let fits = |character: char| {
            (' '..='~').contains(&character) && character != '"' && character != '\\'
        };
        let told = &error.error_description;
        prop_assert!(told.chars().all(fits), "{}", told);
        prop_assert_eq!(told.chars().count(), text.chars().count());
        for (written, kept) in text.chars().zip(told.chars()) {
            prop_assert!(written == kept || !fits(written));
        }
    }
}
