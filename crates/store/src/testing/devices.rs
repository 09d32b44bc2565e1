//! Devices that wait for their grant.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::GrantId;

use super::SwitchedStore;
use crate::{
    DeviceApproval, DeviceReplaced, DeviceStore, OperationId, StoreUnavailable, StoredDevice,
};

// === impl SwitchedStore ===

#[async_trait]
impl DeviceStore for SwitchedStore {
    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.answer(self.reach()?.name_device(user_code, grant, ttl).await?)
    }

    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        self.reach()?.find_device(user_code).await
    }

    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable> {
        self.answer(self.reach()?.forget_user_code(user_code).await?)
    }

    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.answer(
            self.reach()?
                .put_device(grant, body, operation, ttl)
                .await?,
        )
    }

    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        self.reach()?.load_device(grant).await
    }

    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.answer(
            self.reach()?
                .replace_device(grant, expected, body, operation)
                .await?,
        )
    }

    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.answer(
            self.reach()?
                .approve_device(grant, approval, operation)
                .await?,
        )
    }
}
