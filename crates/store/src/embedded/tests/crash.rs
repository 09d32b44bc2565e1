//! A disk of memory whose power can fail.

use std::{
    io,
    sync::{Mutex, MutexGuard},
};

use redb::StorageBackend;

use super::*;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is read.
    content: Vec<u8>,
    /// What is left if the power fails.
    durable: Vec<u8>,
    /// What was done since.
    pending: Vec<Change>,
    /// How many changes and flushes are still done.
    left: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

/// What a disk writes whole.
const SECTOR: usize = 512;

// === impl Disk ===

impl Disk {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// After so many changes and flushes nothing works any more.
    pub(super) fn fail_after(&self, changes: u64) {
        self.state().left = Some(changes);
    }

    /// Another disk, with what is left of this one.
    pub(super) fn after_loss_of_power(&self, seed: u64) -> Self {
        let state = self.state();
        let (mut durable, mut dice) = (state.durable.clone(), Dice(seed | 1));
        let mut sectors = Vec::new();
        for change in &state.pending {
            match change {
                Change::Length(length) => sectors.push(Change::Length(*length)),
                Change::Write(offset, bytes) => {
                    let parts = bytes.chunks(SECTOR).enumerate();
                    sectors.extend(parts.map(|(index, part)| {
                        Change::Write(offset + index * SECTOR, part.to_vec())
                    }));
                }
            }
        }
        // Later changes of a sector may be lost where earlier ones are not, and the other way round;
        // some crashes lose all, some nothing.
        let share = dice.next() % 5;
        for change in sectors {
            if dice.next() % 4 < share {
                change.apply(&mut durable);
            }
        }
        Self(Arc::new(Mutex::new(State {
            content: durable.clone(),
            durable,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change(&self, change: &Change) -> Result<(), io::Error> {
        let mut state = self.state();
        // A write that fails may have been done in part.
        state.pending.push(change.clone());
        state.spend()?;
        change.apply(&mut state.content);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.state().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).unwrap();
        let state = self.state();
        let bytes = state.content.get(offset..offset + out.len());
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.change(&Change::Length(usize::try_from(length).unwrap()))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut state = self.state();
        state.spend()?;
        for change in std::mem::take(&mut state.pending) {
            change.apply(&mut state.durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), io::Error> {
        let offset = usize::try_from(offset).unwrap();
        self.change(&Change::Write(offset, bytes.to_vec()))
    }
}

// === impl State ===

impl State {
    fn spend(&mut self) -> Result<(), io::Error> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

// === impl Change ===

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Write(offset, bytes) => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

/// Numbers that look random, and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
}
