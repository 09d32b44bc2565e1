//! Logins under way, and what counts once.

use std::time::Duration;

use async_trait::async_trait;

use super::SwitchedStore;
use crate::{InteractionStore, StoreUnavailable};

// === impl SwitchedStore ===

#[async_trait]
impl InteractionStore for SwitchedStore {
    async fn put_interaction(
        &self,
        uid: &[u8; 16],
        interaction: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?.put_interaction(uid, interaction, ttl).await
    }

    async fn load_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.reach()?.load_interaction(uid).await
    }

    async fn take_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.reach()?.take_interaction(uid).await
    }

    async fn put_state(
        &self,
        state: &[u8; 32],
        uid: &[u8; 16],
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?.put_state(state, uid, ttl).await
    }

    async fn take_state(&self, state: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        self.reach()?.take_state(state).await
    }

    async fn drop_state(&self, state: &[u8; 32]) -> Result<(), StoreUnavailable> {
        self.reach()?.drop_state(state).await
    }

    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable> {
        self.reach()?.mark_once(mark, ttl).await
    }
}
