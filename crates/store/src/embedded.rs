//! The embedded engine: one crash-safe file for one machine.
//!
//! One table of records by key, each with its deadline in front; an index by deadline whose
//! entries are hints (a record that was extended leaves its older hints behind), swept in small
//! steps beside the writes. Reads judge expiry by the record. Writes go through one thread that
//! commits what is queued, so that many waiters share one flush.

mod backup;
mod budgets;
mod clients;
mod devices;
mod grants;
mod imported;
mod interactions;
mod key;
mod patrol;
mod record;
mod records;
mod tables;
mod writer;

use std::{
    cmp::Ordering,
    fmt, fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::time::{Clock, Timestamp};
use redb::{Database, DatabaseError, ReadableDatabase as _};

pub use self::backup::{Backup, BackupError, RestoreError, read_backup, restore};
use self::{
    key::Key,
    record::{Damage, Fault},
    tables::{FORMAT, Tables},
    writer::Writer,
};
use crate::{Bounds, Store, StoreUnavailable};

/// redb's own default is 1 GiB; a session's record is small and served from our own cache.
const CACHE_BYTES: usize = 16 << 20;

/// A store in one file, held by one process.
pub struct EmbeddedStore {
    path: PathBuf,
    database: Arc<Database>,
    writer: Writer,
    clock: Arc<dyn Clock>,
}

/// Why a store file cannot be used. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error(
        "the store {path} is in use by another process{}; stop that one, or give this one a data \
         directory of its own",
        holder.map(|pid| format!(" (process id {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The store file.
        path: PathBuf,
        /// Process id of the holder, where it could be read.
        holder: Option<u32>,
    },
    /// Written by a later release.
    #[error(
        "the store {path} has format {found}, this release reads up to {FORMAT}; start the newer \
         release again, or give this one a data directory of its own"
    )]
    Newer {
        /// The store file.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
    /// Written before the first release.
    #[error(
        "the store {path} has format {found}, which was never released; remove the file (everybody \
         logs in anew), or give this process a data directory of its own"
    )]
    Older {
        /// The store file.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
    /// The file or its directory cannot be read or written.
    #[error("the store {path} cannot be opened: {reason}")]
    Unusable {
        /// The store file.
        path: PathBuf,
        /// What the system or the engine says.
        reason: String,
    },
}

// === impl EmbeddedStore ===

impl EmbeddedStore {
    /// Opens the store file, made when absent (readable by its owner only). Blocks: to be called
    /// at the start.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_bounded(path, clock, Bounds::DEFAULT)
    }

    fn open_bounded(path: &Path, clock: Arc<dyn Clock>, bounds: Bounds) -> Result<Self, OpenError> {
        let unusable = |reason: String| OpenError::Unusable {
            path: path.to_owned(),
            reason,
        };
        create_private(path).map_err(|error| unusable(error.to_string()))?;
        let database = hold(path)?;
        let found = tables::prepare(&database).map_err(|error| unusable(error.to_string()))?;
        check_format(path, found)?;
        fs::write(holder_path(path), std::process::id().to_string())
            .map_err(|error| unusable(error.to_string()))?;
        let database = Arc::new(database);
        let writer = Writer::start(path, Arc::clone(&database), Arc::clone(&clock), bounds)
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            database,
            writer,
            clock,
        })
    }

    /// The store file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads in one snapshot, off the runtime's workers.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&tables::Snapshot, Timestamp) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        let database = Arc::clone(&self.database);
        let now = self.clock.now();
        tokio::task::spawn_blocking(move || {
            let transaction = database.begin_read()?;
            read(&tables::Snapshot::open(&transaction)?, now)
        })
        .await
        .map_err(|error| StoreUnavailable(error.to_string()))?
        .map_err(|fault| match fault {
            Fault::Damaged(damage) => self.damaged(damage),
            Fault::Engine(error) => StoreUnavailable(error.to_string()),
        })
    }

    /// One atomic step, durable when this returns.
    async fn write<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreUnavailable> {
        self.writer
            .submit(step)
            .await?
            .map_err(|damage| self.damaged(damage))
    }

    /// Nothing damaged is taken for absent: a session that can be brought back from a backup does
    /// not end.
    fn damaged(&self, damage: Damage) -> StoreUnavailable {
        name_damage(&self.path, damage);
        StoreUnavailable(damage.to_string())
    }

    async fn read_one(&self, key: Key) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.read(move |snapshot, now| snapshot.value(&key, now))
            .await
    }

    async fn put(&self, key: Key, value: Vec<u8>, ttl: Duration) -> Result<(), StoreUnavailable> {
        self.write(move |tables| tables.put(&key, &value, ttl))
            .await
    }

    async fn take(&self, key: Key) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.write(move |tables| {
            let value = tables.value(&key)?;
            tables.remove(&key)?;
            Ok(value)
        })
        .await
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Store for EmbeddedStore {
    fn is_shared(&self) -> bool {
        false
    }
}

/// Names the damage for the operator.
fn name_damage(path: &Path, damage: Damage) {
    tracing::error!(
        file = %path.display(),
        record = damage.kind,
        "a record of the store is damaged; it is left as it is, and requests that need it are \
         answered 503. Bring the store back from a backup (`mcp-auth-proxy restore`): one made \
         now (`mcp-auth-proxy backup`) holds all but what is damaged"
    );
}

/// Opens a file that exists, for this process alone.
fn hold(path: &Path) -> Result<Database, OpenError> {
    let builder = &mut Database::builder();
    let opened = builder.set_cache_size(CACHE_BYTES).create(path);
    opened.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse {
            path: path.to_owned(),
            holder: read_holder(path),
        },
        error => OpenError::Unusable {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    })
}

fn check_format(path: &Path, found: u64) -> Result<(), OpenError> {
    let path = path.to_owned();
    match found.cmp(&FORMAT) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(OpenError::Newer { path, found }),
        Ordering::Less => Err(OpenError::Older { path, found }),
    }
}

/// Makes the file, so that it never exists with wider permissions than its owner's.
fn create_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

fn holder_path(path: &Path) -> PathBuf {
    path.with_extension("pid")
}

fn read_holder(path: &Path) -> Option<u32> {
    fs::read_to_string(holder_path(path))
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
