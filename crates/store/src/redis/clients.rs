//! Registrations of clients.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::ClientId;

use super::{Answer, RedisStore, millis, scripts::code, unreadable};
use crate::{ClientStore, StoreUnavailable};

/// Format of a registration's record.
pub(super) const CLIENT_FORMAT: u8 = 1;
/// Format, and whether it led to a login.
const CLIENT_HEADER_BYTES: usize = 2;

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
        let mut value = vec![CLIENT_FORMAT, 0];
        value.extend(registration);
        self.put(self.keys.client(client), &value, unused_ttl).await
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let stored = self.read(self.keys.client(client)).await?;
        stored
            .map(
                |stored| match stored.split_at_checked(CLIENT_HEADER_BYTES) {
                    Some(([CLIENT_FORMAT, _], registration)) => Ok(registration.to_vec()),
                    _ => Err(unreadable()),
                },
            )
            .transpose()
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.client(client);
        let (code, _, _): Answer = self
            .link
            .run(&self.scripts.extend_client, &[&key], &[&millis(ttl)])
            .await?;
        self.leave(&self.keys.unused_clients(), client.as_str())
            .await;
        Ok(code == code::DONE)
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
        Ok(code == code::DONE)
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        self.remove(self.keys.client(client)).await?;
        self.leave(&self.keys.unused_clients(), client.as_str())
            .await;
        Ok(())
    }
}
