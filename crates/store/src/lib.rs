//! What is remembered: the [`Store`] trait, named by intent, the seal, and the embedded engine.
//!
//! The rules live in Rust above this crate and are the same for every engine; an engine only
//! compares and sets on a version. Values are opaque bytes that callers have sealed or hashed
//! where they must be.

pub mod embedded;
pub mod seal;

mod stored;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::id::{ClientId, GrantId};

pub use stored::{
    DeviceApproval, DeviceReplaced, Replaced, Settled, StoredDevice, StoredGrant, StoredIdentity,
};

/// The store did not answer, or not in time. A passing fault: nobody's session may end for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store is not available: {0}")]
pub struct StoreUnavailable(pub String);

/// Names one write, so that a write that was sent twice is recognised as the same.
pub type OperationId = [u8; 8];

/// What the proxy remembers. Every method is one atomic step; absent is `Ok(None)`; what has
/// expired is absent. A write that was answered is durable.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Whether other processes write to this store too.
    fn is_shared(&self) -> bool;

    // --- registrations

    /// Remembers a new registration for `unused_ttl`. Where there are too many that never led to
    /// a login, the oldest of those are forgotten.
    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// The registration of a client.
    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable>;

    /// Marks a registration as used and keeps it for at least `ttl` from now (an end that is
    /// later stays); `false` if there is none.
    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable>;

    /// Replaces what a registration says; how long it is kept does not change. `false` if there is
    /// none.
    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable>;

    /// Forgets a registration.
    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable>;

    // --- interactions

    /// Remembers (or replaces) an interaction. An engine may bound their number, since anybody can
    /// begin one; the oldest go first.
    async fn put_interaction(
        &self,
        uid: &[u8; 16],
        interaction: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// Reads an interaction.
    async fn load_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable>;

    /// Reads and forgets an interaction: only one caller gets it.
    async fn take_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable>;

    /// Remembers which interaction a `state` (by its hash) belongs to.
    async fn put_state(
        &self,
        state: &[u8; 32],
        uid: &[u8; 16],
        ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// Reads and forgets a `state`: only one caller gets it.
    async fn take_state(&self, state: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable>;

    /// Forgets a `state`.
    async fn drop_state(&self, state: &[u8; 32]) -> Result<(), StoreUnavailable>;

    // --- what counts once

    /// Remembers a mark (a hash) for `ttl`; `true` for the first who does, `false` while it is
    /// remembered.
    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable>;

    // --- grants

    /// Remembers a new grant (version 1) and its identity session (version 1).
    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// Reads a grant and its identity session in one step.
    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable>;

    /// Writes version `expected + 1` if the grant lives and has version `expected`; its identity
    /// session gets the same `ttl`.
    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable>;

    /// Writes identity version `expected + 1` if the grant lives and its identity session has
    /// version `expected`; the life of the grant stays as it is.
    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable>;

    /// Ends a grant, whatever its version: its record becomes a tombstone for `tombstone_ttl`,
    /// its identity session is erased. Ending an absent or ended grant does nothing.
    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    // --- devices that wait for their grant (RFC 8628); the id is that of the grant to be

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

    /// Remembers a device that waits (version 1) for `ttl`.
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

    /// Opens the grant that a device waits for: as [`Store::replace_device`] and, only if that
    /// writes, as [`Store::open_grant`], both or neither.
    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable>;

    /// Notes that a grant belongs to a holder (a hash of issuer and subject).
    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable>;

    /// The grants noted for a holder; a superset of those that live.
    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable>;
}
