//! What the life of a grant asks no store for.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::{ClientId, GrantId};
use store::{
    BudgetStore, ClientStore, DeviceApproval, DeviceReplaced, DeviceStore, ImportedName,
    ImportedStore, InteractionStore, OperationId, StoreUnavailable, StoredDevice,
};

use super::Connected;

/// Calls are not bounded there.
impl BudgetStore for Connected {}

#[async_trait]
impl ClientStore for Connected {
    async fn register_client(
        &self,
        _: &ClientId,
        _: Vec<u8>,
        _: Duration,
    ) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn load_client(&self, _: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn extend_client(&self, _: &ClientId, _: Duration) -> Result<bool, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn replace_client(&self, _: &ClientId, _: Vec<u8>) -> Result<bool, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn forget_client(&self, _: &ClientId) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }
}

#[async_trait]
impl InteractionStore for Connected {
    async fn put_interaction(
        &self,
        _: &[u8; 16],
        _: Vec<u8>,
        _: Duration,
    ) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn load_interaction(&self, _: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn take_interaction(&self, _: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn put_state(
        &self,
        _: &[u8; 32],
        _: &[u8; 16],
        _: Duration,
    ) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn take_state(&self, _: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn drop_state(&self, _: &[u8; 32]) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn mark_once(&self, _: &[u8; 32], _: Duration) -> Result<bool, StoreUnavailable> {
        unreachable!("no grant asks this")
    }
}

#[async_trait]
impl DeviceStore for Connected {
    async fn name_device(
        &self,
        _: &[u8; 16],
        _: &GrantId,
        _: Duration,
    ) -> Result<bool, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn find_device(&self, _: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn forget_user_code(&self, _: &[u8; 16]) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn put_device(
        &self,
        _: &GrantId,
        _: Vec<u8>,
        _: OperationId,
        _: Duration,
    ) -> Result<(), StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn load_device(&self, _: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn replace_device(
        &self,
        _: &GrantId,
        _: u64,
        _: Vec<u8>,
        _: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn approve_device(
        &self,
        _: &GrantId,
        _: DeviceApproval,
        _: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        unreachable!("no grant asks this")
    }
}

/// Nobody shows a token of the predecessor.
#[async_trait]
impl ImportedStore for Connected {
    async fn put_imported(
        &self,
        _: &ImportedName,
        _: Vec<u8>,
        _: Duration,
    ) -> Result<Vec<u8>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn load_imported(&self, _: &ImportedName) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        unreachable!("no grant asks this")
    }

    async fn holds_imported(&self) -> Result<bool, StoreUnavailable> {
        unreachable!("no grant asks this")
    }
}
