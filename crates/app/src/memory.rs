//! What this process remembers: the store, and the keys it signs with.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use store::{
    Store,
    embedded::{EmbeddedStore, OpenError},
};
use tempfile::TempDir;

use crate::{
    config::{Config, StoreConfig},
    seams::Seams,
    signing_keys::KeyKeeper,
};

/// Name of the embedded store's file in the data directory.
pub(crate) const STORE_FILE: &str = "sessions.redb";

/// The store and the keys of this process.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Arc<KeyKeeper>,
    /// The data directory, which this process holds; none in a rehearsal.
    pub(crate) directory: Option<PathBuf>,
    /// Keeps the directory of a rehearsal until its end.
    _scratch: Option<TempDir>,
}

// === impl Memory ===

impl Memory {
    /// Opens what the configuration names, and makes what is not there yet.
    ///
    /// # Errors
    /// If the store is in use, of a newer release or unusable, or the keys are.
    pub(crate) fn open(config: &Config, seams: &Seams) -> Result<Self> {
        let StoreConfig::Embedded { directory } = &config.store;
        make_private_directory(directory)?;
        let store = EmbeddedStore::open(&directory.join(STORE_FILE), Arc::clone(&seams.clock))?;
        tracing::info!(
            "sessions are kept in the embedded store in {} (no Redis is configured)",
            directory.display()
        );
        Ok(Self {
            store: Arc::new(store),
            keys: Arc::new(KeyKeeper::open(config, directory, &seams.clock)?),
            directory: Some(directory.clone()),
            _scratch: None,
        })
    }

    /// As [`Memory::open`], without a change to what is there: a rehearsal works on a directory
    /// of its own where a running proxy holds the store.
    ///
    /// # Errors
    /// As for [`Memory::open`], but for a store in use.
    pub(crate) fn rehearse(config: &Config, seams: &Seams) -> Result<Self> {
        let StoreConfig::Embedded { directory } = &config.store;
        let path = directory.join(STORE_FILE);
        if path.exists() {
            match EmbeddedStore::open(&path, Arc::clone(&seams.clock)) {
                Ok(store) => drop(store),
                Err(OpenError::InUse { .. }) => {
                    tracing::info!("the store is in use by a running proxy; it is left alone");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let scratch = tempfile::tempdir().context("no temporary directory can be made")?;
        let store =
            EmbeddedStore::open(&scratch.path().join(STORE_FILE), Arc::clone(&seams.clock))?;
        Ok(Self {
            store: Arc::new(store),
            keys: Arc::new(KeyKeeper::open(config, scratch.path(), &seams.clock)?),
            directory: None,
            _scratch: Some(scratch),
        })
    }
}

/// Makes the directory where it is absent, for its owner only.
fn make_private_directory(directory: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| {
            format!(
                "the data directory {} cannot be made; set MCP_AUTH_PROXY_DATA_DIR to one that can",
                directory.display()
            )
        })
}
