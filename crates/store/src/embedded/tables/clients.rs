//! The steps of registrations, used ones and those that never led to a login.

use std::time::Duration;

use domain::id::ClientId;
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{Fault, Key, Tables, damage, read, read_expired_too};

/// A registration as stored: order of registration, 0 once it was used; then the caller's bytes.
pub(super) struct StoredClient<'a> {
    pub(super) unused_order: u64,
    pub(super) registration: &'a [u8],
}

// === impl Tables ===

impl Tables<'_> {
    pub(in crate::embedded) fn register_client(
        &mut self,
        client: &ClientId,
        registration: &[u8],
        ttl: Duration,
    ) -> Result<(), Fault> {
        let key = Key::client(client);
        // One that is there already, or has expired and was not swept yet, gives up its place.
        if let Some((_, bytes)) = read_expired_too(&self.records, &key)? {
            let earlier = StoredClient::decode(&bytes).ok_or_else(|| damage(key.as_bytes()))?;
            self.unused.remove((earlier.unused_order, key.as_bytes()))?;
        }
        let newest = self.unused.last()?.map_or(0, |(entry, _)| entry.value().0);
        let stored = StoredClient {
            unused_order: newest + 1,
            registration,
        };
        self.put(&key, &stored.encode(), ttl)?;
        self.unused.insert((newest + 1, key.as_bytes()), ())?;
        while self.unused.len()? > self.bounds.unused_clients {
            let Some(oldest) = self.unused.pop_first()?.map(|(entry, _)| {
                let (_, key) = entry.value();
                key.to_vec()
            }) else {
                break;
            };
            self.records.remove(oldest.as_slice())?;
        }
        Ok(())
    }

    pub(in crate::embedded) fn extend_client(
        &mut self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, Fault> {
        let key = Key::client(client);
        let Some((deadline, bytes)) = read(&self.records, &key, self.now)? else {
            return Ok(false);
        };
        let stored = StoredClient::decode(&bytes).ok_or_else(|| damage(key.as_bytes()))?;
        self.unused.remove((stored.unused_order, key.as_bytes()))?;
        let used = StoredClient {
            unused_order: 0,
            registration: stored.registration,
        };
        // A grant that lives longer may need it.
        let deadline = deadline.max(self.now.plus(ttl));
        self.put_until(&key, &used.encode(), deadline)?;
        Ok(true)
    }

    pub(in crate::embedded) fn replace_client(
        &mut self,
        client: &ClientId,
        registration: &[u8],
    ) -> Result<bool, Fault> {
        let key = Key::client(client);
        let Some((deadline, bytes)) = read(&self.records, &key, self.now)? else {
            return Ok(false);
        };
        let stored = StoredClient::decode(&bytes).ok_or_else(|| damage(key.as_bytes()))?;
        let replaced = StoredClient {
            registration,
            ..stored
        };
        self.put_until(&key, &replaced.encode(), deadline)?;
        Ok(true)
    }

    pub(in crate::embedded) fn forget_client(&mut self, client: &ClientId) -> Result<(), Fault> {
        let key = Key::client(client);
        let Some((_, bytes)) = read(&self.records, &key, self.now)? else {
            return Ok(());
        };
        let stored = StoredClient::decode(&bytes).ok_or_else(|| damage(key.as_bytes()))?;
        self.unused.remove((stored.unused_order, key.as_bytes()))?;
        self.remove(&key)
    }
}

// === impl StoredClient ===

impl<'a> StoredClient<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.registration.len());
        bytes.extend_from_slice(&self.unused_order.to_be_bytes());
        bytes.extend_from_slice(self.registration);
        bytes
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (order, registration) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            unused_order: u64::from_be_bytes(*order),
            registration,
        })
    }
}
