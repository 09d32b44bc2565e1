//! Walking over all records: to copy them, or to find damaged ones before anybody asks for them.

use std::ops::Bound;

use domain::time::Timestamp;
use redb::{ReadOnlyTable, Table, WriteTransaction};

use super::{
    CLIENT, Fault, INTERACTION, META, Snapshot, StoredClient, Tables,
    record::{self, Damage},
};
use crate::embedded::Backup;

/// What stands in `META` of a backup.
const TAKEN: &str = "backup taken";
const RECORDS: &str = "backup records";
const DAMAGED: &str = "backup damaged";

/// What was found on a walk.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Walked {
    /// Records that are as written.
    pub(in crate::embedded) sound: u64,
    /// The others.
    pub(in crate::embedded) damaged: Vec<Damage>,
    /// Where to go on; `None` at the end.
    pub(in crate::embedded) last: Option<Vec<u8>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Looks at up to `most` records behind a key.
    pub(in crate::embedded) fn walk(
        &self,
        behind: Option<&[u8]>,
        most: usize,
    ) -> Result<Walked, Fault> {
        let start = behind.map_or(Bound::Unbounded, Bound::Excluded);
        let mut walked = Walked::default();
        for entry in self
            .records
            .range::<&[u8]>((start, Bound::Unbounded))?
            .take(most)
        {
            let (key, bytes) = entry?;
            match record::decode(key.value(), bytes.value()) {
                Ok(_) => walked.sound += 1,
                Err(damage) => walked.damaged.push(damage),
            }
            walked.last = Some(key.value().to_vec());
        }
        Ok(walked)
    }
}

// === impl Tables ===

impl Tables<'_> {
    /// Copies all records that have not expired into these tables, which are empty.
    pub(in crate::embedded) fn copy(&mut self, from: &Snapshot) -> Result<Walked, Fault> {
        let mut walked = Walked::default();
        for entry in from.records.range::<&[u8]>(..)? {
            let (key, bytes) = entry?;
            let key = key.value();
            let (deadline, value) = match record::decode(key, bytes.value()) {
                Ok(parts) => parts,
                Err(damage) => {
                    walked.damaged.push(damage);
                    continue;
                }
            };
            if deadline <= self.now {
                continue;
            }
            walked.sound += 1;
            self.records.insert(key, bytes.value())?;
            self.deadlines.insert((deadline.as_unix(), key), ())?;
            match key.first() {
                Some(&CLIENT) => self.index_unused(key, value)?,
                Some(&INTERACTION) => {
                    self.interactions.insert((deadline.as_unix(), key), ())?;
                }
                _ => {}
            }
        }
        Ok(walked)
    }

    fn index_unused(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if let Some(client) = StoredClient::decode(value)
            && client.unused_order > 0
        {
            self.unused.insert((client.unused_order, key), ())?;
        }
        Ok(())
    }
}

/// Says of a file that it is a backup, and of what.
pub(in crate::embedded) fn mark_backup(
    transaction: &WriteTransaction,
    backup: &Backup,
) -> Result<(), Fault> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(TAKEN, backup.taken.as_unix())?;
    meta.insert(RECORDS, backup.records)?;
    meta.insert(DAMAGED, backup.damaged)?;
    Ok(())
}

pub(super) fn unmark_backup(meta: &mut Table<'_, &'static str, u64>) -> Result<(), redb::Error> {
    for mark in [TAKEN, RECORDS, DAMAGED] {
        meta.remove(mark)?;
    }
    Ok(())
}

/// The format of a file, and what it says of itself if it is a backup.
pub(in crate::embedded) fn marks_of_backup(
    transaction: &redb::ReadTransaction,
) -> Result<(u64, Option<Backup>), redb::Error> {
    let meta: ReadOnlyTable<&str, u64> = transaction.open_table(META)?;
    let mark = |name: &str| Ok::<_, redb::Error>(meta.get(name)?.map(|mark| mark.value()));
    let format = mark("format")?.unwrap_or_default();
    let (Some(taken), Some(records), Some(damaged)) =
        (mark(TAKEN)?, mark(RECORDS)?, mark(DAMAGED)?)
    else {
        return Ok((format, None));
    };
    let backup = Backup {
        taken: Timestamp::from_unix(taken),
        records,
        damaged,
    };
    Ok((format, Some(backup)))
}
