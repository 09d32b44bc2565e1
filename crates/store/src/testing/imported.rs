//! Tokens of another server that were taken over.

use std::time::Duration;

use async_trait::async_trait;

use super::SwitchedStore;
use crate::{ImportedName, ImportedStore, StoreUnavailable};

// === impl SwitchedStore ===

#[async_trait]
impl ImportedStore for SwitchedStore {
    async fn put_imported(
        &self,
        name: &ImportedName,
        record: Vec<u8>,
        ttl: Duration,
    ) -> Result<Vec<u8>, StoreUnavailable> {
        let stands = self.reach()?.put_imported(name, record, ttl).await?;
        self.answer(stands)
    }

    async fn load_imported(
        &self,
        name: &ImportedName,
    ) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.reach()?.load_imported(name).await
    }

    async fn holds_imported(&self) -> Result<bool, StoreUnavailable> {
        self.reach()?.holds_imported().await
    }
}
