//! What is remembered: the [`Store`] trait, named by intent, the seal, and two engines: one file for
//! one machine, a Redis or Valkey for several.
//!
//! The rules live in Rust above this crate and are the same for every engine; an engine only
//! compares and sets on a version. Values are opaque bytes that callers have sealed or hashed
//! where they must be.

pub mod embedded;
pub mod redis;
pub mod seal;

#[cfg(test)]
mod contract;
mod stored;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::id::{ClientId, GrantId};

pub use stored::{
    DeviceApproval, DeviceReplaced, Lease, Replaced, Settled, StoredDevice, StoredGrant,
    StoredIdentity,
};

/// The store did not answer, or not in time. A passing fault: nobody's session may end for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store is not available: {0}")]
pub struct StoreUnavailable(pub String);

/// Names one write, so that a write that was sent twice is recognised as the same.
pub type OperationId = [u8; 8];

/// Names one who refreshes an identity session.
pub type LeaseHolder = [u8; 16];

/// Hears what other processes do to the grants of a shared store. Called from the connection, so
/// nothing here may block.
pub trait Ears: Send + Sync + fmt::Debug {
    /// A grant was ended, by whomever.
    fn ended(&self, grant: &GrantId);

    /// Listening began (anew): what was announced before may have been missed.
    fn began(&self);

    /// All that was announced until then has been heard.
    fn confirmed(&self, as_of: Instant);

    /// Nothing is heard any more. `is_reached` where the store itself answers.
    fn interrupted(&self, is_reached: bool);
}

/// How many records of each kind that strangers can make are kept; the oldest go first.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Registrations that never led to a login.
    unused_clients: u64,
    /// Anybody can begin one, each lives an hour, and one may be 30 KB large. Honest people do not
    /// begin so many in an hour.
    interactions: u64,
}

// === impl Bounds ===

impl Bounds {
    const DEFAULT: Self = Self {
        unused_clients: 100_000,
        interactions: 20_000,
    };
}

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

    /// Asks for the sole right to refresh the identity session of version `expected` for `life`;
    /// asked again by its holder it begins anew. Whoever holds it without leave for longer loses
    /// it, and may still settle: the version decides.
    ///
    /// A store that one process holds needs no leases: there are no others.
    async fn lease_refresh(
        &self,
        grant: &GrantId,
        expected: u64,
        holder: &LeaseHolder,
        life: Duration,
    ) -> Result<Lease, StoreUnavailable> {
        let _ = (grant, expected, holder, life);
        Ok(Lease::Taken { earlier: None })
    }

    /// Gives the right back. That the holder has tried stays on record: it may not know with what
    /// outcome.
    async fn release_refresh(
        &self,
        grant: &GrantId,
        holder: &LeaseHolder,
    ) -> Result<(), StoreUnavailable> {
        let _ = (grant, holder);
        Ok(())
    }

    /// From now on `ears` hear of grants that end. In a store that one process holds there is
    /// nothing to hear.
    fn listen(&self, ears: Arc<dyn Ears>) {
        drop(ears);
    }

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
