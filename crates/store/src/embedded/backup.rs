//! A copy of a live store: one snapshot, written to a new file that is a store of its own.

use std::{
    fs::{self, File},
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use domain::time::Timestamp;
use redb::{Database, ReadOnlyDatabase, ReadableDatabase as _};
use serde::{Deserialize, Serialize};

use super::{
    CACHE_BYTES, EmbeddedStore, OpenError, check_format, create_private, hold,
    record::Fault,
    tables::{self, Snapshot, Tables, Walked},
};
use crate::Bounds;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// When the snapshot was taken.
    pub taken: Timestamp,
    /// Records copied; what had expired is left out.
    pub records: u64,
    /// Damaged records, left out.
    pub damaged: u64,
}

/// Why there is no backup. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something stands in the place of the backup.
    #[error("{path} is there already; name a file that is not, or remove it")]
    Exists {
        /// Where the backup was to go.
        path: PathBuf,
    },
    /// The store could not be read, or the backup not written.
    #[error("the backup {path} could not be written: {reason}")]
    Failed {
        /// Where the backup was to go.
        path: PathBuf,
        /// What the system or the engine says.
        reason: String,
    },
}

/// Why a backup could not take the place of a store. The store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is of another format, or the store that it is to replace is in use.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file is not there, no store, or damaged.
    #[error(
        "the backup {path} cannot be used: {reason}; name a file that `mcp-auth-proxy backup` made"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or the engine says.
        reason: String,
    },
    /// It is a store, but not a backup of one: who copies the file of a running proxy may have
    /// half of a write.
    #[error("{path} is not a backup made by `mcp-auth-proxy backup`")]
    NoBackup {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be copied or moved.
    #[error("{path} could not be put into its place: {source}")]
    Failed {
        /// The store file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

// === impl EmbeddedStore ===

impl EmbeddedStore {
    /// Copies the store as it is at this moment into a new file (readable by its owner only),
    /// while it goes on being used. The file appears once it is complete and durable. Blocks.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        // The engine panics where pages of its file make no sense.
        let copied = panic::catch_unwind(AssertUnwindSafe(|| {
            copy_to(&self.database, to, self.clock.now())
        }));
        copied.unwrap_or_else(|_| {
            Err(BackupError::Failed {
                path: to.to_owned(),
                reason: "part of the store is damaged and cannot be read".to_owned(),
            })
        })
    }
}

/// Reads what a backup says of itself.
///
/// # Errors
/// If the file is no backup.
pub fn read_backup(path: &Path) -> Result<Backup, RestoreError> {
    let read = || {
        let transaction = ReadOnlyDatabase::open(path)?.begin_read()?;
        tables::marks_of_backup(&transaction)
    };
    let (format, backup) = read().map_err(|error: redb::Error| RestoreError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    check_format(path, format)?;
    backup.ok_or_else(|| RestoreError::NoBackup {
        path: path.to_owned(),
    })
}

/// Puts a copy of a backup into the place of a store that no process holds. The replaced file is
/// kept beside it, under the name that is returned.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    backup: &Path,
    store: &Path,
    now: Timestamp,
) -> Result<Option<PathBuf>, RestoreError> {
    let failed = |source: io::Error| RestoreError::Failed {
        path: store.to_owned(),
        source,
    };
    // Keeps a proxy from starting on it meanwhile.
    let _held = match hold_if_there(store) {
        Err(error @ OpenError::InUse { .. }) => return Err(error.into()),
        // One that cannot be opened is what a backup is for.
        held => held.ok(),
    };
    read_backup(backup)?;
    let unfinished = store.with_extension("restoring");
    remove_if_there(&unfinished).map_err(failed)?;
    create_private(&unfinished).map_err(failed)?;
    io::copy(
        &mut File::open(backup).map_err(failed)?,
        &mut fs::OpenOptions::new()
            .write(true)
            .open(&unfinished)
            .map_err(failed)?,
    )
    .map_err(failed)?;
    if let Err(reason) = check_integrity(&unfinished) {
        remove_if_there(&unfinished).map_err(failed)?;
        let path = backup.to_owned();
        return Err(RestoreError::Unusable { path, reason });
    }
    File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    let kept = store.with_extension(format!("before-{}", now.as_unix()));
    let kept = match fs::rename(store, &kept) {
        Ok(()) => Some(kept),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    fs::rename(&unfinished, store)
        .and_then(|()| sync_directory(store))
        .map_err(failed)?;
    Ok(kept)
}

fn copy_to(database: &Database, path: &Path, now: Timestamp) -> Result<Backup, BackupError> {
    let failed = |reason: String| BackupError::Failed {
        path: path.to_owned(),
        reason,
    };
    if path.exists() {
        return Err(BackupError::Exists {
            path: path.to_owned(),
        });
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let io_failed = |error: io::Error| failed(error.to_string());
    remove_if_there(&unfinished).map_err(io_failed)?;
    create_private(&unfinished).map_err(io_failed)?;
    let copied = copy(database, &unfinished, now).inspect_err(|_| {
        drop(fs::remove_file(&unfinished));
    });
    let backup = copied.map_err(|fault| failed(fault.to_string()))?;
    // Unlike `rename`, this never takes the place of a file that came meanwhile.
    fs::hard_link(&unfinished, path)
        .and_then(|()| fs::remove_file(&unfinished))
        .and_then(|()| sync_directory(path))
        .map_err(io_failed)?;
    Ok(backup)
}

fn copy(database: &Database, path: &Path, now: Timestamp) -> Result<Backup, Fault> {
    let from = database.begin_read()?;
    let from = Snapshot::open(&from)?;
    let target = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(redb::Error::from)?;
    tables::prepare(&target)?;
    let transaction = target.begin_write()?;
    let Walked { sound, damaged, .. } =
        Tables::open(&transaction, Bounds::DEFAULT, now)?.copy(&from)?;
    let backup = Backup {
        taken: now,
        records: sound,
        damaged: u64::try_from(damaged.len()).unwrap_or(u64::MAX),
    };
    tables::mark_backup(&transaction, &backup)?;
    transaction.commit()?;
    Ok(backup)
}

fn hold_if_there(store: &Path) -> Result<Option<Database>, OpenError> {
    store.exists().then(|| hold(store)).transpose()
}

/// Compares all of a file with its checksums; the error says what is wrong with it.
fn check_integrity(path: &Path) -> Result<(), String> {
    let mut database = hold(path).map_err(|error| error.to_string())?;
    match database.check_integrity() {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is damaged".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A name is durable once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
