//! Our private keys: what signs, and what is published of them.

mod dated;
mod key;
mod ring;
mod rotation;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, fmt, sync::Arc};

use domain::{
    secret::{SecretBytes, SecretString},
    time::Timestamp,
};
use serde_json::{Map, Value, json};

pub use ring::{KeyInfo, KeyRing, KeyState};
pub use rotation::{Replaced, RotateError, Rotation, without_expired};

use self::{
    dated::{Dated, Moment},
    key::Key,
};
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

/// The private keys that count at one time, in the order in which they were given. Of those for an
/// algorithm the one signs that has done so for the shortest time, else the first.
pub struct SigningKeys {
    /// Never empty. Those that may sign stand before those that are only published.
    keys: Vec<Held>,
    /// How many may sign; never zero.
    signing: usize,
}

struct Held {
    key: Arc<Key>,
    /// Since when it signs, where that was said.
    since: Option<Timestamp>,
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

// === impl SigningAlgorithm ===

impl SigningAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::Es384,
        Self::Ed25519,
    ];

    /// The one of this name; `EdDSA` is the older name of `Ed25519`.
    pub fn parse(name: &str) -> Option<Self> {
        let asked = Algorithm::parse(name)?;
        let is_asked = |known: &Self| Algorithm::from(*known).same_as(asked);
        Self::ALL.into_iter().find(is_asked)
    }
}

// === impl SigningKeys ===

impl SigningKeys {
    /// Reads private keys: a JSON array of JWKs, or an object with such an array as `keys`.
    /// Kinds of no use here are skipped and named; so is a key that stands there twice. All of
    /// them may sign at any time; [`KeyRing`] heeds their times.
    ///
    /// # Errors
    /// If the text is not of that form, a key of a known kind is broken, or no key is left.
    pub fn parse(text: &str) -> Result<(Self, Vec<SkippedKey>), InvalidKeys> {
        let (keys, skipped) = dated::read(text)?;
        Ok((Self::timeless(&keys), skipped))
    }

    fn timeless(keys: &[Dated]) -> Self {
        let keys: Vec<Held> = keys
            .iter()
            .map(|dated| Held {
                key: Arc::clone(&dated.key),
                since: None,
            })
            .collect();
        let signing = keys.len();
        Self { keys, signing }
    }

    /// Those that count at a moment.
    fn at(moment: &Moment<'_>) -> Self {
        if moment.is_empty() {
            return Self::timeless(moment.keys);
        }
        let held = |index: &usize| {
            let dated = moment.keys.get(*index)?;
            Some(Held {
                key: Arc::clone(&dated.key),
                since: dated.from,
            })
        };
        let (signing, published): (Vec<usize>, Vec<usize>) = (0..moment.keys.len())
            .filter(|index| moment.is_published(*index))
            .partition(|index| moment.may_sign(*index));
        Self {
            keys: signing.iter().chain(&published).filter_map(held).collect(),
            signing: signing.len(),
        }
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
        for algorithm in self.signing().flat_map(|held| held.key.algorithms()) {
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
        let keys: Vec<Value> = self.keys.iter().map(|held| held.key.public_jwk()).collect();
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
    /// machines; made one way from the private half. New things use the first one, which is that
    /// of a key that signs: every machine has it by then. What was made earlier is found by one of
    /// the others.
    pub fn derived_secrets(&self) -> impl Iterator<Item = &SecretBytes<32>> {
        self.keys.iter().map(|held| held.key.derived_secret())
    }

    fn signing(&self) -> impl Iterator<Item = &Held> {
        self.keys.iter().take(self.signing)
    }

    /// The key for an algorithm; else the first key's algorithm.
    fn fitting(&self, asked: &str) -> Option<(&Key, Algorithm)> {
        let by_name = Algorithm::parse(asked)
            .and_then(|algorithm| Some((self.key_for(algorithm)?, algorithm)));
        by_name.or_else(|| {
            let algorithm = self.keys.first()?.key.algorithms().next()?;
            Some((self.key_for(algorithm)?, algorithm))
        })
    }

    fn key_for(&self, algorithm: Algorithm) -> Option<&Key> {
        let fits = |held: &Held| held.key.algorithms().any(|known| known == algorithm);
        let (_, held) = self
            .signing()
            .enumerate()
            .filter(|(_, held)| fits(held))
            .max_by_key(|(index, held)| (held.since, Reverse(*index)))?;
        Some(&held.key)
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
