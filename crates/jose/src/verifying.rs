//! Keys that others published, and what they signed.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{
    algorithm::{Algorithm, KeyKind},
    jwk::{self, Declared, PublicHalf},
};

/// A JWK Set as published; keys that cannot verify are ignored.
#[derive(Clone, Debug)]
pub struct VerifyingKeys {
    keys: Arc<[Key]>,
}

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

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    kind: KeyKind,
    named: Option<Algorithm>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    /// Parsed at each use, which takes microseconds: the padding is not known before.
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    Parsed(ParsedPublicKey),
}

struct Parts<'a> {
    signed: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
    payload: &'a str,
    signature: Vec<u8>,
}

/// The algorithms that are accepted, by their names in RFC 7518, RFC 8037 and RFC 9864.
pub fn algorithms() -> Vec<&'static str> {
    Algorithm::ALL.iter().map(|known| known.name()).collect()
}

/// The claims of a JWT whose signature nobody has checked: good for finding out whose keys to
/// check it with, and for nothing else.
///
/// # Errors
/// If it is no compact JWS.
pub fn unverified_claims(token: &str) -> Result<Map<String, Value>, InvalidToken> {
    object(Parts::split(token)?.payload)
}

// === impl VerifyingKeys ===

impl VerifyingKeys {
    /// Keys of one set that are looked at; no honest set comes near.
    pub const MAX_KEYS: usize = 128;
    /// Keys that one token is tried with: a token that does not name its key, or names one that many
    /// bear, must not cost a signature check for each key of a large set.
    pub const MAX_TRIED: usize = 16;
    /// The longest token that is looked at, in bytes.
    pub const MAX_TOKEN_BYTES: usize = 128 * 1024;

    /// Reads a JWK Set.
    ///
    /// # Errors
    /// If the value is no JWK Set.
    pub fn parse(jwks: &Value) -> Result<Self, InvalidToken> {
        let entries = jwks
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(InvalidToken::Malformed)?;
        let keys = entries
            .iter()
            .take(Self::MAX_KEYS)
            .filter_map(|entry| Key::read(entry.as_object()?))
            .collect();
        Ok(Self { keys })
    }

    /// Whether no key of the set can verify.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks the signature of a compact JWT.
    ///
    /// # Errors
    /// See [`InvalidToken`].
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, InvalidToken> {
        let parts = Parts::split(token)?;
        let mut candidates = self.candidates(&parts).peekable();
        if candidates.peek().is_none() {
            return Err(InvalidToken::UnknownKey);
        }
        let message = parts.signed.as_bytes();
        let mut tried = candidates.take(Self::MAX_TRIED);
        if tried.any(|key| key.verifies(parts.algorithm, message, &parts.signature)) {
            parts.verified()
        } else {
            Err(InvalidToken::Signature)
        }
    }

    /// Keys of the algorithm's kind with the token's `kid`; where none carries it, those without a
    /// `kid`. A token without one may be any key's.
    fn candidates<'a>(&'a self, parts: &'a Parts<'_>) -> impl Iterator<Item = &'a Key> {
        let fitting = || self.keys.iter().filter(|key| key.serves(parts.algorithm));
        let by_name = parts
            .kid
            .as_ref()
            .is_some_and(|kid| fitting().any(|key| key.kid.as_ref() == Some(kid)));
        fitting().filter(move |key| match &parts.kid {
            None => true,
            Some(_) if by_name => key.kid == parts.kid,
            Some(_) => key.kid.is_none(),
        })
    }
}

// === impl Key ===

impl Key {
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let Declared::Kind(kind) = jwk::declared(members) else {
            return None;
        };
        if !jwk::is_for(members, "verify") {
            return None;
        }
        // A key that names another algorithm (of encryption, say) is not for signatures.
        let named = match jwk::text(members, "alg") {
            None => None,
            Some(name) => Some(Algorithm::parse(name).filter(|known| known.kind() == kind)?),
        };
        let public = PublicHalf::read(members, kind)?;
        let point = public.point();
        let material = match (kind, public) {
            (KeyKind::Rsa, PublicHalf::Rsa { n, e }) => {
                Material::Rsa(RsaPublicKeyComponents { n, e })
            }
            (KeyKind::P256, _) => {
                Material::Parsed(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?)
            }
            (KeyKind::P384, _) => {
                Material::Parsed(ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok()?)
            }
            (KeyKind::P521, _) => {
                Material::Parsed(ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point).ok()?)
            }
            (KeyKind::Ed25519, _) => Material::Parsed(ParsedPublicKey::new(&ED25519, point).ok()?),
            (KeyKind::Rsa, _) => return None,
        };
        Some(Self {
            kid: jwk::text(members, "kid").map(str::to_owned),
            kind,
            named,
            material,
        })
    }

    fn serves(&self, algorithm: Algorithm) -> bool {
        self.kind == algorithm.kind() && self.named.is_none_or(|named| named.same_as(algorithm))
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa(components) => rsa_parameters(algorithm)
                .is_some_and(|how| components.verify(how, message, signature).is_ok()),
            Material::Parsed(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Ed25519
        | Algorithm::EdDsa => None,
    }
}

// === impl Parts ===

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, InvalidToken> {
        if token.len() > VerifyingKeys::MAX_TOKEN_BYTES {
            return Err(InvalidToken::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidToken::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(InvalidToken::Malformed)?;
        if payload.contains('.') {
            return Err(InvalidToken::Malformed);
        }
        let header = object(header)?;
        // An extension that must be understood is one that is not (RFC 7515 §4.1.11).
        if header.contains_key("crit") {
            return Err(InvalidToken::Malformed);
        }
        let name = jwk::text(&header, "alg").ok_or(InvalidToken::Malformed)?;
        Ok(Self {
            signed,
            algorithm: Algorithm::parse(name).ok_or(InvalidToken::Algorithm)?,
            kid: jwk::text(&header, "kid").map(str::to_owned),
            payload,
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| InvalidToken::Malformed)?,
        })
    }

    /// The claims, read only once the signature is known to be right.
    fn verified(&self) -> Result<VerifiedToken, InvalidToken> {
        Ok(VerifiedToken {
            algorithm: self.algorithm.name().to_owned(),
            claims: object(self.payload)?,
        })
    }
}

fn object(encoded: &str) -> Result<Map<String, Value>, InvalidToken> {
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| InvalidToken::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| InvalidToken::Malformed)
}
