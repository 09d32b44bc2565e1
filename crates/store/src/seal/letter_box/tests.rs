use aws_lc_rs::rand;

use super::*;

#[derive(Debug)]
struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).unwrap();
    }
}

const BINDING: Binding<'_> = Binding {
    salt: b"salt",
    issuer: "https://proxy.example",
    associated: &[b"grant", b"client"],
};

fn letter_box(secret: &[u8]) -> LetterBox {
    LetterBox::derive(secret, b"salt", "test", "https://proxy.example")
}

fn sealed(recipient: &LetterBox) -> Vec<u8> {
    seal_to(recipient.public(), &BINDING, b"root", &SystemRandom).unwrap()
}

#[test]
fn only_the_private_half_opens() {
    let owner = letter_box(b"secret");
    let letter = sealed(&owner);
    assert_eq!(owner.open(&BINDING, &letter).unwrap().as_slice(), b"root");
    assert_eq!(letter_box(b"another").open(&BINDING, &letter), None);
    // The same secret gives the same key: nothing has to be kept of it.
    let again = letter_box(b"secret");
    assert_eq!(again.public(), owner.public());
    assert_eq!(again.open(&BINDING, &letter).unwrap().as_slice(), b"root");
}

#[test]
fn no_two_letters_are_alike() {
    let owner = letter_box(b"secret");
    assert_ne!(sealed(&owner), sealed(&owner));
}

#[test]
fn another_binding_opens_nothing() {
    let owner = letter_box(b"secret");
    let letter = sealed(&owner);
    for binding in [
        Binding {
            salt: b"other",
            ..BINDING
        },
        Binding {
            issuer: "https://other.example",
            ..BINDING
        },
        Binding {
            associated: &[b"grantclient"],
            ..BINDING
        },
    ] {
        assert_eq!(owner.open(&binding, &letter), None, "{binding:?}");
    }
}

#[test]
fn a_changed_or_cut_letter_opens_nothing() {
    let owner = letter_box(b"secret");
    let letter = sealed(&owner);
    for index in 0..letter.len() {
        let mut changed = letter.clone();
        changed[index] ^= 1;
        assert_eq!(owner.open(&BINDING, &changed), None, "byte {index}");
        assert_eq!(owner.open(&BINDING, &letter[..index]), None);
    }
}

#[test]
fn a_point_of_small_order_gets_nothing() {
    assert_eq!(seal_to(&[0; 32], &BINDING, b"root", &SystemRandom), None);
}
