//! Devices that wait for their grant.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::GrantId;

use super::{EmbeddedStore, key::Key};
use crate::{
    DeviceApproval, DeviceReplaced, DeviceStore, OperationId, StoreUnavailable, StoredDevice,
    stored::GrantHeader,
};

// === impl EmbeddedStore ===

#[async_trait]
impl DeviceStore for EmbeddedStore {
    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let (key, grant) = (Key::user_code(user_code), *grant);
        self.write(move |tables| tables.name_device(&key, &grant, ttl))
            .await
    }

    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        let grant = self.read_one(Key::user_code(user_code)).await?;
        Ok(grant.and_then(|grant| grant.try_into().ok().map(GrantId::from_bytes)))
    }

    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable> {
        let key = Key::user_code(user_code);
        self.write(move |tables| tables.remove(&key)).await
    }

    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let header = GrantHeader {
            live: true,
            version: 1,
            operation,
        };
        let (key, value) = (Key::device(grant), header.encode(&body));
        // One that is there is this very step, that came before.
        self.write(move |tables| tables.put_new(&key, &value, ttl).map(drop))
            .await
    }

    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        let grant = *grant;
        self.read(move |snapshot, now| snapshot.device(&grant, now))
            .await
    }

    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let grant = *grant;
        self.write(move |tables| {
            let (outcome, _) = tables.replace_device(&grant, expected, &body, operation)?;
            Ok(outcome)
        })
        .await
    }

    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let grant = *grant;
        self.write(move |tables| tables.approve_device(&grant, approval, operation))
            .await
    }
}
