//! The code that a person carries from a device to a browser (RFC 8628 §6.1).

#[cfg(test)]
mod tests;

use std::fmt;

use crate::{random::Random, secret::SecretBytes};

/// Eight letters out of twenty: no vowels, so that no words arise, and no two that look alike.
/// 34 bits: too few against unbounded guessing, so guesses are counted. Never printed by `Debug`,
/// since whoever has it may say yes for the device.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(SecretBytes<{ UserCode::LETTERS }>);

/// Longer texts are no code, however much of them is to be passed over.
const MAX_TYPED_BYTES: usize = 64;

// === impl UserCode ===

impl UserCode {
    /// How many letters a code has.
    pub const LETTERS: usize = 8;
    /// The letters (RFC 8628 §6.1).
    pub const ALPHABET: [u8; 20] = *b"BCDFGHJKLMNPQRSTVWXZ";

    /// A code of which each is as likely as any other.
    pub fn random(random: &dyn Random) -> Self {
        let mut letters = [0; Self::LETTERS];
        let mut slots = letters.iter_mut();
        let mut slot = slots.next();
        while slot.is_some() {
            for byte in random.bytes::<16>() {
                // 240 is the largest multiple of 20 in a byte: with the rest, some letters would
                // be likelier.
                if byte >= 240 {
                    continue;
                }
                let Some(open) = slot.take() else { break };
                let letter = Self::ALPHABET.get(usize::from(byte) % Self::ALPHABET.len());
                *open = letter.copied().unwrap_or_default();
                slot = slots.next();
            }
        }
        Self(SecretBytes::new(letters))
    }

    /// Reads what was typed: upper and lower case are one, and what people put between groups of
    /// letters is passed over. `None` for what was never given out.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > MAX_TYPED_BYTES {
            return None;
        }
        let mut letters = [0; Self::LETTERS];
        let mut slots = letters.iter_mut();
        let is_between = |character: &char| {
            character.is_whitespace()
                || matches!(
                    character,
                    '-' | '_' | '.' | '\u{2010}'..='\u{2015}' | '\u{2212}'
                )
        };
        for character in typed.chars().filter(|character| !is_between(character)) {
            let letter = u8::try_from(character.to_ascii_uppercase()).ok()?;
            if !Self::ALPHABET.contains(&letter) {
                return None;
            }
            *slots.next()? = letter;
        }
        slots
            .next()
            .is_none()
            .then(|| Self(SecretBytes::new(letters)))
    }

    /// Its letters. Each use is a place where the secret leaves its type.
    pub fn expose(&self) -> &[u8; Self::LETTERS] {
        self.0.expose()
    }

    /// As it is shown to people: two groups of four. Each use is a place where the secret leaves
    /// its type.
    pub fn expose_text(&self) -> String {
        let mut text = String::with_capacity(Self::LETTERS + 1);
        for (index, letter) in self.expose().iter().enumerate() {
            if index == Self::LETTERS / 2 {
                text.push('-');
            }
            text.push(char::from(*letter));
        }
        text
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UserCode([redacted])")
    }
}
