//! The records of one store into another: the source stays whole until its mark, which comes last
//! but for taking the target's off. Whatever interrupts it, it can be done again.
//!
//! 1. The target is marked *arriving* and emptied. A proxy refuses to start on it.
//! 2. Page by page is copied.
//! 3. The source is marked *away*. From here on the target counts.
//! 4. The target's mark is taken off.
//!
//! An interruption before 3 leaves the source as it was, and the next try begins anew with an
//! empty target: what was copied may have gone on at the source meanwhile, and a session that was
//! ended there must not live on. One after 3 leaves both marks, with the same id; the next try
//! does 4.

use std::collections::{BTreeMap, BTreeSet};

use domain::time::Timestamp;

use super::{Kind, MoveId, MoveMark, MoveState, Records, Unreadable};
use crate::StoreUnavailable;

/// A move under way.
#[derive(Debug)]
pub struct Transfer<'a> {
    source: &'a dyn Records,
    target: &'a dyn Records,
    id: MoveId,
    now: Timestamp,
}

/// What a move was asked to do.
#[derive(Clone, Copy, Debug)]
pub struct TransferOptions {
    /// Names this move.
    pub id: MoveId,
    /// The present, for the marks.
    pub now: Timestamp,
    /// Whether sessions of the target that belong to no move are forgotten.
    pub overwrite: bool,
}

/// How a move begins.
#[derive(Debug)]
pub enum Begun<'a> {
    /// The target is empty and marked.
    Ready(Transfer<'a>),
    /// The source was moved there before; nothing is left to do.
    Before(MoveMark),
}

/// Why a move cannot be done, or went no further. The source is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotMoved {
    /// The source was moved somewhere else.
    #[error("the sessions of {place} were moved to {} before", mark.place)]
    Elsewhere {
        /// The source.
        place: String,
        /// Its mark.
        mark: MoveMark,
    },
    /// The source was itself only half filled.
    #[error(
        "{place} holds only part of the sessions: a move from {} did not end; complete that one \
         first",
        mark.place
    )]
    Incomplete {
        /// The source.
        place: String,
        /// Its mark.
        mark: MoveMark,
    },
    /// The target is used by somebody.
    #[error("{place} holds sessions already")]
    Occupied {
        /// The target.
        place: String,
    },
    /// Another move has taken the target over.
    #[error("another move into {place} began meanwhile")]
    Overtaken {
        /// The target.
        place: String,
    },
    /// One of the two cannot be read or written.
    #[error("{place}: {cause}")]
    Unavailable {
        /// Which.
        place: String,
        /// What it said.
        cause: StoreUnavailable,
    },
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Records by kind.
    pub records: BTreeMap<Kind, u64>,
    /// Records that cannot be read.
    pub unreadable: BTreeSet<Unreadable>,
}

// === impl Transfer ===

impl<'a> Transfer<'a> {
    /// Looks at both stores, and empties and marks the target.
    ///
    /// # Errors
    /// See [`NotMoved`].
    pub async fn begin(
        source: &'a dyn Records,
        target: &'a dyn Records,
        options: TransferOptions,
    ) -> Result<Begun<'a>, NotMoved> {
        if let Some(before) = Self::look(source, Some(target), options.overwrite).await? {
            let theirs = at(target, target.move_mark()).await?;
            if theirs.is_some_and(|theirs| theirs.id == before.id) {
                at(target, target.set_move_mark(None)).await?;
            }
            return Ok(Begun::Before(before));
        }
        let transfer = Self {
            source,
            target,
            id: options.id,
            now: options.now,
        };
        let arriving = transfer.mark(MoveState::Arriving, source.place());
        at(target, target.set_move_mark(Some(&arriving))).await?;
        at(target, target.erase()).await?;
        Ok(Begun::Ready(transfer))
    }

    /// Whether the move can be done, without a change to either store; the mark of one that was
    /// done. Absent is a target that is still to be made.
    ///
    /// # Errors
    /// See [`NotMoved`].
    pub async fn look(
        source: &dyn Records,
        target: Option<&dyn Records>,
        overwrite: bool,
    ) -> Result<Option<MoveMark>, NotMoved> {
        match at(source, source.move_mark()).await? {
            Some(mark) if mark.state == MoveState::Arriving => {
                let place = source.place();
                return Err(NotMoved::Incomplete { place, mark });
            }
            Some(mark) if target.is_some_and(|target| target.place() == mark.place) => {
                return Ok(Some(mark));
            }
            Some(mark) => {
                let place = source.place();
                return Err(NotMoved::Elsewhere { place, mark });
            }
            None => {}
        }
        let Some(target) = target else {
            return Ok(None);
        };
        // What is marked stands elsewhere too: its source, or where it was moved to.
        let is_marked = at(target, target.move_mark()).await?.is_some();
        if !is_marked && !overwrite && holds_any(target).await? {
            let place = target.place();
            return Err(NotMoved::Occupied { place });
        }
        Ok(None)
    }

    /// Counts what a move would copy.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub async fn count(
        source: &dyn Records,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Counted, NotMoved> {
        let mut counted = Counted::default();
        let mut from = None;
        loop {
            let page = at(source, source.read_page(from.as_ref())).await?;
            counted.add(&page);
            progress(counted.total());
            from = page.next;
            if from.is_none() {
                return Ok(counted);
            }
        }
    }

    /// Copies everything; `progress` hears how many records that are so far.
    ///
    /// # Errors
    /// See [`NotMoved`].
    pub async fn copy(&self, mut progress: impl FnMut(u64) + Send) -> Result<Counted, NotMoved> {
        let mut counted = Counted::default();
        let mut from = None;
        loop {
            let page = at(self.source, self.source.read_page(from.as_ref())).await?;
            self.check_target().await?;
            counted.add(&page);
            at(self.target, self.target.write_page(page.records)).await?;
            progress(counted.total());
            from = page.next;
            if from.is_none() {
                return Ok(counted);
            }
        }
    }

    /// Marks the source: from here on the target counts.
    ///
    /// # Errors
    /// See [`NotMoved`].
    pub async fn mark_source(&self) -> Result<(), NotMoved> {
        self.check_target().await?;
        let away = self.mark(MoveState::Away, self.target.place());
        at(self.source, self.source.set_move_mark(Some(&away))).await
    }

    /// Takes the source's mark back: it counts again, and the target is incomplete.
    ///
    /// # Errors
    /// See [`NotMoved`].
    pub async fn unmark_source(&self) -> Result<(), NotMoved> {
        at(self.source, self.source.set_move_mark(None)).await
    }

    /// Lets proxies start on the target.
    ///
    /// # Errors
    /// See [`NotMoved`].
    pub async fn release_target(self) -> Result<(), NotMoved> {
        at(self.target, self.target.set_move_mark(None)).await
    }

    fn mark(&self, state: MoveState, place: String) -> MoveMark {
        MoveMark {
            id: self.id,
            state,
            at: self.now,
            place,
        }
    }

    async fn check_target(&self) -> Result<(), NotMoved> {
        let mark = at(self.target, self.target.move_mark()).await?;
        if mark.is_none_or(|mark| mark.id != self.id) {
            let place = self.target.place();
            return Err(NotMoved::Overtaken { place });
        }
        Ok(())
    }
}

/// Takes the mark off a store, so that proxies start on it again, and returns what it was. What has
/// arrived of a move that did not end is forgotten.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn abandon(store: &dyn Records) -> Result<Option<MoveMark>, NotMoved> {
    let Some(mark) = at(store, store.move_mark()).await? else {
        return Ok(None);
    };
    if mark.state == MoveState::Arriving {
        at(store, store.erase()).await?;
    }
    at(store, store.set_move_mark(None)).await?;
    Ok(Some(mark))
}

async fn holds_any(store: &dyn Records) -> Result<bool, NotMoved> {
    let mut from = None;
    loop {
        let page = at(store, store.read_page(from.as_ref())).await?;
        if !page.records.is_empty() || !page.unreadable.is_empty() {
            return Ok(true);
        }
        from = page.next;
        if from.is_none() {
            return Ok(false);
        }
    }
}

/// Says of which of the two it is that something failed.
async fn at<T>(
    store: &dyn Records,
    step: impl Future<Output = Result<T, StoreUnavailable>> + Send,
) -> Result<T, NotMoved> {
    step.await.map_err(|cause| NotMoved::Unavailable {
        place: store.place(),
        cause,
    })
}

// === impl Counted ===

impl Counted {
    /// All records that can be read.
    pub fn total(&self) -> u64 {
        self.records.values().sum()
    }

    fn add(&mut self, page: &super::Page) {
        for living in &page.records {
            *self.records.entry(living.record.kind()).or_default() += 1;
        }
        self.unreadable.extend(page.unreadable.iter().cloned());
    }
}
