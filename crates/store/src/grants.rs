//! Grants, their identity sessions, and who may refresh one.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::id::GrantId;

use crate::{Lease, OperationId, Replaced, Settled, StoreUnavailable, StoredGrant};

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

/// Grants and identity sessions, the leases of their refreshes, and who holds them.
#[async_trait]
pub trait GrantStore: Send + Sync + fmt::Debug {
    /// Remembers a new grant (version 1) and its identity session (version 1). One that is there,
    /// ended or not, stays as it is: the step came twice.
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
    /// version `expected`, or an older one, which is what the loss of a newer leaves: what is written
    /// may be the only copy. The life of the grant stays as it is.
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
