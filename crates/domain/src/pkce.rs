//! Proof Key for Code Exchange (RFC 7636), S256 only.

#[cfg(test)]
mod tests;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::secret::SecretString;

/// An S256 code challenge: base64url of a SHA-256 digest, 43 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeChallenge([u8; 32]);

/// A code verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
#[derive(Clone, Debug)]
pub struct CodeVerifier(SecretString);

impl CodeChallenge {
    /// Reads a challenge; `None` unless it is base64url of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    /// From a SHA-256 digest of a verifier.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest, to compare with the verifier's.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl CodeVerifier {
    /// Reads a verifier; `None` if it is not 43 to 128 unreserved characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        ((43..=128).contains(&text.len()) && text.bytes().all(fits))
            .then(|| Self(SecretString::new(text)))
    }

    /// The text, to be hashed.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}
