//! A store that a test can take away.

mod budgets;
mod clients;
mod devices;
mod grants;
mod imported;
mod interactions;

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{Store, StoreUnavailable, embedded::EmbeddedStore};

/// The embedded store behind a switch, and a counter of what it is asked.
#[derive(Debug)]
pub struct SwitchedStore {
    inner: RwLock<Option<Arc<EmbeddedStore>>>,
    is_away: AtomicBool,
    /// Writes are done, but the answer is lost.
    loses_answers: AtomicBool,
    commands: AtomicUsize,
    /// After so many commands it is away.
    fuse: AtomicUsize,
}

// === impl SwitchedStore ===

impl SwitchedStore {
    /// Switched on.
    pub fn new(inner: EmbeddedStore) -> Self {
        Self {
            inner: RwLock::new(Some(Arc::new(inner))),
            is_away: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            commands: AtomicUsize::new(0),
            fuse: AtomicUsize::new(usize::MAX),
        }
    }

    /// Takes the store away, or brings it back.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Does so many commands more, and none after that.
    pub fn break_off_after(&self, commands: usize) {
        let last = self.commands().saturating_add(commands);
        self.fuse.store(last, Ordering::SeqCst);
    }

    /// The answer to the next write of a grant or device is lost.
    pub fn lose_next_answer(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }

    /// How much the store was asked.
    pub fn commands(&self) -> usize {
        self.commands.load(Ordering::SeqCst)
    }

    /// Gives the file free, as the end of a process does.
    pub fn close(&self) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        drop(inner.take());
    }

    fn reach(&self) -> Result<Arc<EmbeddedStore>, StoreUnavailable> {
        let before = self.commands.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) || before >= self.fuse.load(Ordering::SeqCst) {
            return Err(StoreUnavailable("switched off".to_owned()));
        }
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let inner = inner.clone();
        inner.ok_or_else(|| StoreUnavailable("closed".to_owned()))
    }

    fn answer<T>(&self, answer: T) -> Result<T, StoreUnavailable> {
        if self.loses_answers.swap(false, Ordering::SeqCst) {
            return Err(StoreUnavailable("the answer was lost".to_owned()));
        }
        Ok(answer)
    }
}

impl Store for SwitchedStore {
    fn is_shared(&self) -> bool {
        false
    }
}
