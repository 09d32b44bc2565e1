//! Members of a JSON Web Key (RFC 7517), read leniently where generators differ.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest;
use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::algorithm::KeyKind;

/// Some generators pad although RFC 7515 §2 says not to.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a JWK says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// A kind that can sign or verify.
    Kind(KeyKind),
    /// Anything else, with a name that is safe to print.
    Other(&'static str),
}

/// The public half of a key in canonical form: integers without leading zeros, coordinates in
/// full length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicHalf {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Curve {
        kind: KeyKind,
        x: Vec<u8>,
        y: Vec<u8>,
    },
    Ed25519 {
        x: Vec<u8>,
    },
}

pub(crate) fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member).and_then(Value::as_str)
}

/// The bytes of a base64url member; absent or broken is `None`.
pub(crate) fn bytes(jwk: &Map<String, Value>, member: &str) -> Option<Zeroizing<Vec<u8>>> {
    LENIENT.decode(text(jwk, member)?).ok().map(Zeroizing::new)
}

/// The bytes of a big-endian integer in exactly `length` bytes: zeros that a generator cut off are
/// put back, surplus ones taken away.
pub(crate) fn sized(
    jwk: &Map<String, Value>,
    member: &str,
    length: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let raw = bytes(jwk, member)?;
    let digits = without_leading_zeros(&raw);
    let missing = length.checked_sub(digits.len())?;
    let mut padded = Zeroizing::new(vec![0; missing]);
    padded.extend_from_slice(digits);
    Some(padded)
}

pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn declared(jwk: &Map<String, Value>) -> Declared {
    match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => Declared::Kind(KeyKind::Rsa),
        (Some("EC"), Some("P-256")) => Declared::Kind(KeyKind::P256),
        (Some("EC"), Some("P-384")) => Declared::Kind(KeyKind::P384),
        (Some("EC"), Some("P-521")) => Declared::Kind(KeyKind::P521),
        (Some("EC"), Some("secp256k1")) => Declared::Other("an EC key on secp256k1"),
        (Some("EC"), _) => Declared::Other("an EC key on an unknown curve"),
        (Some("OKP"), Some("Ed25519")) => Declared::Kind(KeyKind::Ed25519),
        (Some("OKP"), Some("Ed448")) => Declared::Other("an Ed448 key"),
        (Some("OKP"), Some("X25519")) => Declared::Other("an X25519 key, which cannot sign"),
        (Some("OKP"), Some("X448")) => Declared::Other("an X448 key, which cannot sign"),
        (Some("OKP"), _) => Declared::Other("an OKP key on an unknown curve"),
        (Some("oct"), _) => Declared::Other("a symmetric (oct) key"),
        _ => Declared::Other("a key of an unknown type"),
    }
}

/// Whether `use` and `key_ops` allow `operation` (`sign` or `verify`).
pub(crate) fn is_for(jwk: &Map<String, Value>, operation: &str) -> bool {
    let used_so = text(jwk, "use").is_none_or(|usage| usage == "sig");
    let operation_allowed = jwk
        .get("key_ops")
        .and_then(Value::as_array)
        .is_none_or(|operations| operations.iter().any(|known| known == operation));
    used_so && operation_allowed
}

/// Length of a coordinate in bytes.
pub(crate) const fn coordinate_length(kind: KeyKind) -> usize {
    match kind {
        KeyKind::P256 | KeyKind::Ed25519 => 32,
        KeyKind::P384 => 48,
        KeyKind::P521 => 66,
        KeyKind::Rsa => 0,
    }
}

// === impl PublicHalf ===

impl PublicHalf {
    /// Reads the public members of a key of this kind; `None` if one is absent or broken.
    pub(crate) fn read(jwk: &Map<String, Value>, kind: KeyKind) -> Option<Self> {
        let coordinate = |member| {
            sized(jwk, member, coordinate_length(kind)).map(|coordinate| coordinate.to_vec())
        };
        match kind {
            KeyKind::Rsa => {
                let n = without_leading_zeros(&bytes(jwk, "n")?).to_vec();
                let e = without_leading_zeros(&bytes(jwk, "e")?).to_vec();
                (!n.is_empty() && !e.is_empty()).then_some(Self::Rsa { n, e })
            }
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Some(Self::Curve {
                kind,
                x: coordinate("x")?,
                y: coordinate("y")?,
            }),
            // Little-endian: nothing may be cut or padded.
            KeyKind::Ed25519 => bytes(jwk, "x")
                .filter(|x| x.len() == 32)
                .map(|x| Self::Ed25519 { x: x.to_vec() }),
        }
    }

    /// The public JWK with the members that RFC 7638 §3.2 requires, and no other.
    pub(crate) fn to_jwk(&self) -> Map<String, Value> {
        let members = match self {
            Self::Rsa { n, e } => vec![
                ("kty", "RSA".to_owned()),
                ("n", encode(n)),
                ("e", encode(e)),
            ],
            Self::Curve { kind, x, y } => vec![
                ("kty", "EC".to_owned()),
                ("crv", curve_name(*kind).to_owned()),
                ("x", encode(x)),
                ("y", encode(y)),
            ],
            Self::Ed25519 { x } => vec![
                ("kty", "OKP".to_owned()),
                ("crv", "Ed25519".to_owned()),
                ("x", encode(x)),
            ],
        };
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect()
    }

    /// The SHA-256 thumbprint of RFC 7638: over the required members in lexicographic order.
    pub(crate) fn thumbprint(&self) -> String {
        let mut members: Vec<_> = self.to_jwk().into_iter().collect();
        members.sort_by(|left, right| left.0.cmp(&right.0));
        let canonical: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let text = format!("{{{}}}", canonical.join(","));
        encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }

    /// The point in uncompressed form (SEC 1 §2.3.3), or the bytes of an Ed25519 key.
    pub(crate) fn point(&self) -> Vec<u8> {
        match self {
            Self::Rsa { .. } => Vec::new(),
            Self::Curve { x, y, .. } => [&[4], x.as_slice(), y.as_slice()].concat(),
            Self::Ed25519 { x } => x.clone(),
        }
    }
}

const fn curve_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::P256 => "P-256",
        KeyKind::P384 => "P-384",
        KeyKind::P521 => "P-521",
        KeyKind::Ed25519 => "Ed25519",
        KeyKind::Rsa => "",
    }
}
