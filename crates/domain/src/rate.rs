//! How much somebody may do in a time: a budget that comes back bit by bit (the generic cell rate
//! algorithm). Pure arithmetic; who counts where, and by which clock, is for the callers.

#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, time::Duration};

/// How much at once, and how long it takes until one more is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    at_once: NonZeroU32,
    each: Duration,
}

/// What somebody has used up: when all of it will be made up for, as time since a beginning that
/// the caller chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget(Duration);

/// How somebody stands in a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which budget it is, as askers are told: letters and hyphens.
    pub policy: &'static str,
    /// How much may be done at once.
    pub quota: u32,
    /// How long it takes until a budget that was used up is whole again.
    pub window: Duration,
    /// How much may be done at once now.
    pub left: u32,
    /// Until the budget is whole again; where nothing is left, until one more is let in.
    pub resets_in: Duration,
}

// === impl Rate ===

impl Rate {
    /// So many at once, and one more after each such time; `None` for a time of no length, which
    /// would be no bound at all. Times are kept in whole microseconds, rounded up.
    pub fn new(at_once: NonZeroU32, each: Duration) -> Option<Self> {
        let each = Duration::from_micros(micros(each));
        (!each.is_zero()).then_some(Self { at_once, each })
    }

    /// So many in a window.
    pub fn in_window(requests: NonZeroU32, window: Duration) -> Option<Self> {
        Self::new(requests, window / requests.get())
    }

    /// The same, so many times wider.
    #[must_use]
    pub fn times(self, factor: NonZeroU32) -> Self {
        let each = Duration::from_micros(micros(self.each / factor.get()).max(1));
        Self {
            at_once: self.at_once.saturating_mul(factor),
            each,
        }
    }

    /// How much at once.
    pub const fn at_once(self) -> u32 {
        self.at_once.get()
    }

    /// How long until one more.
    pub const fn each(self) -> Duration {
        self.each
    }

    /// How long until a budget that was used up is whole again.
    pub const fn window(self) -> Duration {
        self.each.saturating_mul(self.at_once.get())
    }

    /// How long somebody who owes `debt` waits until so many more are let in.
    pub const fn wait(self, debt: Duration, units: u32) -> Duration {
        let owed = debt.saturating_add(self.each.saturating_mul(units));
        owed.saturating_sub(self.window())
    }

    /// How somebody who owes `debt` stands.
    pub fn standing(self, policy: &'static str, debt: Duration) -> Standing {
        let free = self.window().saturating_sub(debt);
        let left = free.as_micros() / self.each.as_micros().max(1);
        let left = u32::try_from(left).unwrap_or(u32::MAX).min(self.at_once());
        Standing {
            policy,
            quota: self.at_once(),
            window: self.window(),
            left,
            resets_in: if left == 0 { self.wait(debt, 1) } else { debt },
        }
    }
}

// === impl Budget ===

impl Budget {
    /// What is still owed for what was done.
    pub const fn debt(self, now: Duration) -> Duration {
        self.0.saturating_sub(now)
    }

    /// Charges so many.
    ///
    /// # Errors
    /// If that is more than is left: with the time to wait. Nothing is charged then.
    pub fn charge(&mut self, rate: Rate, units: u32, now: Duration) -> Result<(), Duration> {
        let wait = rate.wait(self.debt(now), units);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.0 = self
            .0
            .max(now)
            .saturating_add(rate.each.saturating_mul(units));
        Ok(())
    }

    /// Takes a charge back.
    pub const fn give_back(&mut self, rate: Rate, units: u32) {
        self.0 = self.0.saturating_sub(rate.each.saturating_mul(units));
    }

    /// Owes at least so much from now on, since others have used it too.
    pub fn owe(&mut self, debt: Duration, now: Duration) {
        self.0 = self.0.max(now.saturating_add(debt));
    }
}

// === impl Standing ===

impl Standing {
    /// What a budget of nothing says, where everything is refused.
    pub const fn of_nothing(policy: &'static str, window: Duration) -> Self {
        Self {
            policy,
            quota: 0,
            window,
            left: 0,
            resets_in: window,
        }
    }

    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, since 08).
    pub fn policy_header(&self) -> String {
        let (policy, quota) = (self.policy, self.quota);
        let window = whole_seconds(self.window);
        format!("\"{policy}\";q={quota};w={window}")
    }

    /// The value of `RateLimit`.
    pub fn header(&self) -> String {
        let (policy, left) = (self.policy, self.left);
        let resets_in = whole_seconds(self.resets_in);
        format!("\"{policy}\";r={left};t={resets_in}")
    }
}

/// Whole seconds, a begun one counted whole: whoever waits so long need not wait again.
pub const fn whole_seconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_add(if time.subsec_nanos() > 0 { 1 } else { 0 })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}
