//! Holds back who guesses user codes: by address, and all together (RFC 8628 §5.1).
//!
//! A code has 34 bits and lives 15 minutes. Were a thousand devices to wait at once, all guesses
//! that are let in together would find one of them within a quarter of an hour with a chance of one
//! in 25,000; one address alone, of one in 650,000.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{address::ClientNetwork, time::Timestamp};

/// Wrong codes from one address.
const OF_ADDRESS: Rule = Rule {
    at_once: 10,
    each: Duration::from_secs(30),
};
/// Wrong codes from all addresses.
const OF_ALL: Rule = Rule {
    at_once: 100,
    each: Duration::from_secs(1),
};
/// Addresses remembered. Where there are more, those with the fewest wrong codes go.
const MAX_ADDRESSES: usize = 10_000;

/// How many wrong codes are let in at once, and how long it takes until another one is.
#[derive(Clone, Copy)]
struct Rule {
    at_once: u32,
    each: Duration,
}

/// Wrong codes so far.
#[derive(Default)]
pub(crate) struct CodeGuesses(Mutex<Counted>);

/// A code that was let in, and counts as wrong until it was right.
#[derive(Debug)]
pub(crate) struct Guess(ClientNetwork);

#[derive(Default)]
struct Counted {
    all: Budget,
    addresses: HashMap<ClientNetwork, Budget>,
}

/// When all that was charged will be made up for.
#[derive(Clone, Copy)]
struct Budget(Timestamp);

// === impl CodeGuesses ===

impl CodeGuesses {
    /// Lets a code in.
    ///
    /// # Errors
    /// If the address, or everybody, has to wait: with the time that is left.
    pub(crate) fn begin(&self, network: ClientNetwork, now: Timestamp) -> Result<Guess, Duration> {
        self.with(|counted| {
            let address = counted.addresses.get(&network).copied().unwrap_or_default();
            let wait = address
                .wait(OF_ADDRESS, now)
                .max(counted.all.wait(OF_ALL, now));
            if !wait.is_zero() {
                return Err(wait);
            }
            make_room(&mut counted.addresses, now);
            counted.all.charge(OF_ALL, now);
            let address = counted.addresses.entry(network).or_default();
            address.charge(OF_ADDRESS, now);
            Ok(Guess(network))
        })
    }

    /// The code was right: nobody is charged for it.
    #[expect(clippy::needless_pass_by_value, reason = "a guess is right once")]
    pub(crate) fn was_right(&self, guess: Guess) {
        self.with(|counted| {
            counted.all.give_back(OF_ALL);
            if let Some(address) = counted.addresses.get_mut(&guess.0) {
                address.give_back(OF_ADDRESS);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Counted) -> T) -> T {
        // Every state of the counts is a good one.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for CodeGuesses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CodeGuesses")
    }
}

// === impl Budget ===

impl Default for Budget {
    fn default() -> Self {
        Self(Timestamp::from_unix(0))
    }
}

impl Budget {
    /// How long until one more is let in.
    fn wait(self, rule: Rule, now: Timestamp) -> Duration {
        let allowed = rule.each * (rule.at_once - 1);
        self.0.since(now).saturating_sub(allowed)
    }

    fn charge(&mut self, rule: Rule, now: Timestamp) {
        self.0 = self.0.max(now).plus(rule.each);
    }

    fn give_back(&mut self, rule: Rule) {
        self.0 = self.0.minus(rule.each);
    }
}

fn make_room(addresses: &mut HashMap<ClientNetwork, Budget>, now: Timestamp) {
    if addresses.len() < MAX_ADDRESSES {
        return;
    }
    addresses.retain(|_, budget| budget.0 > now);
    if addresses.len() < MAX_ADDRESSES {
        return;
    }
    // Many at once, so that a flood does not make every guess look at all of them.
    let mut least: Vec<_> = addresses
        .iter()
        .map(|(network, budget)| (budget.0, *network))
        .collect();
    least.sort_unstable_by_key(|(until, _)| *until);
    for (_, network) in least.iter().take(MAX_ADDRESSES / 8) {
        addresses.remove(network);
    }
}
