//! Registrations of clients.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::ClientId;

use super::{Answer, RedisStore, millis, scripts::code, unreadable};
use crate::{ClientStore, StoreUnavailable};

/// Format of a registration's record.
pub(super) const CLIENT_FORMAT: u8 = 1;
/// Format, and what became of it.
const CLIENT_HEADER_BYTES: usize = 2;
/// It has led to no login yet.
const UNUSED: u8 = 0;
/// It is no more. That is said for a while, since somebody who does not know may offer it.
pub(super) const FORGOTTEN: u8 = 2;
const FORGOTTEN_LIFE: Duration = Duration::from_secs(10 * 60);

// === impl RedisStore ===

#[async_trait]
impl ClientStore for RedisStore {
    /// The list is written first, so that it names at least those there are.
    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let mut value = vec![CLIENT_FORMAT, UNUSED];
        value.extend(registration);
        let list = self.keys.unused_clients();
        let (name, bound) = (client.as_str().as_bytes(), self.bounds.unused_clients);
        let gone = self.enter(&list, name, unused_ttl, bound, "made").await?;
        for name in gone {
            let Ok(gone) = ClientId::parse(name) else {
                continue;
            };
            let key = self.keys.client(&gone);
            let _: Answer = self
                .link
                .run(&self.scripts.forget_unused_client, &[&key], &[])
                .await?;
        }
        self.put(self.keys.client(client), &value, unused_ttl)
            .await?;
        self.offering.recent.note_client(client, &value, unused_ttl);
        Ok(())
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let Some(stored) = self.read(self.keys.client(client)).await? else {
            self.offering.absent()?;
            return Ok(None);
        };
        match stored.split_at_checked(CLIENT_HEADER_BYTES) {
            Some(([CLIENT_FORMAT, FORGOTTEN], _)) => Ok(None),
            Some(([CLIENT_FORMAT, _], registration)) => Ok(Some(registration.to_vec())),
            _ => Err(unreadable()),
        }
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.client(client);
        let (code, stored, _): Answer = self
            .link
            .run(&self.scripts.extend_client, &[&key], &[&millis(ttl)])
            .await?;
        let Some(stored) = stored.filter(|_| code == code::DONE) else {
            self.offering.absent()?;
            return Ok(false);
        };
        self.offering.recent.note_client(client, &stored, ttl);
        self.leave(&self.keys.unused_clients(), client.as_str())
            .await;
        Ok(true)
    }

    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.client(client);
        let (code, _, _): Answer = self
            .link
            .run(&self.scripts.replace_client, &[&key], &[&registration])
            .await?;
        if code != code::DONE {
            self.offering.absent()?;
            return Ok(false);
        }
        let recent = &self.offering.recent;
        recent.renew_client(client, CLIENT_HEADER_BYTES, &registration);
        Ok(true)
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        let forgotten = [CLIENT_FORMAT, FORGOTTEN];
        let key = self.keys.client(client);
        self.put(key, &forgotten, FORGOTTEN_LIFE).await?;
        self.offering.recent.drop_client(client);
        self.leave(&self.keys.unused_clients(), client.as_str())
            .await;
        Ok(())
    }
}
