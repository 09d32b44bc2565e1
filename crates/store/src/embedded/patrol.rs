//! Looks at all records in turn, so that damage is named while there is a backup from before it.

use std::{
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use redb::{Database, ReadableDatabase as _};

use super::{
    name_damage,
    record::Fault,
    tables::{Snapshot, Walked},
};

/// Records in one look: about a megabyte.
const LOOK: usize = 512;

/// A million records are looked at in three hours.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Patrol {
    path: PathBuf,
    database: Arc<Database>,
    /// The last record looked at.
    last: Option<Vec<u8>>,
    next: Instant,
}

// === impl Patrol ===

impl Patrol {
    pub(super) fn new(path: &Path, database: Arc<Database>) -> Self {
        Self {
            path: path.to_owned(),
            database,
            last: None,
            next: Instant::now(),
        }
    }

    /// Looks at the next records, if it is time.
    pub(super) fn step(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + PAUSE;
        // The engine panics where pages of its file make no sense.
        match panic::catch_unwind(AssertUnwindSafe(|| self.look())) {
            Ok(Ok(walked)) => {
                for damage in walked.damaged {
                    name_damage(&self.path, damage);
                }
                self.last = walked.last;
            }
            Ok(Err(fault)) => self.unreadable(&fault.to_string()),
            Err(_) => self.unreadable("its pages make no sense"),
        }
    }

    fn look(&self) -> Result<Walked, Fault> {
        let transaction = self.database.begin_read()?;
        Snapshot::open(&transaction)?.walk(self.last.as_deref(), LOOK)
    }

    /// What lies behind cannot be reached from here.
    fn unreadable(&mut self, reason: &str) {
        tracing::error!(
            file = %self.path.display(),
            cause = reason,
            "the store is damaged: part of it cannot be read, and requests that need that part are \
             answered 503. Bring it back from a backup (`mcp-auth-proxy restore`)"
        );
        self.last = None;
    }
}
