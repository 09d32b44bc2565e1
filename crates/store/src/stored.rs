//! Records as an engine keeps them: a fixed header in front of opaque bytes.

use std::time::Duration;

use crate::OperationId;

/// A grant as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredGrant {
    /// It lives.
    Live {
        /// Raised by every write.
        version: u64,
        /// The record, in its owner's format.
        body: Vec<u8>,
        /// Its identity session; absent only where the store lost it.
        identity: Option<StoredIdentity>,
    },
    /// It was ended; nothing but this fact is left.
    Ended,
}

/// An identity session as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIdentity {
    /// Raised by every settled refresh: the fence of the refresh.
    pub version: u64,
    /// Sealed tokens and claims.
    pub sealed: Vec<u8>,
}

/// Outcome of replacing a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Written; or this very operation was written before.
    Done,
    /// Another write came first: what is stored now.
    Conflict(StoredGrant),
    /// There is no such grant (any more).
    Absent,
}

/// Outcome of settling an identity session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Written.
    Done,
    /// Another answer was settled first: what is stored now.
    Newer(StoredIdentity),
    /// The grant is ended or absent.
    Ended,
}

/// Outcome of asking for the right to refresh an identity session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is the asker's.
    Taken {
        /// How long ago somebody else was last known to refresh this version, whose outcome is not
        /// on record.
        earlier: Option<Duration>,
    },
    /// Somebody else has it.
    Busy,
    /// That version was refreshed already: what is stored now.
    Newer(StoredIdentity),
    /// The grant is ended or absent.
    Ended,
}

/// A device as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDevice {
    /// Raised by every write.
    pub version: u64,
    /// The record, in its owner's format.
    pub body: Vec<u8>,
}

/// What an approval writes: the device's record, and the grant with its identity session.
#[derive(Clone, Debug)]
pub struct DeviceApproval {
    /// The version of the device that was judged.
    pub expected: u64,
    /// Its record from now on.
    pub device: Vec<u8>,
    /// The grant's record.
    pub grant: Vec<u8>,
    /// Its sealed identity session.
    pub identity: Vec<u8>,
    /// How long grant and identity session are kept.
    pub grant_ttl: Duration,
}

/// Outcome of replacing a device's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceReplaced {
    /// Written; or this very operation was written before.
    Done,
    /// Another write came first: what is stored now.
    Conflict(StoredDevice),
    /// There is no such device (any more).
    Absent,
}

const FORMAT: u8 = 1;
const LIVE: u8 = 1;
const ENDED: u8 = 2;
const HEADER_BYTES: usize = 18;

/// Format, state, version, operation id: at fixed offsets, before the body of a grant's or device's
/// record.
pub(crate) struct GrantHeader {
    pub(crate) live: bool,
    pub(crate) version: u64,
    pub(crate) operation: OperationId,
}

impl GrantHeader {
    pub(crate) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.push(FORMAT);
        bytes.push(if self.live { LIVE } else { ENDED });
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.operation);
        bytes.extend_from_slice(body);
        bytes
    }

    /// Version and operation id as they stand in the record.
    pub(crate) fn stamp(&self) -> Vec<u8> {
        [self.version.to_be_bytes(), self.operation].concat()
    }

    /// `None` if this release cannot read the record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let ([format, state], rest) = bytes.split_first_chunk::<2>()?;
        let (version, rest) = rest.split_first_chunk::<8>()?;
        let (operation, body) = rest.split_first_chunk::<8>()?;
        let live = match (*format, *state) {
            (FORMAT, LIVE) => true,
            (FORMAT, ENDED) => false,
            _ => return None,
        };
        let header = Self {
            live,
            version: u64::from_be_bytes(*version),
            operation: *operation,
        };
        Some((header, body))
    }
}

impl StoredIdentity {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.sealed.len());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, sealed) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            version: u64::from_be_bytes(*version),
            sealed: sealed.to_vec(),
        })
    }
}
