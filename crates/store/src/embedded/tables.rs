//! Records and deadlines of the embedded store, and the steps made of them.

mod clients;
mod copy;
mod devices;
mod moving;

use std::time::Duration;

use domain::{
    id::{ClientId, GrantId},
    time::Timestamp,
};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata as _, Table,
    TableDefinition, WriteTransaction,
};

use self::clients::StoredClient;
pub(super) use self::{
    copy::{Walked, mark_backup, marks_of_backup},
    moving::Found,
};
use super::{
    key::{CLIENT, INTERACTION, Key},
    record::{self, Damage, Fault, damage},
};
use crate::{
    Bounds, OperationId, Replaced, Settled, StoredGrant, StoredIdentity, stored::GrantHeader,
};

/// Format of the file as a whole; raised when an older release could not read it any more. (1 was
/// never released.)
pub(super) const FORMAT: u64 = 2;

/// Deadline hints looked at beside one commit.
pub(super) const SWEEP_STEP: usize = 256;

/// Key → what [`record`] makes of deadline and value.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");
/// (deadline, key): a record may end then.
const DEADLINES: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("deadlines");
/// (order of registration, key): registrations that never led to a login.
const UNUSED: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("unused");
/// (deadline, key): interactions, the next to expire first.
const INTERACTIONS: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("interactions");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The tables in a read transaction.
pub(super) struct Snapshot {
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

/// The tables in a write transaction.
pub(super) struct Tables<'transaction> {
    records: Table<'transaction, &'static [u8], &'static [u8]>,
    deadlines: Table<'transaction, (u64, &'static [u8]), ()>,
    unused: Table<'transaction, (u64, &'static [u8]), ()>,
    interactions: Table<'transaction, (u64, &'static [u8]), ()>,
    bounds: Bounds,
    now: Timestamp,
}

/// Makes the tables of a new file and says which format the file has; one of another format is
/// left as it is.
pub(super) fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let format = {
        let mut meta = transaction.open_table(META)?;
        let format = meta.get("format")?.map(|format| format.value());
        if format.is_none() {
            meta.insert("format", FORMAT)?;
        }
        // From here on it is more than the backup it may have been.
        copy::unmark_backup(&mut meta)?;
        format.unwrap_or(FORMAT)
    };
    if format != FORMAT {
        transaction.abort()?;
        return Ok(format);
    }
    transaction.open_table(RECORDS)?;
    transaction.open_table(DEADLINES)?;
    transaction.open_table(UNUSED)?;
    transaction.open_table(INTERACTIONS)?;
    transaction.commit()?;
    Ok(format)
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, Fault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
        })
    }

    pub(super) fn value(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, Fault> {
        Ok(read(&self.records, key, now)?.map(|(_, value)| value))
    }

    pub(super) fn client(
        &self,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let key = Key::client(client);
        let Some(bytes) = self.value(&key, now)? else {
            return Ok(None);
        };
        let stored = StoredClient::decode(&bytes).ok_or_else(|| damage(key.as_bytes()))?;
        Ok(Some(stored.registration.to_vec()))
    }

    pub(super) fn grant(
        &self,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<Option<StoredGrant>, Fault> {
        load_grant(&self.records, grant, now)
    }

    /// Whether there is a record below a key; one that has just expired counts.
    pub(super) fn has_any(&self, prefix: &Key) -> Result<bool, Fault> {
        let first = self
            .records
            .range(prefix.as_bytes()..)?
            .next()
            .transpose()?;
        Ok(first.is_some_and(|(key, _)| key.value().starts_with(prefix.as_bytes())))
    }

    pub(super) fn grants_below(&self, prefix: &Key, now: Timestamp) -> Result<Vec<GrantId>, Fault> {
        let mut grants = Vec::new();
        for entry in self.records.range(prefix.as_bytes()..)? {
            let (key, value) = entry?;
            let Some(rest) = key.value().strip_prefix(prefix.as_bytes()) else {
                break;
            };
            let (deadline, _) = record::decode(key.value(), value.value())?;
            if let (true, Ok(grant)) = (deadline > now, rest.try_into()) {
                grants.push(GrantId::from_bytes(grant));
            }
        }
        Ok(grants)
    }
}

// === impl Tables ===

impl<'transaction> Tables<'transaction> {
    pub(super) fn open(
        transaction: &'transaction WriteTransaction,
        bounds: Bounds,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            deadlines: transaction.open_table(DEADLINES)?,
            unused: transaction.open_table(UNUSED)?,
            interactions: transaction.open_table(INTERACTIONS)?,
            bounds,
            now,
        })
    }

    pub(super) fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, Fault> {
        Ok(read(&self.records, key, self.now)?.map(|(_, value)| value))
    }

    pub(super) fn put(&mut self, key: &Key, value: &[u8], ttl: Duration) -> Result<(), Fault> {
        self.put_until(key, value, self.now.plus(ttl))
    }

    fn put_until(&mut self, key: &Key, value: &[u8], deadline: Timestamp) -> Result<(), Fault> {
        let bytes = record::encode(key.as_bytes(), deadline, value);
        self.records.insert(key.as_bytes(), bytes.as_slice())?;
        self.deadlines
            .insert((deadline.as_unix(), key.as_bytes()), ())?;
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &Key) -> Result<(), Fault> {
        self.records.remove(key.as_bytes())?;
        Ok(())
    }

    pub(super) fn put_interaction(
        &mut self,
        key: &Key,
        value: &[u8],
        ttl: Duration,
    ) -> Result<(), Fault> {
        // Also the entry of one that has expired and was not swept yet: it would count as another.
        if let Some((earlier, _)) = read_expired_too(&self.records, key)? {
            let entry = (earlier.as_unix(), key.as_bytes());
            self.interactions.remove(entry)?;
        }
        let deadline = self.now.plus(ttl);
        self.put_until(key, value, deadline)?;
        self.interactions
            .insert((deadline.as_unix(), key.as_bytes()), ())?;
        while self.interactions.len()? > self.bounds.interactions {
            let Some(first) = self.interactions.pop_first()?.map(|(entry, _)| {
                let (_, key) = entry.value();
                key.to_vec()
            }) else {
                break;
            };
            self.records.remove(first.as_slice())?;
        }
        Ok(())
    }

    pub(super) fn take_interaction(&mut self, key: &Key) -> Result<Option<Vec<u8>>, Fault> {
        let Some((deadline, value)) = read(&self.records, key, self.now)? else {
            return Ok(None);
        };
        let entry = (deadline.as_unix(), key.as_bytes());
        self.interactions.remove(entry)?;
        self.remove(key)?;
        Ok(Some(value))
    }

    /// Puts a value where none is; `false` where one was.
    pub(super) fn put_new(
        &mut self,
        key: &Key,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, Fault> {
        if self.value(key)?.is_some() {
            return Ok(false);
        }
        self.put(key, value, ttl)?;
        Ok(true)
    }

    /// Changes nothing where there is one, ended or not: it is this very step that came before.
    pub(super) fn open_grant(
        &mut self,
        grant: &GrantId,
        body: &[u8],
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), Fault> {
        let header = GrantHeader {
            live: true,
            version: 1,
            operation,
        };
        if !self.put_new(&Key::grant(grant), &header.encode(body), ttl)? {
            return Ok(());
        }
        let identity = StoredIdentity {
            version: 1,
            sealed: identity,
        };
        self.put(&Key::identity(grant), &identity.encode(), ttl)
    }

    pub(super) fn replace_grant(
        &mut self,
        grant: &GrantId,
        expected: u64,
        body: &[u8],
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, Fault> {
        let key = Key::grant(grant);
        let Some(bytes) = self.value(&key)? else {
            return Ok(Replaced::Absent);
        };
        let (header, _) = split_header(&key, &bytes)?;
        let ours = header.live && header.version == expected + 1 && header.operation == operation;
        if ours {
            return Ok(Replaced::Done);
        }
        if !header.live || header.version != expected {
            let stored = load_grant(&self.records, grant, self.now)?;
            return Ok(stored.map_or(Replaced::Absent, Replaced::Conflict));
        }
        let header = GrantHeader {
            live: true,
            version: expected + 1,
            operation,
        };
        let identity = Key::identity(grant);
        let kept = self.value(&identity)?;
        self.put(&key, &header.encode(body), ttl)?;
        if let Some(value) = kept {
            self.put(&identity, &value, ttl)?;
        }
        Ok(Replaced::Done)
    }

    pub(super) fn settle_identity(
        &mut self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, Fault> {
        let key = Key::grant(grant);
        let Some((deadline, bytes)) = read(&self.records, &key, self.now)? else {
            return Ok(Settled::Ended);
        };
        let (header, _) = split_header(&key, &bytes)?;
        if !header.live {
            return Ok(Settled::Ended);
        }
        if let Some(stored) = load_identity(&self.records, grant, self.now)?
            && stored.version > expected
        {
            return Ok(Settled::Newer(stored));
        }
        let key = Key::identity(grant);
        let identity = StoredIdentity {
            version: expected + 1,
            sealed,
        };
        self.put_until(&key, &identity.encode(), deadline)?;
        Ok(Settled::Done)
    }

    pub(super) fn end_grant(
        &mut self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), Fault> {
        let key = Key::grant(grant);
        let Some(bytes) = self.value(&key)? else {
            return Ok(());
        };
        let (header, _) = split_header(&key, &bytes)?;
        if header.live {
            let tombstone = GrantHeader {
                live: false,
                ..header
            };
            self.put(&key, &tombstone.encode(&[]), tombstone_ttl)?;
        }
        self.remove(&Key::identity(grant))
    }

    /// Looks at up to [`SWEEP_STEP`] deadlines that have passed and forgets what has expired; says
    /// at how many.
    pub(super) fn sweep(&mut self) -> Result<usize, Fault> {
        let mut due = Vec::new();
        for entry in self
            .deadlines
            .range(..=(self.now.as_unix(), [0xff_u8; 1].as_slice()))?
        {
            let (hint, ()) = entry.map(|(hint, value)| (hint, value.value()))?;
            let (deadline, key) = hint.value();
            if deadline > self.now.as_unix() || due.len() == SWEEP_STEP {
                break;
            }
            due.push((deadline, key.to_vec()));
        }
        let count = due.len();
        for (deadline, key) in due {
            self.deadlines.remove((deadline, key.as_slice()))?;
            let Some(stored) = self
                .records
                .get(key.as_slice())?
                .map(|bytes| bytes.value().to_vec())
            else {
                continue;
            };
            // A damaged record is left for the operator; only the hint goes.
            let Ok((end, value)) = record::decode(&key, &stored) else {
                continue;
            };
            if end > self.now {
                continue;
            }
            if let (Some(&CLIENT), Some(client)) = (key.first(), StoredClient::decode(value)) {
                self.unused.remove((client.unused_order, key.as_slice()))?;
            }
            if key.first() == Some(&INTERACTION) {
                self.interactions.remove((end.as_unix(), key.as_slice()))?;
            }
            self.records.remove(key.as_slice())?;
        }
        Ok(count)
    }
}

/// A record that has not expired: its deadline and value.
fn read(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &Key,
    now: Timestamp,
) -> Result<Option<(Timestamp, Vec<u8>)>, Fault> {
    Ok(read_expired_too(records, key)?.filter(|(deadline, _)| *deadline > now))
}

fn read_expired_too(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &Key,
) -> Result<Option<(Timestamp, Vec<u8>)>, Fault> {
    let Some(bytes) = records.get(key.as_bytes())? else {
        return Ok(None);
    };
    let (deadline, value) = record::decode(key.as_bytes(), bytes.value())?;
    Ok(Some((deadline, value.to_vec())))
}

fn load_grant(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    grant: &GrantId,
    now: Timestamp,
) -> Result<Option<StoredGrant>, Fault> {
    let key = Key::grant(grant);
    let Some((_, bytes)) = read(records, &key, now)? else {
        return Ok(None);
    };
    let (header, body) = split_header(&key, &bytes)?;
    if !header.live {
        return Ok(Some(StoredGrant::Ended));
    }
    Ok(Some(StoredGrant::Live {
        version: header.version,
        body: body.to_vec(),
        identity: load_identity(records, grant, now)?,
    }))
}

fn load_identity(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    grant: &GrantId,
    now: Timestamp,
) -> Result<Option<StoredIdentity>, Fault> {
    let key = Key::identity(grant);
    let Some((_, bytes)) = read(records, &key, now)? else {
        return Ok(None);
    };
    let identity = StoredIdentity::decode(&bytes).ok_or_else(|| damage(key.as_bytes()))?;
    Ok(Some(identity))
}

fn split_header<'a>(key: &Key, bytes: &'a [u8]) -> Result<(GrantHeader, &'a [u8]), Damage> {
    GrantHeader::decode(bytes).ok_or_else(|| damage(key.as_bytes()))
}
