//! Logins under way, and what counts once.

use std::time::Duration;

use async_trait::async_trait;

use super::{EmbeddedStore, key::Key};
use crate::{InteractionStore, StoreUnavailable};

// === impl EmbeddedStore ===

#[async_trait]
impl InteractionStore for EmbeddedStore {
    async fn put_interaction(
        &self,
        uid: &[u8; 16],
        interaction: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let key = Key::interaction(uid);
        self.write(move |tables| tables.put_interaction(&key, &interaction, ttl))
            .await
    }

    async fn load_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.read_one(Key::interaction(uid)).await
    }

    async fn take_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let key = Key::interaction(uid);
        self.write(move |tables| tables.take_interaction(&key))
            .await
    }

    async fn put_state(
        &self,
        state: &[u8; 32],
        uid: &[u8; 16],
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.put(Key::state(state), uid.to_vec(), ttl).await
    }

    async fn take_state(&self, state: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        let uid = self.take(Key::state(state)).await?;
        Ok(uid.and_then(|uid| uid.try_into().ok()))
    }

    async fn drop_state(&self, state: &[u8; 32]) -> Result<(), StoreUnavailable> {
        let key = Key::state(state);
        self.write(move |tables| tables.remove(&key)).await
    }

    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable> {
        let key = Key::mark(mark);
        self.write(move |tables| tables.put_new(&key, &[], ttl))
            .await
    }
}
