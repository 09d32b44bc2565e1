//! Devices that wait for their grant (RFC 8628); the id is that of the grant to be.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::id::GrantId;

use crate::{DeviceApproval, DeviceReplaced, OperationId, StoreUnavailable, StoredDevice};

/// Devices that wait, and the codes that lead to them.
#[async_trait]
pub trait DeviceStore: Send + Sync + fmt::Debug {
    /// Lets a user code (its keyed hash) lead to a device for `ttl`; `false` if it leads to another
    /// one already.
    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable>;

    /// The device that a user code leads to.
    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable>;

    /// Forgets a user code.
    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable>;

    /// Remembers a device that waits (version 1) for `ttl`. One that is there stays as it is.
    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// Reads a device.
    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable>;

    /// Writes version `expected + 1` if the device has version `expected`; its end stays as it is.
    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable>;

    /// Opens the grant that a device waits for: as [`Self::replace_device`] and, only if that
    /// writes, as [`GrantStore::open_grant`](crate::GrantStore::open_grant), both or neither.
    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable>;
}
