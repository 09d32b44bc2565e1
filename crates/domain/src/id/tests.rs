use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_grant_id_has_one_spelling(bytes: [u8; 16], text in "[A-Za-z0-9_=+/-]{0,30}|[A-Za-z0-9_-]{22}") {
        let id = GrantId::from_bytes(bytes);
        prop_assert_eq!(GrantId::parse(&id.to_string()), Some(id));
        if let Some(read) = GrantId::parse(&text) {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    /// RFC 6749 Appendix A.1.
    #[test]
    fn a_client_id_is_printable_ascii(text in ".{0,40}|[ -~]{0,40}") {
        let expected = if text.is_empty() {
            Err(InvalidId::Empty)
        } else if text.chars().all(|character| (' '..='~').contains(&character)) {
            Ok(text.clone())
        } else {
            Err(InvalidId::Character)
        };
        prop_assert_eq!(ClientId::parse(text).map(String::from), expected);
    }

    #[test]
    fn a_subject_has_no_control_characters(text in ".{0,40}", control in "[\u{0}-\u{1f}\u{7f}-\u{9f}]") {
        let read = Subject::parse(text.clone()).map(String::from);
        let is_fine = !text.is_empty() && !text.chars().any(char::is_control);
        prop_assert_eq!(read.is_ok(), is_fine);
        let spoiled = format!("{text}{control}");
        prop_assert_eq!(Subject::parse(spoiled), Err(InvalidId::Character));
    }

    #[test]
    fn ids_are_bounded(extra in 1_usize..50) {
        let long = |limit: usize| "a".repeat(limit + extra);
        let client = ClientId::parse(long(ClientId::MAX_BYTES));
        prop_assert_eq!(client, Err(InvalidId::TooLong(ClientId::MAX_BYTES)));
        let subject = Subject::parse(long(Subject::MAX_BYTES));
        prop_assert_eq!(subject, Err(InvalidId::TooLong(Subject::MAX_BYTES)));
    }
}
