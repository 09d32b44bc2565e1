//! Registrations of clients.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::id::ClientId;

use crate::StoreUnavailable;

/// What clients have registered.
#[async_trait]
pub trait ClientStore: Send + Sync + fmt::Debug {
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
}
