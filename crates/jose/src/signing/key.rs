//! One private key, parsed once.

use aws_lc_rs::{
    encoding::{AsBigEndian, AsDer},
    error::Unspecified,
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
        RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use domain::secret::{SecretBytes, SecretString};
use serde_json::{Map, Value};

use crate::{
    algorithm::{Algorithm, KeyKind},
    der,
    jwk::{self, Declared, PublicHalf},
};

/// A private key that can sign.
pub(super) struct Key {
    kid: String,
    pair: Pair,
    public: PublicHalf,
    /// The algorithm to which `alg` restricts the key.
    named: Option<Algorithm>,
    derived: SecretBytes<32>,
}

/// Why a JWK does not become a signing key.
pub(super) enum Unusable {
    /// Of no use here; the others may be.
    Skip(String),
    /// Meant to sign, but wrong.
    Broken(String),
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

// === impl Key ===

impl Key {
    pub(super) fn read(members: &Map<String, Value>) -> Result<Self, Unusable> {
        let kind = match jwk::declared(members) {
            Declared::Kind(KeyKind::P521) => {
                return Err(skip("it is an EC key on P-521, which is not used here"));
            }
            Declared::Kind(kind) => kind,
            Declared::Other(what) => return Err(skip(&format!("it is {what}"))),
        };
        if !jwk::is_for(members, "sign") {
            return Err(skip(
                "its `use` or `key_ops` says that it is not for signing",
            ));
        }
        if !members.contains_key("d") {
            return Err(skip("it has no private half (`d`)"));
        }
        let named = named_algorithm(members, kind)?;
        let public = PublicHalf::read(members, kind)
            .ok_or_else(|| broken("its public members are absent or not base64url"))?;
        let pair = Pair::read(members, kind, &public)?;
        let kid = match members.get("kid") {
            None | Some(Value::Null) => public.thumbprint(),
            Some(Value::String(kid)) if kid.is_empty() => public.thumbprint(),
            Some(Value::String(kid)) => kid.clone(),
            Some(_) => return Err(broken("its `kid` is not a string")),
        };
        Ok(Self {
            kid,
            pair,
            public,
            named,
            derived: derived(members),
        })
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) const fn derived_secret(&self) -> &SecretBytes<32> {
        &self.derived
    }

    /// Whether it is the same key for the same algorithm.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.public == other.public && self.named == other.named
    }

    /// The algorithms it can be asked for, the one it uses unasked first.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> + use<> {
        let candidates: &[Algorithm] = match (self.named, &self.public) {
            (Some(Algorithm::EdDsa), _) => &[Algorithm::EdDsa, Algorithm::Ed25519],
            (Some(named), PublicHalf::Rsa { .. }) => named.alone(),
            (None, PublicHalf::Rsa { .. }) => &[Algorithm::Rs256, Algorithm::Ps256],
            (_, PublicHalf::Ed25519 { .. }) => &[Algorithm::Ed25519, Algorithm::EdDsa],
            (_, PublicHalf::Curve { kind, .. }) if *kind == KeyKind::P384 => &[Algorithm::Es384],
            (_, PublicHalf::Curve { .. }) => &[Algorithm::Es256],
        };
        candidates.iter().copied()
    }

    pub(super) fn public_jwk(&self) -> Value {
        let mut members = self.public.to_jwk();
        members.insert("kid".to_owned(), Value::from(self.kid.clone()));
        members.insert("use".to_owned(), Value::from("sig"));
        let mut algorithms = self.algorithms();
        let only = algorithms
            .next()
            .filter(|_| self.named.is_some() || algorithms.next().is_none());
        if let Some(algorithm) = only {
            members.insert("alg".to_owned(), Value::from(algorithm.name()));
        }
        Value::Object(members)
    }

    pub(super) fn sign(
        &self,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding = padding(algorithm).ok_or(Unspecified)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
        }
    }
}

fn named_algorithm(
    members: &Map<String, Value>,
    kind: KeyKind,
) -> Result<Option<Algorithm>, Unusable> {
    match members.get("alg") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Algorithm::parse(name)
            .filter(|algorithm| algorithm.kind() == kind)
            .map(Some)
            .ok_or_else(|| skip("its `alg` is not a signature algorithm of such a key")),
        Some(_) => Err(broken("its `alg` is not a string")),
    }
}

fn padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_SHA256),
        Algorithm::Ps384 => Some(&RSA_PSS_SHA384),
        Algorithm::Ps512 => Some(&RSA_PSS_SHA512),
        Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::Ed25519
        | Algorithm::EdDsa => None,
    }
}

/// One way from the private half, so that it can be handed out: HMAC-SHA-256 under that half. The
/// same however its number is padded.
fn derived(members: &Map<String, Value>) -> SecretBytes<32> {
    let private = jwk::bytes(members, "d").unwrap_or_default();
    let key = hmac::Key::new(hmac::HMAC_SHA256, jwk::without_leading_zeros(&private));
    let tag = hmac::sign(&key, b"mcp-auth-proxy 1 derived secret");
    let mut secret = [0; 32];
    for (slot, byte) in secret.iter_mut().zip(tag.as_ref()) {
        *slot = *byte;
    }
    SecretBytes::new(secret)
}

// === impl Pair ===

impl Pair {
    fn read(
        members: &Map<String, Value>,
        kind: KeyKind,
        public: &PublicHalf,
    ) -> Result<Self, Unusable> {
        match (kind, public) {
            (KeyKind::Rsa, PublicHalf::Rsa { n, e }) => read_rsa(members, n, e).map(Self::Rsa),
            (KeyKind::P256, _) => {
                read_curve(members, &ECDSA_P256_SHA256_FIXED_SIGNING, 32, public).map(Self::Ecdsa)
            }
            (KeyKind::P384, _) => {
                read_curve(members, &ECDSA_P384_SHA384_FIXED_SIGNING, 48, public).map(Self::Ecdsa)
            }
            (KeyKind::Ed25519, _) => {
                let seed = jwk::bytes(members, "d")
                    .filter(|seed| seed.len() == 32)
                    .ok_or_else(|| broken("its `d` is not base64url of 32 bytes"))?;
                Ed25519KeyPair::from_seed_and_public_key(&seed, &public.point())
                    .map(Self::Ed25519)
                    .map_err(|_| broken("its private and public halves do not belong together"))
            }
            (KeyKind::Rsa | KeyKind::P521, _) => Err(skip("it is of no use here")),
        }
    }
}

fn read_rsa(members: &Map<String, Value>, n: &[u8], e: &[u8]) -> Result<RsaKeyPair, Unusable> {
    if members.contains_key("oth") {
        return Err(broken("RSA keys of more than two primes are not supported"));
    }
    let private = |member: &str| {
        jwk::bytes(members, member).ok_or_else(|| {
            broken(&format!(
                "`{member}` is absent or not base64url (an RSA key needs d, p, q, dp, dq and qi)"
            ))
        })
    };
    let components = rsa::KeyPairComponents {
        public_key: RsaPublicKeyComponents {
            n: n.to_vec(),
            e: e.to_vec(),
        },
        d: private("d")?.to_vec(),
        p: private("p")?.to_vec(),
        q: private("q")?.to_vec(),
        dP: private("dp")?.to_vec(),
        dQ: private("dq")?.to_vec(),
        qInv: private("qi")?.to_vec(),
    };
    RsaKeyPair::from_components(&components)
        .map_err(|_| broken("its numbers do not belong together, or it has not 2048 to 8192 bits"))
}

fn read_curve(
    members: &Map<String, Value>,
    algorithm: &'static EcdsaSigningAlgorithm,
    length: usize,
    public: &PublicHalf,
) -> Result<EcdsaKeyPair, Unusable> {
    let private = jwk::sized(members, "d", length)
        .ok_or_else(|| broken("its `d` is not base64url, or too long for its curve"))?;
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &public.point())
        .map_err(|_| broken("its private and public halves do not belong together"))
}

/// Makes a key and writes it as a JWK.
pub(super) fn generate(algorithm: Algorithm) -> Option<SecretString> {
    let (public, private) = match algorithm.kind() {
        KeyKind::Rsa => generate_rsa()?,
        KeyKind::P256 => generate_curve(KeyKind::P256, &ECDSA_P256_SHA256_FIXED_SIGNING, 32)?,
        KeyKind::P384 => generate_curve(KeyKind::P384, &ECDSA_P384_SHA384_FIXED_SIGNING, 48)?,
        KeyKind::Ed25519 => generate_ed25519()?,
        KeyKind::P521 => return None,
    };
    let mut members = public.to_jwk();
    for (name, value) in private {
        members.insert(name.to_owned(), Value::String(value));
    }
    members.insert("kid".to_owned(), Value::String(public.thumbprint()));
    members.insert("use".to_owned(), Value::from("sig"));
    members.insert("alg".to_owned(), Value::from(algorithm.name()));
    Some(SecretString::new(Value::Object(members).to_string()))
}

type Halves = (PublicHalf, Vec<(&'static str, String)>);

fn generate_rsa() -> Option<Halves> {
    let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).ok()?;
    let document = pair.as_der().ok()?;
    let numbers = der::rsa_numbers(document.as_ref())?;
    let [modulus, exponent, private @ ..] = numbers.map(jwk::without_leading_zeros);
    let public = PublicHalf::Rsa {
        n: modulus.to_vec(),
        e: exponent.to_vec(),
    };
    Some((
        public,
        ["d", "p", "q", "dp", "dq", "qi"]
            .into_iter()
            .zip(private)
            .map(|(name, number)| (name, jwk::encode(number)))
            .collect(),
    ))
}

fn generate_curve(
    kind: KeyKind,
    algorithm: &'static EcdsaSigningAlgorithm,
    length: usize,
) -> Option<Halves> {
    let pair = EcdsaKeyPair::generate(algorithm).ok()?;
    let private = pair.private_key().as_be_bytes().ok()?;
    let (_form, coordinates) = pair.public_key().as_ref().split_first()?;
    let (x, y) = coordinates.split_at_checked(length)?;
    let public = PublicHalf::Curve {
        kind,
        x: x.to_vec(),
        y: y.to_vec(),
    };
    Some((public, vec![("d", jwk::encode(private.as_ref()))]))
}

fn generate_ed25519() -> Option<Halves> {
    let pair = Ed25519KeyPair::generate().ok()?;
    let seed = pair.seed().ok()?.as_be_bytes().ok()?;
    let public = PublicHalf::Ed25519 {
        x: pair.public_key().as_ref().to_vec(),
    };
    Some((public, vec![("d", jwk::encode(seed.as_ref()))]))
}

fn skip(reason: &str) -> Unusable {
    Unusable::Skip(reason.to_owned())
}

pub(super) fn broken(reason: &str) -> Unusable {
    Unusable::Broken(reason.to_owned())
}
