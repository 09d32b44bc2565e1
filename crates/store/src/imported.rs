//! Tokens of another server that were taken over.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::StoreUnavailable;

/// Names what was taken over: a hash of it.
pub type ImportedName = [u8; 32];

/// What is remembered of a session that another server began.
#[async_trait]
pub trait ImportedStore: Send + Sync + fmt::Debug {
    /// Remembers a record for `ttl`, unless there is one by that name; returns the one that there
    /// is now. What was remembered first stays.
    async fn put_imported(
        &self,
        name: &ImportedName,
        record: Vec<u8>,
        ttl: Duration,
    ) -> Result<Vec<u8>, StoreUnavailable>;

    /// Reads a record.
    async fn load_imported(&self, name: &ImportedName)
    -> Result<Option<Vec<u8>>, StoreUnavailable>;

    /// Whether there may be any such record at all. Where there is none, nobody need be looked up.
    async fn holds_imported(&self) -> Result<bool, StoreUnavailable>;
}
