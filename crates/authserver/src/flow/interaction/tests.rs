use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn an_id_reads_what_it_writes_and_nothing_else(bytes: [u8; 16], text in ".{0,40}") {
        let id = InteractionId::from_bytes(bytes);
        prop_assert_eq!(InteractionId::parse(&id.to_string()), Some(id));
        if let Some(read) = InteractionId::parse(&text) {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_browser_reads_what_it_was_given_and_nothing_else(text in "[A-Za-z0-9_-]{0,60}") {
        if let Some(browser) = BrowserId::parse(&text) {
            prop_assert_eq!(browser.expose(), text);
        }
    }
}
