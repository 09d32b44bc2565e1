//! Grants and their identity sessions.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::GrantId;

use super::{EmbeddedStore, key::Key};
use crate::{GrantStore, OperationId, Replaced, Settled, StoreUnavailable, StoredGrant};

// === impl EmbeddedStore ===

#[async_trait]
impl GrantStore for EmbeddedStore {
    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let grant = *grant;
        self.write(move |tables| tables.open_grant(&grant, &body, identity, operation, ttl))
            .await
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        let grant = *grant;
        self.read(move |snapshot, now| snapshot.grant(&grant, now))
            .await
    }

    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable> {
        let grant = *grant;
        self.write(move |tables| tables.replace_grant(&grant, expected, &body, operation, ttl))
            .await
    }

    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable> {
        let grant = *grant;
        self.write(move |tables| tables.settle_identity(&grant, expected, sealed))
            .await
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let grant = *grant;
        self.write(move |tables| tables.end_grant(&grant, tombstone_ttl))
            .await
    }

    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.put(Key::holder(holder, Some(grant)), Vec::new(), ttl)
            .await
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        let prefix = Key::holder(holder, None);
        self.read(move |snapshot, now| snapshot.grants_below(&prefix, now))
            .await
    }
}
