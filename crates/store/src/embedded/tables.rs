//! Records and deadlines of the embedded store, and the steps made of them.

mod clients;
mod devices;

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
use super::key::{CLIENT, INTERACTION, Key};
use crate::{
    Bounds, OperationId, Replaced, Settled, StoredGrant, StoredIdentity, stored::GrantHeader,
};

/// Format of the file as a whole; raised when an older release could not read it any more.
pub(super) const FORMAT: u64 = 1;

/// Deadline hints looked at beside one commit.
pub(super) const SWEEP_STEP: usize = 256;

/// Key → deadline (8 bytes, Unix seconds) and value.
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

/// Makes the tables of a new file and says which format the file has; one of a newer format is
/// left as it is.
pub(super) fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let format = {
        let mut meta = transaction.open_table(META)?;
        let format = meta.get("format")?.map(|format| format.value());
        if format.is_none() {
            meta.insert("format", FORMAT)?;
        }
        format.unwrap_or(FORMAT)
    };
    if format > FORMAT {
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
    pub(super) fn open(transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
        })
    }

    pub(super) fn value(&self, key: &Key, now: Timestamp) -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(record(&self.records, key, now)?.map(|(_, value)| value))
    }

    pub(super) fn client(
        &self,
        client: &ClientId,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, redb::Error> {
        let stored = self.value(&Key::client(client), now)?;
        Ok(stored.and_then(|bytes| Some(StoredClient::decode(&bytes)?.registration.to_vec())))
    }

    pub(super) fn grant(
        &self,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<Option<StoredGrant>, redb::Error> {
        load_grant(&self.records, grant, now)
    }

    pub(super) fn grants_below(
        &self,
        prefix: &Key,
        now: Timestamp,
    ) -> Result<Vec<GrantId>, redb::Error> {
        let mut grants = Vec::new();
        for entry in self.records.range(prefix.as_bytes()..)? {
            let (key, value) = entry?;
            let Some(rest) = key.value().strip_prefix(prefix.as_bytes()) else {
                break;
            };
            let live = split_deadline(value.value()).is_some_and(|(deadline, _)| deadline > now);
            if let (true, Ok(grant)) = (live, rest.try_into()) {
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
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            deadlines: transaction.open_table(DEADLINES)?,
            unused: transaction.open_table(UNUSED)?,
            interactions: transaction.open_table(INTERACTIONS)?,
            bounds,
            now,
        })
    }

    pub(super) fn value(&self, key: &Key) -> Result<Option<Vec<u8>>, redb::Error> {
        Ok(record(&self.records, key, self.now)?.map(|(_, value)| value))
    }

    pub(super) fn put(
        &mut self,
        key: &Key,
        value: &[u8],
        ttl: Duration,
    ) -> Result<(), redb::Error> {
        self.put_until(key, value, self.now.plus(ttl))
    }

    fn put_until(
        &mut self,
        key: &Key,
        value: &[u8],
        deadline: Timestamp,
    ) -> Result<(), redb::Error> {
        let mut bytes = Vec::with_capacity(8 + value.len());
        bytes.extend_from_slice(&deadline.as_unix().to_be_bytes());
        bytes.extend_from_slice(value);
        self.records.insert(key.as_bytes(), bytes.as_slice())?;
        self.deadlines
            .insert((deadline.as_unix(), key.as_bytes()), ())?;
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &Key) -> Result<(), redb::Error> {
        self.records.remove(key.as_bytes())?;
        Ok(())
    }

    /// One that is there already keeps its place among those that go first.
    pub(super) fn put_interaction(
        &mut self,
        key: &Key,
        value: &[u8],
        ttl: Duration,
    ) -> Result<(), redb::Error> {
        self.take_interaction(key)?;
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

    pub(super) fn take_interaction(&mut self, key: &Key) -> Result<Option<Vec<u8>>, redb::Error> {
        let Some((deadline, value)) = record(&self.records, key, self.now)? else {
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
    ) -> Result<bool, redb::Error> {
        if self.value(key)?.is_some() {
            return Ok(false);
        }
        self.put(key, value, ttl)?;
        Ok(true)
    }

    pub(super) fn open_grant(
        &mut self,
        grant: &GrantId,
        body: &[u8],
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), redb::Error> {
        let header = GrantHeader {
            live: true,
            version: 1,
            operation,
        };
        self.put(&Key::grant(grant), &header.encode(body), ttl)?;
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
    ) -> Result<Replaced, redb::Error> {
        let key = Key::grant(grant);
        let Some(bytes) = self.value(&key)? else {
            return Ok(Replaced::Absent);
        };
        let Some((header, _)) = GrantHeader::decode(&bytes) else {
            return Err(unreadable());
        };
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
        self.put(&key, &header.encode(body), ttl)?;
        let identity = Key::identity(grant);
        if let Some(value) = self.value(&identity)? {
            self.put(&identity, &value, ttl)?;
        }
        Ok(Replaced::Done)
    }

    pub(super) fn settle_identity(
        &mut self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, redb::Error> {
        let Some((deadline, bytes)) = record(&self.records, &Key::grant(grant), self.now)? else {
            return Ok(Settled::Ended);
        };
        let Some((header, _)) = GrantHeader::decode(&bytes) else {
            return Err(unreadable());
        };
        if !header.live {
            return Ok(Settled::Ended);
        }
        let key = Key::identity(grant);
        if let Some(stored) = self
            .value(&key)?
            .and_then(|bytes| StoredIdentity::decode(&bytes))
            && stored.version != expected
        {
            return Ok(Settled::Newer(stored));
        }
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
    ) -> Result<(), redb::Error> {
        let key = Key::grant(grant);
        let Some(bytes) = self.value(&key)? else {
            return Ok(());
        };
        let Some((header, _)) = GrantHeader::decode(&bytes) else {
            return Err(unreadable());
        };
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
    pub(super) fn sweep(&mut self) -> Result<usize, redb::Error> {
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
            let stored = self
                .records
                .get(key.as_slice())?
                .map(|bytes| bytes.value().to_vec());
            let Some(stored) = stored else { continue };
            let Some((end, value)) = split_deadline(&stored) else {
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
fn record(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &Key,
    now: Timestamp,
) -> Result<Option<(Timestamp, Vec<u8>)>, redb::Error> {
    let Some(bytes) = records.get(key.as_bytes())? else {
        return Ok(None);
    };
    Ok(split_deadline(bytes.value())
        .filter(|(deadline, _)| *deadline > now)
        .map(|(deadline, value)| (deadline, value.to_vec())))
}

fn load_grant(
    records: &impl ReadableTable<&'static [u8], &'static [u8]>,
    grant: &GrantId,
    now: Timestamp,
) -> Result<Option<StoredGrant>, redb::Error> {
    let Some((_, bytes)) = record(records, &Key::grant(grant), now)? else {
        return Ok(None);
    };
    let Some((header, body)) = GrantHeader::decode(&bytes) else {
        return Err(unreadable());
    };
    if !header.live {
        return Ok(Some(StoredGrant::Ended));
    }
    let identity = record(records, &Key::identity(grant), now)?
        .and_then(|(_, bytes)| StoredIdentity::decode(&bytes));
    Ok(Some(StoredGrant::Live {
        version: header.version,
        body: body.to_vec(),
        identity,
    }))
}

fn split_deadline(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (deadline, value) = bytes.split_first_chunk::<8>()?;
    Some((Timestamp::from_unix(u64::from_be_bytes(*deadline)), value))
}

fn unreadable() -> redb::Error {
    redb::Error::Corrupted("a record has a format that this release cannot read".to_owned())
}
