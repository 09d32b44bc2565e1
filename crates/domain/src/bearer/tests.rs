use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_token_is_read_as_it_was_shown(
        scheme in "(?i)bearer",
        around in "[ \t]{0,3}",
        between in "[ \t]{1,3}",
        shown in "[!-+\\--~]{1,60}",
    ) {
        let header = format!("{around}{scheme}{between}{shown}{around}");
        prop_assert_eq!(token(header.as_bytes()), Ok(Some(shown.as_str())));
    }

    #[test]
    fn another_scheme_shows_none(scheme in "[!-~]{0,10}", rest in prop::collection::vec(any::<u8>(), 0..20)) {
        prop_assume!(!scheme.eq_ignore_ascii_case("bearer"));
        let header = [scheme.as_bytes(), b" ", &rest].concat();
        prop_assume!(!header.trim_ascii().to_ascii_lowercase().starts_with(b"bearer"));
        prop_assert_eq!(token(&header), Ok(None));
    }

    /// Control characters, blanks, commas and anything beyond ASCII.
    #[test]
    fn one_odd_byte_in_a_token_is_refused(
        before in "[a-z0-9]{1,10}",
        odd in prop_oneof![0_u8..=0x20, Just(b','), 0x7f_u8..],
        after in "[a-z0-9]{1,10}",
    ) {
        let header = [b"Bearer ", before.as_bytes(), &[odd], after.as_bytes()].concat();
        prop_assert_eq!(token(&header), Err(MalformedBearer));
    }

    #[test]
    fn no_token_is_malformed(blank in "[ \t]{0,4}") {
        let header = format!("Bearer{blank}");
        prop_assert_eq!(token(header.as_bytes()), Err(MalformedBearer));
    }
}
