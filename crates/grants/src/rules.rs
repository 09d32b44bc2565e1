//! Which refresh tokens are honoured: one line of generations, in which a replaced token gets the
//! present generation, never a branch.

use std::time::Duration;

use domain::time::Timestamp;

use crate::{keys::AddressHash, record::Line};

/// What an authentic refresh token, shown by its own client, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Of the present generation.
    Present,
    /// Of a generation that the store lost: to be adopted.
    Newer,
    /// Replaced, and honoured.
    Late(LateRule),
    /// Replaced, and outside of every rule: a theft signal.
    Theft,
}

/// Why a replaced token is honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LateRule {
    /// No later generation was seen in use: the answer was lost.
    LostAnswer,
    /// Within the window from its replacement: a sibling refreshes at most one access life later.
    Window,
    /// From an address to which a strictly later generation was handed, or from which one was
    /// used: siblings on one machine.
    KnownAddress,
    /// Taken over from the predecessor and never shown here before: it was not replaced, but
    /// another of its session was.
    NeverShown,
}

/// Judges a refresh token. A window of zero is strict: no replaced token is honoured.
pub(crate) fn judge(
    shown: u32,
    line: &Line,
    address: &AddressHash,
    window: Duration,
    now: Timestamp,
) -> Verdict {
    if let Some(verdict) = judge_anywhere(shown, line, window, now) {
        return verdict;
    }
    if !window.is_zero() && line.newest_at(address).is_some_and(|newest| newest > shown) {
        return Verdict::Late(LateRule::KnownAddress);
    }
    Verdict::Theft
}

/// The same, as far as it does not depend on who shows the token; `None` where the address
/// decides.
pub(crate) fn judge_anywhere(
    shown: u32,
    line: &Line,
    window: Duration,
    now: Timestamp,
) -> Option<Verdict> {
    if shown == line.generation {
        return Some(Verdict::Present);
    }
    if shown > line.generation {
        return Some(Verdict::Newer);
    }
    if window.is_zero() {
        return None;
    }
    if line.newest_seen <= shown {
        return Some(Verdict::Late(LateRule::LostAnswer));
    }
    is_within_window(shown, line, window, now).then_some(Verdict::Late(LateRule::Window))
}

/// Where a generation is so old that its replacement is no longer on record, the oldest one that
/// is decides: many generations within one window are hasty siblings, not a thief.
fn is_within_window(shown: u32, line: &Line, window: Duration, now: Timestamp) -> bool {
    line.replaced_at(shown)
        .or_else(|| line.issued.first().copied())
        .is_some_and(|replaced| now.since(replaced) <= window)
}

#[cfg(test)]
mod tests;
