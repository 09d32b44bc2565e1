//! What is remembered of a grant, and its form in the store: one format byte, then postcard.

use domain::{
    id::{ClientId, Subject},
    pkce::CodeChallenge,
    random::Random,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretBytes,
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::keys::{AddressHash, CheckValue};

/// The newest format; the only one so far.
const FORMAT: u8 = 1;

/// A grant as it stands in the store.
#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) line: Line,
    pub(crate) facts: Facts,
}

/// What a login settled once and for all. Readable in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) client: ClientId,
    pub(crate) subject: Subject,
    /// The identity provider's.
    pub(crate) issuer: String,
    pub(crate) resource: Resource,
    pub(crate) scopes: ScopeSet,
    pub(crate) auth_time: Timestamp,
}

/// What changes as tokens are issued and used: the line of generations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) opened: Timestamp,
    /// However much it is used.
    pub(crate) absolute_end: Timestamp,
    /// Moved by redemption and rotation, never beyond the absolute end.
    pub(crate) ends_at: Timestamp,
    pub(crate) check: CheckValue,
    /// The present generation; 0 until the code is redeemed.
    pub(crate) generation: u32,
    /// The newest generation that was seen in use: in a call, or by its refresh token.
    pub(crate) newest_seen: u32,
    pub(crate) refresh_pads: Pads,
    pub(crate) access_pads: Pads,
    /// Issue times of the last generations, the present one's last.
    pub(crate) issued: Vec<Timestamp>,
    pub(crate) addresses: Vec<AddressNote>,
    /// Hashes of refresh halves whose pad is gone, oldest first.
    pub(crate) retired: Vec<RetiredHalf>,
    pub(crate) code: CodeState,
}

/// Start of the SHA-256 of the half that the refresh tokens under one pad carried.
pub(crate) type RetiredHalf = [u8; 16];

/// A network that belongs to the holder of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressNote {
    pub(crate) address: AddressHash,
    /// The newest generation handed to it or used from it.
    pub(crate) generation: u32,
}

/// The authorization code of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CodeState {
    /// Not yet redeemed.
    Open {
        pad: Pad,
        proof: CodeProof,
        nonce: Option<String>,
    },
    /// Redeemed: the pad is gone, so the code opens nothing; a replay is still recognised.
    Redeemed { at: Timestamp, proof: CodeProof },
    /// Redeemed, and the tokens were rotated since; or there never was one.
    Dropped,
    /// There is none: a device is to collect the first tokens.
    AtDevice,
}

/// What a redemption must prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeProof {
    pub(crate) challenge: CodeChallenge,
    /// SHA-256.
    pub(crate) redirect_uri: [u8; 32],
}

/// The pads of one kind of token, by number: the ones before, now, and next. The next one is
/// stored ahead, so that a rotation that was lost after its answer still opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pads {
    pub(crate) number: u16,
    /// When they last moved.
    pub(crate) since: Timestamp,
    pub(crate) previous: Option<Pad>,
    pub(crate) present: Pad,
    pub(crate) next: Pad,
}

/// Random bytes that are half of a root or key. Alone it is noise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pad(pub(crate) SecretBytes<32>);

/// A record of a format, or damage, that this release cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the grant's record cannot be read by this release")]
pub(crate) struct UnreadableRecord;

// === impl Record ===

impl Record {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, UnreadableRecord> {
        match bytes.split_first() {
            Some((&FORMAT, body)) => postcard::from_bytes(body).map_err(|_| UnreadableRecord),
            _ => Err(UnreadableRecord),
        }
    }
}

/// The stored form of a line and its facts.
pub(crate) fn encode(line: &Line, facts: &Facts) -> Vec<u8> {
    let encoded = postcard::to_extend(&(line, facts), vec![FORMAT]);
    // postcard fails only on sequences of unknown length, which these types do not have.
    #[expect(clippy::expect_used, reason = "no sequence of unknown length")]
    encoded.expect("records are plain data")
}

// === impl Pads ===

impl Pads {
    pub(crate) fn new(random: &dyn Random, now: Timestamp) -> Self {
        Self {
            number: 0,
            since: now,
            previous: None,
            present: Pad(random.secret()),
            next: Pad(random.secret()),
        }
    }

    /// The pad with this number, while it is kept.
    pub(crate) fn numbered(&self, number: u16) -> Option<&SecretBytes<32>> {
        let pad = if number == self.number {
            Some(&self.present)
        } else if Some(number) == self.number.checked_add(1) {
            Some(&self.next)
        } else if Some(number) == self.number.checked_sub(1) {
            self.previous.as_ref()
        } else {
            None
        };
        pad.map(|pad| &pad.0)
    }

    /// The next pad becomes the present one, a new one the next; the oldest is erased. After the
    /// last number nothing moves any more: no grant lives so long.
    pub(crate) fn advance(&mut self, random: &dyn Random, now: Timestamp) {
        if let Some(number) = self.number.checked_add(1) {
            self.number = number;
            self.since = now;
            let next = std::mem::replace(&mut self.next, Pad(random.secret()));
            self.previous = Some(std::mem::replace(&mut self.present, next));
        }
    }
}

// === impl Pad ===

impl Serialize for Pad {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.expose().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pad {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(|bytes| Self(SecretBytes::new(bytes)))
    }
}

#[cfg(test)]
mod tests;
