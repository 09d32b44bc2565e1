//! Sealing to a key whose private half is elsewhere: X25519, HKDF-SHA-256, AES-256-GCM.
//!
//! Whoever seals has only the public half, and keeps nothing with which it could be opened again.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use domain::{random::Random, secret::SecretBytes};
use zeroize::Zeroizing;

use super::{SealKey, derive};

/// The public half: may stand in the store.
pub type PublicKey = [u8; KEY_BYTES];

const KEY_BYTES: usize = 32;
const LABEL: &[u8] = b"letter box 1";

/// What a letter is bound to besides its key.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// Salt of its key.
    pub salt: &'a [u8],
    /// Our issuer.
    pub issuer: &'a str,
    /// Associated data.
    pub associated: &'a [&'a [u8]],
}

/// The private half.
pub struct LetterBox {
    private: PrivateKey,
    public: PublicKey,
}

// === impl LetterBox ===

impl LetterBox {
    /// Derives the private half from a secret; see [`derive()`].
    pub fn derive(secret: &[u8], salt: &[u8], purpose: &str, issuer: &str) -> Self {
        Self::from_private(&derive(secret, salt, purpose, issuer))
    }

    fn from_private(bytes: &SecretBytes<KEY_BYTES>) -> Self {
        let private = PrivateKey::from_private_key(&X25519, bytes.expose());
        // Any 32 bytes are an X25519 key (RFC 7748 §5).
        #[expect(clippy::expect_used, reason = "the length is right by type")]
        let private = private.expect("32 bytes are an X25519 key");
        #[expect(clippy::expect_used, reason = "every private key has a public one")]
        let computed = private.compute_public_key().expect("a valid key");
        let mut public = [0; KEY_BYTES];
        for (slot, byte) in public.iter_mut().zip(computed.as_ref()) {
            *slot = *byte;
        }
        Self { private, public }
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Opens what [`seal_to`] made for this key with the same binding; `None` for anything else.
    pub fn open(&self, binding: &Binding<'_>, letter: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (sender, sealed) = letter.split_first_chunk::<KEY_BYTES>()?;
        let key = shared_key(&self.private, sender, binding)?;
        key.open(&associated(binding, sender, &self.public), sealed)
    }
}

impl fmt::Debug for LetterBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LetterBox([redacted])")
    }
}

/// Seals to a public half: the public half of a key that is used this once, then the sealed text.
/// `None` for a point of small order, which no honest key has (RFC 7748 §6.1).
pub fn seal_to(
    recipient: &PublicKey,
    binding: &Binding<'_>,
    plain: &[u8],
    random: &dyn Random,
) -> Option<Vec<u8>> {
    let sender = LetterBox::from_private(&random.secret());
    let key = shared_key(&sender.private, recipient, binding)?;
    let bound = associated(binding, &sender.public, recipient);
    let mut letter = sender.public.to_vec();
    letter.extend_from_slice(&key.seal(&bound, plain, random));
    Some(letter)
}

fn shared_key(private: &PrivateKey, public: &PublicKey, binding: &Binding<'_>) -> Option<SealKey> {
    let public = UnparsedPublicKey::new(&X25519, public);
    agree(private, public, (), |shared| {
        Ok(SealKey::derive(
            shared,
            binding.salt,
            "letter box",
            binding.issuer,
        ))
    })
    .ok()
}

/// Both public halves are bound, so that a letter fits no other pair.
fn associated<'a>(
    binding: &Binding<'a>,
    sender: &'a PublicKey,
    recipient: &'a PublicKey,
) -> Vec<&'a [u8]> {
    let mut parts: Vec<&[u8]> = vec![LABEL, sender, recipient];
    parts.extend_from_slice(binding.associated);
    parts
}

#[cfg(test)]
mod tests;
