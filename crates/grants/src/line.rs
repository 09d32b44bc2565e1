//! How a line of generations moves. Pure: time, randomness and settings are arguments; the
//! caller writes the result over the version it read.

use std::time::Duration;

use domain::{random::Random, time::Timestamp};
use store::seal::sha256;

use crate::{
    keys::{AddressHash, Root},
    messages::GrantSettings,
    record::{AddressNote, CodeState, Line, RetiredHalf},
};

/// Life of a code, and the slack in which its record outlives it.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(60);
/// Life of the record until its code is redeemed.
pub(crate) const UNREDEEMED_LIFE: Duration = Duration::from_secs(90);
/// How many issue times are kept.
const MAX_ISSUED: usize = 16;
/// How many networks are kept.
const MAX_ADDRESSES: usize = 8;
/// How many retired halves are kept: more than a grant of 90 days has.
const MAX_RETIRED: usize = 16;
/// Least time between two moves of the refresh pads; a replaced token opens at least so long.
pub(crate) const REFRESH_PAD_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A late use moves the end at most so often.
const LATE_END_STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What moving a line needs beside the line.
#[derive(Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Timestamp,
    pub(crate) settings: &'a GrantSettings,
    pub(crate) random: &'a dyn Random,
}

// === impl Line ===

impl Line {
    /// Redeems the code: generation 1 goes to this address.
    pub(crate) fn redeem(&mut self, address: AddressHash, idle: Duration, moment: Moment<'_>) {
        self.adopt_redemption(moment.now);
        self.issue_until(1, moment.now);
        self.note_address(address, self.generation);
        self.move_end(idle, moment.now);
    }

    /// Answers the present refresh token, or one of a generation that the store lost, with the
    /// next generation.
    pub(crate) fn advance(
        &mut self,
        shown: u32,
        address: AddressHash,
        root: &Root<'_>,
        moment: Moment<'_>,
    ) {
        self.adopt(shown, moment.now);
        self.code = CodeState::Dropped;
        self.issue_until(self.generation.saturating_add(1), moment.now);
        self.move_refresh_pads(root, moment);
        self.move_access_pads(moment);
        self.note_address(address, self.generation);
        self.move_end(moment.settings.refresh_idle, moment.now);
    }

    /// Answers a client that authenticates: its refresh token stays, its session goes on.
    pub(crate) fn prolong(&mut self, shown: u32, address: AddressHash, moment: Moment<'_>) {
        self.adopt(shown, moment.now);
        self.code = CodeState::Dropped;
        self.move_access_pads(moment);
        self.note_address(address, self.generation);
        self.move_end(moment.settings.refresh_idle, moment.now);
    }

    /// Answers a replaced token with the present generation. Says whether there is anything to
    /// write: an address whose entry is older, or an end that moves by a day (or a tenth of a
    /// short idle life).
    pub(crate) fn hand_present(&mut self, address: AddressHash, moment: Moment<'_>) -> bool {
        let is_new_here = self.note_address(address, self.generation);
        let before = self.ends_at;
        let mut moved = self.clone();
        moved.move_end(moment.settings.refresh_idle, moment.now);
        let step = LATE_END_STEP.min(moment.settings.refresh_idle / 10);
        let moves = moved.ends_at.since(before) > step;
        if is_new_here || moves {
            self.ends_at = moved.ends_at;
        }
        is_new_here || moves
    }

    /// Marks a generation as seen in use from an address. Says whether that was news.
    pub(crate) fn mark_seen(
        &mut self,
        generation: u32,
        address: AddressHash,
        moment: Moment<'_>,
    ) -> bool {
        let is_lost_redemption = self.is_unredeemed();
        if is_lost_redemption {
            self.adopt_redemption(moment.now);
            self.move_end(moment.settings.refresh_idle, moment.now);
        }
        let is_newer = generation > self.newest_seen;
        self.newest_seen = self.newest_seen.max(generation);
        self.note_address(address, generation) || is_newer || is_lost_redemption
    }

    /// When a generation was replaced, that is when the one after it was issued; `None` where
    /// that is no longer kept, and for the present one.
    pub(crate) fn replaced_at(&self, generation: u32) -> Option<Timestamp> {
        self.issued_at(generation.checked_add(1)?)
    }

    /// When a generation was issued; `None` where that is no longer kept.
    pub(crate) fn issued_at(&self, generation: u32) -> Option<Timestamp> {
        let back = usize::try_from(self.generation.checked_sub(generation)?).ok()?;
        let newest = self.issued.len().checked_sub(1)?;
        self.issued.get(newest.checked_sub(back)?).copied()
    }

    /// The newest generation known to have reached an address.
    pub(crate) fn newest_at(&self, address: &AddressHash) -> Option<u32> {
        self.addresses
            .iter()
            .find(|note| note.address == *address)
            .map(|note| note.generation)
    }

    /// How long the record is to be kept from now.
    pub(crate) fn remaining(&self, now: Timestamp) -> Duration {
        self.ends_at.since(now)
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    fn is_unredeemed(&self) -> bool {
        matches!(self.code, CodeState::Open { .. } | CodeState::AtDevice)
    }

    /// A refresh token proves that its generation was issued and has arrived, even where the
    /// store forgot it in a failover.
    fn adopt(&mut self, shown: u32, now: Timestamp) {
        if self.is_unredeemed() {
            self.adopt_redemption(now);
        }
        self.issue_until(shown, now);
        self.newest_seen = self.newest_seen.max(shown);
    }

    /// The pad is erased: a used code stands in URLs and must open nothing.
    fn adopt_redemption(&mut self, now: Timestamp) {
        let code = std::mem::replace(&mut self.code, CodeState::Dropped);
        self.code = match code {
            CodeState::Open { proof, .. } => CodeState::Redeemed { at: now, proof },
            CodeState::AtDevice => CodeState::Dropped,
            redeemed @ (CodeState::Redeemed { .. } | CodeState::Dropped) => redeemed,
        };
    }

    fn issue_until(&mut self, generation: u32, now: Timestamp) {
        let missing = generation.saturating_sub(self.generation);
        for _ in 0..usize::try_from(missing)
            .unwrap_or(MAX_ISSUED)
            .min(MAX_ISSUED)
        {
            self.issued.push(now);
        }
        let excess = self.issued.len().saturating_sub(MAX_ISSUED);
        self.issued.drain(..excess);
        self.generation = self.generation.max(generation);
    }

    /// Keeps the newest generation of an address; where there are too many, the address with the
    /// oldest one goes. Says whether anything changed.
    pub(crate) fn note_address(&mut self, address: AddressHash, generation: u32) -> bool {
        if let Some(note) = self
            .addresses
            .iter_mut()
            .find(|note| note.address == address)
        {
            let is_news = note.generation < generation;
            note.generation = note.generation.max(generation);
            return is_news;
        }
        if self.addresses.len() >= MAX_ADDRESSES {
            let oldest = self
                .addresses
                .iter()
                .enumerate()
                .min_by_key(|(_, note)| note.generation);
            match oldest {
                Some((_, note)) if note.generation > generation => return false,
                Some((index, _)) => drop(self.addresses.remove(index)),
                None => {}
            }
        }
        self.addresses.push(AddressNote {
            address,
            generation,
        });
        true
    }

    fn move_end(&mut self, idle: Duration, now: Timestamp) {
        self.ends_at = self.absolute_end.min(now.plus(idle));
    }

    fn move_refresh_pads(&mut self, root: &Root<'_>, moment: Moment<'_>) {
        if moment.now.since(self.refresh_pads.since) < REFRESH_PAD_LIFE {
            return;
        }
        if let Some(erased) = &self.refresh_pads.previous {
            self.retired
                .push(retired_half(root.half(&erased.0).expose()));
            let excess = self.retired.len().saturating_sub(MAX_RETIRED);
            self.retired.drain(..excess);
        }
        self.refresh_pads.advance(moment.random, moment.now);
    }

    /// One access life after the last move nothing issued under the previous pad lives any more.
    fn move_access_pads(&mut self, moment: Moment<'_>) {
        let life = moment.settings.access_life + moment.settings.access_grace();
        if moment.now.since(self.access_pads.since) >= life {
            self.access_pads.advance(moment.random, moment.now);
        }
    }
}

/// What is kept of the half of a refresh token once its pad is gone.
pub(crate) fn retired_half(half: &[u8; 32]) -> RetiredHalf {
    // 16 of 32 bytes are always there.
    sha256(half).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
