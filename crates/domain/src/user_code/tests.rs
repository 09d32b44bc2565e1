use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

/// Gives the same bytes again and again.
#[derive(Debug)]
struct Scripted(Vec<u8>, AtomicUsize);

impl Scripted {
    fn new(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(bytes.into_iter().collect(), AtomicUsize::new(0))
    }
}

impl Random for Scripted {
    fn fill(&self, buffer: &mut [u8]) {
        for slot in buffer {
            let index = self.1.fetch_add(1, Ordering::SeqCst);
            *slot = self.0[index % self.0.len()];
        }
    }
}

fn made(bytes: impl IntoIterator<Item = u8>) -> String {
    UserCode::random(&Scripted::new(bytes)).expose_text()
}

#[test]
fn each_letter_comes_from_as_many_bytes() {
    let mut counts = [0; 20];
    for byte in 0..240_u8 {
        let text = made([byte]);
        let letter = text.as_bytes()[0];
        let index = UserCode::ALPHABET.iter().position(|known| *known == letter);
        counts[index.unwrap()] += 1;
    }
    assert_eq!(counts, [12; 20]);
}

#[test]
fn bytes_that_would_favour_a_letter_are_passed_over() {
    assert_eq!(
        made([240, 0, 255, 1, 250, 2, 3, 4, 5, 6, 7, 241, 8]),
        "BCDF-GHJK"
    );
}

#[test]
fn no_letter_looks_like_another_or_makes_words() {
    for letter in b"AEIOUY0123456789" {
        assert!(!UserCode::ALPHABET.contains(letter));
    }
    let code = UserCode::parse("BCDF-GHJK").unwrap();
    assert_eq!(format!("{code:?}"), "UserCode([redacted])");
}

#[test]
fn what_was_never_given_out_is_no_code() {
    for typed in [
        "",
        "-",
        "BCDFGHJ",
        "BCDFGHJKL",
        "BCDFGHJA",
        "BCDFGHJ0",
        "BCDFGHJÄ",
        "BCDF/GHJK",
        "BCDFGHJ\u{1d5aa}",
    ] {
        assert_eq!(UserCode::parse(typed), None, "{typed:?}");
    }
    let padded = format!("BCDFGHJK{}", " ".repeat(60));
    assert_eq!(UserCode::parse(&padded), None);
}

proptest! {
    #[test]
    fn what_is_shown_can_be_typed_in_any_manner(
        bytes in prop::collection::vec(0..240_u8, 16),
        lower in any::<bool>(),
        between in "[-_. \u{2013}]{0,3}",
    ) {
        let code = UserCode::random(&Scripted::new(bytes));
        let mut typed = code.expose_text().replace('-', &between);
        if lower {
            typed.make_ascii_lowercase();
        }
        prop_assert_eq!(UserCode::parse(&typed), Some(code));
    }

    #[test]
    fn nothing_typed_panics_and_what_is_read_has_only_letters_of_the_alphabet(typed in ".{0,80}") {
        if let Some(code) = UserCode::parse(&typed) {
            prop_assert!(code.expose().iter().all(|letter| UserCode::ALPHABET.contains(letter)));
        }
    }
}
