//! The steps of a move: looking at all records, and putting some back as they were.

use std::{ops::Bound, time::Duration};

use domain::{id::ClientId, time::Timestamp};
use redb::ReadableTableMetadata as _;

use super::{Fault, Key, Snapshot, StoredClient, Tables, record};

/// A record as it stands in the file.
pub(in crate::embedded) enum Found<'a> {
    /// Deadline and value.
    Until(Timestamp, &'a [u8]),
    /// It is not what was written.
    Damaged,
}

/// The end of what has none.
const NEVER: Timestamp = Timestamp::from_unix(u64::MAX);

// === impl Snapshot ===

impl Snapshot {
    /// Shows up to `most` records behind a key; returns where to go on, `None` at the end.
    pub(in crate::embedded) fn visit(
        &self,
        behind: Option<&[u8]>,
        most: usize,
        mut show: impl FnMut(&[u8], Found<'_>),
    ) -> Result<Option<Vec<u8>>, Fault> {
        let start = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last = None;
        for entry in self
            .records
            .range::<&[u8]>((start, Bound::Unbounded))?
            .take(most)
        {
            let (key, bytes) = entry?;
            let found = match record::decode(key.value(), bytes.value()) {
                Ok((deadline, value)) => Found::Until(deadline, value),
                Err(_) => Found::Damaged,
            };
            show(key.value(), found);
            last = Some(key.value().to_vec());
        }
        Ok(last)
    }

    /// How many records there are, expired ones included.
    pub(in crate::embedded) fn len(&self) -> Result<u64, Fault> {
        Ok(self.records.len()?)
    }
}

// === impl Tables ===

impl Tables<'_> {
    /// A registration with its place among those that never led to a login.
    pub(in crate::embedded) fn put_client(
        &mut self,
        client: &ClientId,
        registration: &[u8],
        unused_order: u64,
        ttl: Duration,
    ) -> Result<(), Fault> {
        let key = Key::client(client);
        let stored = StoredClient {
            unused_order,
            registration,
        };
        self.put(&key, &stored.encode(), ttl)?;
        if unused_order > 0 {
            self.unused.insert((unused_order, key.as_bytes()), ())?;
        }
        Ok(())
    }

    pub(in crate::embedded) fn put_forever(
        &mut self,
        key: &Key,
        value: &[u8],
    ) -> Result<(), Fault> {
        let bytes = record::encode(key.as_bytes(), NEVER, value);
        self.records.insert(key.as_bytes(), bytes.as_slice())?;
        Ok(())
    }

    /// Forgets everything but one record.
    pub(in crate::embedded) fn erase_but(&mut self, kept: &Key) -> Result<(), Fault> {
        let kept = kept.as_bytes();
        self.records.retain(|key, _| key == kept)?;
        self.deadlines.retain(|_, ()| false)?;
        self.unused.retain(|_, ()| false)?;
        self.interactions.retain(|_, ()| false)?;
        Ok(())
    }
}
