//! Tokens of another server, each under its hash.

use std::time::Duration;

use async_trait::async_trait;

use super::{EmbeddedStore, key::Key};
use crate::{ImportedName, ImportedStore, StoreUnavailable};

// === impl EmbeddedStore ===

#[async_trait]
impl ImportedStore for EmbeddedStore {
    async fn put_imported(
        &self,
        name: &ImportedName,
        record: Vec<u8>,
        ttl: Duration,
    ) -> Result<Vec<u8>, StoreUnavailable> {
        let key = Key::imported(Some(name));
        self.write(move |tables| {
            if let Some(stood) = tables.value(&key)? {
                return Ok(stood);
            }
            tables.put(&key, &record, ttl)?;
            Ok(record)
        })
        .await
    }

    async fn load_imported(
        &self,
        name: &ImportedName,
    ) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.read_one(Key::imported(Some(name))).await
    }

    async fn holds_imported(&self) -> Result<bool, StoreUnavailable> {
        self.read(|snapshot, _| snapshot.has_any(&Key::imported(None)))
            .await
    }
}
