//! Registered clients, as the store keeps them.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use domain::{
    client::Client,
    id::ClientId,
    time::{Clock, Timestamp},
};
use quick_cache::sync::Cache;
use store::{Store, StoreUnavailable};

use crate::Settings;

/// How long a registration is kept that never led to a login.
pub(crate) const UNUSED_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a registration is kept after its last use.
pub(crate) const USED_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// A registration in use is extended at most so often by one process.
const EXTEND_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Clients whose last extension is remembered; a forgotten one is only extended once more.
const REMEMBERED: usize = 4096;

/// Format of the records; the byte in front of the JSON.
const FORMAT: u8 = 1;

/// The clients of this server.
pub(crate) struct Clients {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    extended: Cache<ClientId, Timestamp>,
    /// Those of the configuration, which no registration can displace.
    preregistered: HashMap<ClientId, Client>,
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(settings: &Settings, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let preregistered = settings
            .clients
            .iter()
            .map(|known| (known.client.id.clone(), known.client.clone()))
            .collect();
        Self {
            preregistered,
            store,
            clock,
            extended: Cache::new(REMEMBERED),
        }
    }

    /// Finds a client; `None` if it never registered, or was forgotten.
    ///
    /// # Errors
    /// If the store is away, or holds a record that this release cannot read: neither may look
    /// like an unknown client, since clients throw their credentials away then.
    pub(crate) async fn find(&self, id: &ClientId) -> Result<Option<Client>, StoreUnavailable> {
        if let Some(client) = self.preregistered.get(id) {
            return Ok(Some(client.clone()));
        }
        let Some(record) = self.store.load_client(id).await? else {
            return Ok(None);
        };
        match decode(&record) {
            Some(client) => Ok(Some(client)),
            None => Err(StoreUnavailable(format!(
                "the registration of client {id} has a format that this release cannot read"
            ))),
        }
    }

    /// Remembers a new client until it is used, or for [`UNUSED_LIFE`].
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn register(&self, client: &Client) -> Result<(), StoreUnavailable> {
        self.store
            .register_client(&client.id, encode(client)?, UNUSED_LIFE)
            .await
    }

    /// Notes that a client is in use: its registration outlives its grants. Written at most daily
    /// by one process; `false` if the client is not registered (any more).
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn keep(&self, id: &ClientId) -> Result<bool, StoreUnavailable> {
        if self.preregistered.contains_key(id) {
            return Ok(true);
        }
        let now = self.clock.now();
        let last = self.extended.get(id);
        if last.is_some_and(|last| now.since(last) < EXTEND_EVERY) {
            return Ok(true);
        }
        let known = self.store.extend_client(id, USED_LIFE).await?;
        if known {
            self.extended.insert(id.clone(), now);
        }
        Ok(known)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clients")
    }
}

fn encode(client: &Client) -> Result<Vec<u8>, StoreUnavailable> {
    let mut record = vec![FORMAT];
    serde_json::to_writer(&mut record, client)
        .map_err(|error| StoreUnavailable(error.to_string()))?;
    Ok(record)
}

fn decode(record: &[u8]) -> Option<Client> {
    let (&format, json) = record.split_first()?;
    (format == FORMAT).then(|| serde_json::from_slice(json).ok())?
}
