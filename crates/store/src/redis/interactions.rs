//! Logins under way, and what counts once.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    RedisStore,
    key::{hex, unhex},
    set,
};
use crate::{InteractionStore, OperationId, StoreUnavailable};

// === impl RedisStore ===

#[async_trait]
impl InteractionStore for RedisStore {
    async fn put_interaction(
        &self,
        uid: &[u8; 16],
        interaction: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let (list, name) = (self.keys.interactions(), hex(uid));
        let bound = self.bounds.interactions;
        let gone = self
            .enter(&list, name.as_bytes(), ttl, bound, "end")
            .await?;
        for gone in gone.iter().filter_map(|gone| unhex(gone)) {
            self.remove(self.keys.interaction(&gone)).await?;
        }
        self.put(self.keys.interaction(uid), &interaction, ttl)
            .await
    }

    async fn load_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.read(self.keys.interaction(uid)).await
    }

    async fn take_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let taken = self.take(self.keys.interaction(uid), uid).await?;
        if taken.is_some() {
            self.leave(&self.keys.interactions(), &hex(uid)).await;
        }
        Ok(taken)
    }

    async fn put_state(
        &self,
        state: &[u8; 32],
        uid: &[u8; 16],
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.put(self.keys.state(state), uid, ttl).await
    }

    async fn take_state(&self, state: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        let uid = self.take(self.keys.state(state), state).await?;
        Ok(uid.and_then(|uid| uid.try_into().ok()))
    }

    async fn drop_state(&self, state: &[u8; 32]) -> Result<(), StoreUnavailable> {
        self.remove(self.keys.state(state)).await
    }

    /// The value is the operation, so that a repeat knows its own mark.
    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable> {
        let operation: OperationId = self.random.bytes();
        let mut command = set(&self.keys.mark(mark), &operation, ttl);
        let stood: Option<Vec<u8>> = self.link.ask(command.arg("NX").arg("GET")).await?;
        Ok(stood.is_none_or(|stood| stood == operation))
    }
}
