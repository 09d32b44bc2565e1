//! Registrations of clients.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::ClientId;

use super::EmbeddedStore;
use crate::{ClientStore, StoreUnavailable};

// === impl EmbeddedStore ===

#[async_trait]
impl ClientStore for EmbeddedStore {
    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let client = client.clone();
        self.write(move |tables| tables.register_client(&client, &registration, unused_ttl))
            .await
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let client = client.clone();
        self.read(move |snapshot, now| snapshot.client(&client, now))
            .await
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let client = client.clone();
        self.write(move |tables| tables.extend_client(&client, ttl))
            .await
    }

    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable> {
        let client = client.clone();
        self.write(move |tables| tables.replace_client(&client, &registration))
            .await
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        let client = client.clone();
        self.write(move |tables| tables.forget_client(&client))
            .await
    }
}
