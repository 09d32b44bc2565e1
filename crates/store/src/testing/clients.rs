//! Registrations of clients.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::ClientId;

use super::SwitchedStore;
use crate::{ClientStore, StoreUnavailable};

// === impl SwitchedStore ===

#[async_trait]
impl ClientStore for SwitchedStore {
    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?
            .register_client(client, registration, unused_ttl)
            .await
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.reach()?.load_client(client).await
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.reach()?.extend_client(client, ttl).await
    }

    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable> {
        self.reach()?.replace_client(client, registration).await
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        self.reach()?.forget_client(client).await
    }
}
