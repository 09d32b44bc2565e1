//! The browser that a person uses: a random id that one cookie holds.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{random::Random, secret::SecretBytes};
use store::seal::{SealKey, sha256};

use super::interaction::InteractionId;

/// Names a browser. Whoever holds it can open the interactions begun there, so it is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrowserId(SecretBytes<32>);

// === impl BrowserId ===

impl BrowserId {
    pub(crate) fn random(random: &dyn Random) -> Self {
        Self(random.secret())
    }

    /// Reads the value of the cookie; `None` if we never gave such a one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // No allocation for what cannot be one.
        if text.len() != 43 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(SecretBytes::new(bytes.try_into().ok()?)))
    }

    /// The value of the cookie.
    pub(crate) fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.expose())
    }

    /// What an interaction remembers it by.
    pub(crate) fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose())
    }

    /// Seals an interaction, so that nobody but this browser's bearer can open it.
    pub(crate) fn key(&self, interaction: InteractionId, issuer: &str) -> SealKey {
        SealKey::derive(
            self.0.expose(),
            interaction.as_bytes(),
            "interaction",
            issuer,
        )
    }
}
