//! Our private keys: what signs, and what is published of them.

use std::fmt;

use domain::secret::SecretString;
use serde_json::{Map, Value};

/// Algorithms that our keys can sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256; the default of OpenID Connect.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// Ed25519 (RFC 9864), also known as `EdDSA`.
    Ed25519,
}

/// The private keys in the order in which they were given; the first that fits signs.
pub struct SigningKeys {}

/// A key that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its position in the set, from 0.
    pub index: usize,
    /// What it is, and why it is of no use here.
    pub reason: String,
}

/// Why a text holds no signing keys. Never quotes the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKeys(pub String);

// === impl SigningKeys ===

impl SigningKeys {
    /// Reads private keys: a JSON array of JWKs, or an object with such an array as `keys`.
    /// Kinds of no use here are skipped and named.
    ///
    /// # Errors
    /// If the text is not of that form, a key of a known kind is broken, or no key is left.
    pub fn parse(_text: &str) -> Result<(Self, Vec<SkippedKey>), InvalidKeys> {
        todo!()
    }

    /// Makes a new private key as a JWK with its `kid`.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate(_algorithm: SigningAlgorithm) -> Result<SecretString, InvalidKeys> {
        todo!()
    }

    /// Names of the algorithms that a client may ask for, in the order of the keys.
    pub fn algorithms(&self) -> Vec<String> {
        todo!()
    }

    /// The public halves as a JWK Set (RFC 7517 §5).
    pub fn public_jwks(&self) -> Value {
        todo!()
    }

    /// Signs claims as a compact JWT. `asked` is the algorithm that the client registered; one
    /// without a key gets the first key's.
    ///
    /// # Errors
    /// If the key refuses to sign.
    pub fn sign(
        &self,
        _asked: Option<&str>,
        _typ: &str,
        _claims: &Map<String, Value>,
    ) -> Result<SecretString, InvalidKeys> {
        todo!()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKeys([redacted])")
    }
}
