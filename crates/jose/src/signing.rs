//! Our private keys: what signs, and what is published of them.

mod key;
#[cfg(test)]
mod tests;

use std::fmt;

use domain::secret::{SecretBytes, SecretString};
use serde_json::{Map, Value, json};

use self::key::{Key, Unusable};
use crate::{algorithm::Algorithm, jwk};

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
pub struct SigningKeys {
    /// Never empty.
    keys: Vec<Key>,
}

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
    /// Kinds of no use here are skipped and named; so is a key that stands there twice.
    ///
    /// # Errors
    /// If the text is not of that form, a key of a known kind is broken, or no key is left.
    pub fn parse(text: &str) -> Result<(Self, Vec<SkippedKey>), InvalidKeys> {
        let mut keys: Vec<Key> = Vec::new();
        let mut skipped = Vec::new();
        for (index, entry) in entries(text)?.iter().enumerate() {
            let Some(members) = entry.as_object() else {
                return Err(InvalidKeys(format!(
                    "key {index} (counted from 0) is not a JSON object"
                )));
            };
            match Key::read(members) {
                Ok(key) if keys.iter().any(|known| known.same_as(&key)) => {
                    let reason = "it stands there twice".to_owned();
                    skipped.push(SkippedKey { index, reason });
                }
                Ok(key) => keys.push(key),
                Err(Unusable::Skip(reason)) => skipped.push(SkippedKey { index, reason }),
                Err(Unusable::Broken(reason)) => {
                    return Err(InvalidKeys(format!(
                        "key {index} (counted from 0) is broken: {reason}"
                    )));
                }
            }
        }
        if keys.is_empty() {
            return Err(nothing_left(&skipped));
        }
        Ok((Self { keys }, skipped))
    }

    /// Makes a new private key as a JWK with its `kid`. RSA keys get 2048 bits.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<SecretString, InvalidKeys> {
        key::generate(algorithm.into())
            .ok_or_else(|| InvalidKeys("the system gave no randomness for a new key".to_owned()))
    }

    /// Names of the algorithms that a client may ask for, in the order of the keys.
    pub fn algorithms(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for algorithm in self.keys.iter().flat_map(Key::algorithms) {
            if !names.iter().any(|name| name == algorithm.name()) {
                names.push(algorithm.name().to_owned());
            }
        }
        names
    }

    /// The public halves as a JWK Set (RFC 7517 §5). A key that serves several algorithms (an RSA
    /// key, or Ed25519 by both of its names) carries `alg` only if it was given one: verifiers
    /// take that member for a restriction.
    pub fn public_jwks(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(Key::public_jwk).collect();
        json!({ "keys": keys })
    }

    /// Signs claims as a compact JWT. `asked` is the algorithm that the client registered; one
    /// without a key gets the first key's. Who asks nothing gets `RS256` if there is such a key,
    /// which is what a client expects that registered nothing (OpenID Connect Registration §2).
    ///
    /// # Errors
    /// If the key refuses to sign.
    pub fn sign(
        &self,
        asked: Option<&str>,
        typ: &str,
        claims: &Map<String, Value>,
    ) -> Result<SecretString, InvalidKeys> {
        let refused = || InvalidKeys("the signing key refused to sign".to_owned());
        let (key, algorithm) = self
            .fitting(asked.unwrap_or(Algorithm::Rs256.name()))
            .ok_or_else(refused)?;
        let header = json!({ "alg": algorithm.name(), "typ": typ, "kid": key.kid() });
        let payload = serde_json::to_vec(claims).map_err(|_| refused())?;
        let mut token = jwk::encode(header.to_string().as_bytes());
        token.push('.');
        token.push_str(&jwk::encode(&payload));
        let signature = key
            .sign(algorithm, token.as_bytes())
            .map_err(|_| refused())?;
        token.push('.');
        token.push_str(&jwk::encode(&signature));
        Ok(SecretString::new(token))
    }

    /// A secret of each key, for what else is to be known to this server alone and on all of its
    /// machines; made one way from the private half. New things use the first one.
    pub fn derived_secrets(&self) -> impl Iterator<Item = &SecretBytes<32>> {
        self.keys.iter().map(Key::derived_secret)
    }

    /// The first key for an algorithm; else the first key, with its own.
    fn fitting(&self, asked: &str) -> Option<(&Key, Algorithm)> {
        let by_name = Algorithm::parse(asked).and_then(|algorithm| {
            let key = self
                .keys
                .iter()
                .find(|key| key.algorithms().any(|known| known == algorithm))?;
            Some((key, algorithm))
        });
        by_name.or_else(|| {
            let key = self.keys.first()?;
            Some((key, key.algorithms().next()?))
        })
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKeys([redacted])")
    }
}

impl From<SigningAlgorithm> for Algorithm {
    fn from(algorithm: SigningAlgorithm) -> Self {
        match algorithm {
            SigningAlgorithm::Rs256 => Self::Rs256,
            SigningAlgorithm::Ps256 => Self::Ps256,
            SigningAlgorithm::Es256 => Self::Es256,
            SigningAlgorithm::Es384 => Self::Es384,
            SigningAlgorithm::Ed25519 => Self::Ed25519,
        }
    }
}

fn entries(text: &str) -> Result<Vec<Value>, InvalidKeys> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // Only the place: the text is secret.
        InvalidKeys(format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let entries = match value {
        Value::Array(entries) => Some(entries),
        Value::Object(mut members) => match members.remove("keys") {
            Some(Value::Array(entries)) => Some(entries),
            _ => None,
        },
        _ => None,
    };
    entries.ok_or_else(|| {
        InvalidKeys(
            "it is neither a JSON array of JWKs nor an object with such an array as `keys`"
                .to_owned(),
        )
    })
}

fn nothing_left(skipped: &[SkippedKey]) -> InvalidKeys {
    if skipped.is_empty() {
        return InvalidKeys("it holds no key".to_owned());
    }
    let reasons: Vec<String> = skipped
        .iter()
        .map(|key| format!("key {}: {}", key.index, key.reason))
        .collect();
    InvalidKeys(format!(
        "none of its keys can sign ({})",
        reasons.join("; ")
    ))
}
