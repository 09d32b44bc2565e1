use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct Fixed([u8; 32]);

impl Random for Fixed {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

proptest! {
    #[test]
    fn a_state_names_its_interaction_in_one_spelling(
        id: [u8; 16],
        secret: [u8; 32],
        text in "[A-Za-z0-9_=-]{62,66}|.{0,30}",
    ) {
        let id = InteractionId::from_bytes(id);
        let state = State::new(id, &Fixed(secret));
        let (read, named) = State::read(state.expose()).unwrap();
        prop_assert_eq!((named, read.hash()), (id, state.hash()));
        let padded = format!("{}=", state.expose());
        prop_assert!(State::read(&padded).is_none());
        if let Some((read, named)) = State::read(&text) {
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(&bytes), read.expose());
            prop_assert_eq!(named.as_bytes().as_slice(), &bytes[..16]);
        }
    }
}
