//! Logins under way, and what counts once.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::StoreUnavailable;

/// Interactions, the `state`s that lead back to them, and marks of what was used.
#[async_trait]
pub trait InteractionStore: Send + Sync + fmt::Debug {
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

    /// Remembers a mark (a hash) for `ttl`; `true` for the first who does, `false` while it is
    /// remembered.
    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable>;
}
