//! Grants and their identity sessions.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::GrantId;

use super::SwitchedStore;
use crate::{GrantStore, OperationId, Replaced, Settled, StoreUnavailable, StoredGrant};

// === impl SwitchedStore ===

#[async_trait]
impl GrantStore for SwitchedStore {
    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?
            .open_grant(grant, body, identity, operation, ttl)
            .await
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        self.reach()?.load_grant(grant).await
    }

    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable> {
        let inner = self.reach()?;
        let replaced = inner
            .replace_grant(grant, expected, body, operation, ttl)
            .await?;
        self.answer(replaced)
    }

    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable> {
        let settled = self
            .reach()?
            .settle_identity(grant, expected, sealed)
            .await?;
        self.answer(settled)
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?.end_grant(grant, tombstone_ttl).await
    }

    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?.index_grant(holder, grant, ttl).await
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        self.reach()?.grants_of(holder).await
    }
}
