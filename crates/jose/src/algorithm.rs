//! The algorithms of JSON Web Signature that are known here, and the kinds of keys they need.

/// A signature algorithm (RFC 7518 §3.1, RFC 8037, RFC 9864). `none` and the symmetric ones are
/// left out on purpose: what cannot be named cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    Ed25519,
    /// The older name of `Ed25519` (RFC 8037): the same key, the same signature.
    EdDsa,
}

/// What a key is; each algorithm works with exactly one kind, so that a token cannot make a key be
/// used for what it was not made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

// === impl Algorithm ===

impl Algorithm {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ed25519,
        Self::EdDsa,
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|algorithm| algorithm.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ed25519 => "Ed25519",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) const fn kind(self) -> KeyKind {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                KeyKind::Rsa
            }
            Self::Es256 => KeyKind::P256,
            Self::Es384 => KeyKind::P384,
            Self::Es512 => KeyKind::P521,
            Self::Ed25519 | Self::EdDsa => KeyKind::Ed25519,
        }
    }

    /// A list of it alone.
    pub(crate) fn alone(self) -> &'static [Self] {
        Self::ALL
            .iter()
            .position(|known| *known == self)
            .and_then(|position| Self::ALL.get(position..=position))
            .unwrap_or_default()
    }

    /// Whether both names mean the same signature.
    pub(crate) fn same_as(self, other: Self) -> bool {
        self == other || (self.kind() == KeyKind::Ed25519 && other.kind() == KeyKind::Ed25519)
    }
}
