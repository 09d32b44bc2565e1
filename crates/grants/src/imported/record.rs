//! What is remembered of a token that was taken over: one format byte, then postcard.

use domain::{
    id::{ClientId, GrantId},
    secret::SecretBytes,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use store::{
    ImportedName, StoreUnavailable,
    seal::{derive, sha256},
};

use crate::{inspect::TokenKind, record::Pad};

/// The newest format; the only one so far.
const FORMAT: u8 = 1;

/// Which grant something opens, and half of what it opens it with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealedHalf {
    pub(crate) grant: GrantId,
    pub(crate) ends_at: Timestamp,
    /// Root or key, XOR what is derived from the token.
    half: Pad,
}

/// What a half is for; part of what its other half is derived with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Access,
    Refresh,
    /// For those who find another token of the same session among what the predecessor left: they
    /// can read the identity token, which is the other half here.
    Session,
}

// === impl SealedHalf ===

impl SealedHalf {
    /// Splits a root or key between this record and a token.
    pub(crate) fn split(
        whole: &SecretBytes<32>,
        purpose: Purpose,
        token: &str,
        grant: GrantId,
        ends_at: Timestamp,
        issuer: &str,
    ) -> Self {
        Self {
            grant,
            ends_at,
            half: Pad(whole.xor(&purpose.other_half(token, &grant, issuer))),
        }
    }

    /// The root or key, if the token is the right one: nothing is verified yet.
    pub(crate) fn open(&self, purpose: Purpose, token: &str, issuer: &str) -> SecretBytes<32> {
        self.half
            .0
            .xor(&purpose.other_half(token, &self.grant, issuer))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let encoded = postcard::to_extend(self, vec![FORMAT]);
        // postcard fails only on sequences of unknown length, which this type does not have.
        #[expect(clippy::expect_used, reason = "no sequence of unknown length")]
        encoded.expect("records are plain data")
    }

    /// A record that cannot be read is the store's fault (a newer release wrote it), never a reason
    /// to send somebody away for good.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreUnavailable> {
        match bytes.split_first() {
            Some((&FORMAT, body)) => postcard::from_bytes(body).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            StoreUnavailable(
                "a token that was taken over cannot be read by this release".to_owned(),
            )
        })
    }
}

// === impl Purpose ===

impl Purpose {
    pub(crate) const fn of(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Access => Self::Access,
            TokenKind::Refresh => Self::Refresh,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Access => "imported access",
            Self::Refresh => "imported refresh",
            Self::Session => "imported session",
        }
    }

    fn other_half(self, token: &str, grant: &GrantId, issuer: &str) -> SecretBytes<32> {
        derive(token.as_bytes(), grant.as_bytes(), self.label(), issuer)
    }
}

/// The name of a token's record, for a proxy with this issuer.
pub(crate) fn name_of(kind: TokenKind, token: &str, issuer: &str) -> ImportedName {
    name(&[Purpose::of(kind).label(), token, issuer])
}

/// The name of the record of a session: of a client, and the identity token on its record.
pub(crate) fn session_name(client: &ClientId, identity: &str, issuer: &str) -> ImportedName {
    name(&[Purpose::Session.label(), client.as_str(), identity, issuer])
}

/// Where it is noted that a refresh token was answered.
pub(crate) fn used_name(token: &ImportedName) -> ImportedName {
    noted(b"used", token)
}

/// Where it is noted that a session was begun here: not to be begun again when it has ended.
pub(crate) fn begun_name(session: &ImportedName) -> ImportedName {
    noted(b"begun", session)
}

/// What a note says: that it is there.
pub(crate) fn mark() -> Vec<u8> {
    vec![FORMAT]
}

fn noted(what: &[u8], of: &ImportedName) -> ImportedName {
    sha256(&[what, of.as_slice()].concat())
}

fn name(parts: &[&str]) -> ImportedName {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    sha256(&bytes)
}
