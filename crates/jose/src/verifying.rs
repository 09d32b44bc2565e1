//! Keys that others published, and what they signed.

use serde_json::{Map, Value};

/// A JWK Set as published; keys that cannot verify are ignored.
#[derive(Clone, Debug)]
pub struct VerifyingKeys {}

/// A token whose signature is right. Its claims are not judged yet.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// The algorithm of its header.
    pub algorithm: String,
    /// Its claims.
    pub claims: Map<String, Value>,
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Not a compact JWS.
    #[error("it is not a signed JWT")]
    Malformed,
    /// No key fits its `kid` and algorithm: worth one look at the published keys anew.
    #[error("no published key fits it")]
    UnknownKey,
    /// `none`, a symmetric algorithm, or one that is not known here.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
}

// === impl VerifyingKeys ===

impl VerifyingKeys {
    /// Reads a JWK Set.
    ///
    /// # Errors
    /// If the value is no JWK Set.
    pub fn parse(_jwks: &Value) -> Result<Self, InvalidToken> {
        todo!()
    }

    /// Checks the signature of a compact JWT.
    ///
    /// # Errors
    /// See [`InvalidToken`].
    pub fn verify(&self, _token: &str) -> Result<VerifiedToken, InvalidToken> {
        todo!()
    }
}
