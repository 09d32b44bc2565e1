//! A record in the file: a checksum over the rest and the key, the deadline, the value.
//!
//! The engine checks the structure of its file after a crash, not what it reads; so a flipped bit
//! would come back as if it had been written.

use domain::time::Timestamp;

use super::key::Key;

/// What a step of the store met.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// A record is not what was written; no step has written anything when it meets one.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The engine could not read or write.
    #[error(transparent)]
    Engine(#[from] redb::Error),
}

/// A record is not what was written, or was written by a later release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record ({kind}) is damaged")]
pub(super) struct Damage {
    /// What the record is of.
    pub(super) kind: &'static str,
}

const CHECKSUM_BYTES: usize = 4;
const DEADLINE_BYTES: usize = 8;

pub(super) fn encode(key: &[u8], deadline: Timestamp, value: &[u8]) -> Vec<u8> {
    let deadline = deadline.as_unix().to_be_bytes();
    let mut bytes = Vec::with_capacity(CHECKSUM_BYTES + DEADLINE_BYTES + value.len());
    bytes.extend_from_slice(&checksum(&[key, &deadline, value]));
    bytes.extend_from_slice(&deadline);
    bytes.extend_from_slice(value);
    bytes
}

/// Deadline and value.
pub(super) fn decode<'a>(key: &[u8], bytes: &'a [u8]) -> Result<(Timestamp, &'a [u8]), Damage> {
    let parts = bytes
        .split_first_chunk::<CHECKSUM_BYTES>()
        .filter(|(sum, rest)| checksum(&[key, rest]) == **sum)
        .and_then(|(_, rest)| rest.split_first_chunk::<DEADLINE_BYTES>());
    let (deadline, value) = parts.ok_or_else(|| damage(key))?;
    Ok((Timestamp::from_unix(u64::from_be_bytes(*deadline)), value))
}

pub(super) fn damage(key: &[u8]) -> Damage {
    let kind = Key::kind_of(key);
    Damage { kind }
}

fn checksum(parts: &[&[u8]]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_be_bytes()
}

// === impl Fault ===

macro_rules! from_engine {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Self {
                Self::Engine(error.into())
            }
        })*
    };
}

from_engine!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError
);
