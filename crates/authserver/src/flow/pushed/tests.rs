use proptest::prelude::*;

use super::*;

proptest! {
    /// One spelling, so that no two texts lead to one request.
    #[test]
    fn a_reference_reads_what_it_writes_and_nothing_else(
        secret: [u8; 32],
        text in "(urn:ietf:params:oauth:request_uri:)?([A-Za-z0-9_=-]{40,45}|.{0,20})",
    ) {
        let written = Reference(SecretBytes::new(secret)).expose();
        prop_assert!(is_reference(written.expose()));
        let read = Reference::parse(written.expose()).unwrap();
        prop_assert_eq!(read.0.expose(), &secret);
        if let Some(read) = Reference::parse(&text) {
            prop_assert!(is_reference(&text));
            let written = read.expose();
            prop_assert_eq!(written.expose(), text);
        }
    }
}
