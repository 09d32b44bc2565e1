//! Holds back who guesses what may be short enough for it: the user codes of devices, by address and
//! all together (RFC 8628 §5.1), and secrets that an operator chose, by client and address (RFC 6749
//! §2.3.1). The secrets that we give out have 256 bits.
//!
//! A code has 34 bits and lives 15 minutes. Were a thousand devices to wait at once, all guesses
//! that are let in together would find one of them within a quarter of an hour with a chance of one
//! in 25,000; one address alone, of one in 650,000.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{address::ClientNetwork, id::ClientId, time::Timestamp};

/// Wrong ones from one address.
const OF_ADDRESS: Rule = Rule {
    at_once: 10,
    each: Duration::from_secs(30),
};
/// Wrong codes from all addresses.
const OF_ALL: Rule = Rule {
    at_once: 100,
    each: Duration::from_secs(1),
};
/// Askers remembered. Where there are more, those with the fewest wrong guesses go.
const MAX_ASKERS: usize = 10_000;

/// How many wrong ones are let in at once, and how long it takes until another one is.
#[derive(Clone, Copy)]
struct Rule {
    at_once: u32,
    each: Duration,
}

/// Wrong guesses so far, by who made them.
pub(crate) struct Guesses<K> {
    counted: Mutex<Counted<K>>,
    /// What holds for all askers together.
    of_all: Option<Rule>,
}

/// User codes: whose is not known before they are right.
pub(crate) type CodeGuesses = Guesses<ClientNetwork>;
/// Secrets of clients. All askers together are not held back: whoever guesses could keep the client
/// itself out.
pub(crate) type SecretGuesses = Guesses<(ClientId, ClientNetwork)>;

/// A guess that was let in, and counts as wrong until it was right.
#[derive(Debug)]
pub(crate) struct Guess<K>(K);

struct Counted<K> {
    all: Budget,
    askers: HashMap<K, Budget>,
}

/// When all that was charged will be made up for.
#[derive(Clone, Copy)]
struct Budget(Timestamp);

// === impl Guesses ===

impl Default for CodeGuesses {
    fn default() -> Self {
        Self::new(Some(OF_ALL))
    }
}

impl Default for SecretGuesses {
    fn default() -> Self {
        Self::new(None)
    }
}

impl<K: Clone + Eq + Hash> Guesses<K> {
    fn new(of_all: Option<Rule>) -> Self {
        let counted = Mutex::new(Counted {
            all: Budget::default(),
            askers: HashMap::new(),
        });
        Self { counted, of_all }
    }

    /// Lets a guess in.
    ///
    /// # Errors
    /// If the asker, or everybody, has to wait: with the time that is left.
    pub(crate) fn begin(&self, asker: K, now: Timestamp) -> Result<Guess<K>, Duration> {
        self.with(|counted| {
            let of_asker = counted.askers.get(&asker).copied().unwrap_or_default();
            let of_all = self.of_all.map(|rule| counted.all.wait(rule, now));
            let wait = of_asker
                .wait(OF_ADDRESS, now)
                .max(of_all.unwrap_or_default());
            if !wait.is_zero() {
                return Err(wait);
            }
            make_room(&mut counted.askers, now);
            if let Some(rule) = self.of_all {
                counted.all.charge(rule, now);
            }
            let budget = counted.askers.entry(asker.clone()).or_default();
            budget.charge(OF_ADDRESS, now);
            Ok(Guess(asker))
        })
    }

    /// The guess was right: nobody is charged for it.
    #[expect(clippy::needless_pass_by_value, reason = "a guess is right once")]
    pub(crate) fn was_right(&self, guess: Guess<K>) {
        self.with(|counted| {
            if let Some(rule) = self.of_all {
                counted.all.give_back(rule);
            }
            if let Some(budget) = counted.askers.get_mut(&guess.0) {
                budget.give_back(OF_ADDRESS);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Counted<K>) -> T) -> T {
        // Every state of the counts is a good one.
        act(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K> fmt::Debug for Guesses<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Guesses")
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

fn make_room<K: Clone + Eq + Hash>(askers: &mut HashMap<K, Budget>, now: Timestamp) {
    if askers.len() < MAX_ASKERS {
        return;
    }
    askers.retain(|_, budget| budget.0 > now);
    if askers.len() < MAX_ASKERS {
        return;
    }
    // Many at once, so that a flood does not make every guess look at all of them.
    let mut least: Vec<_> = askers
        .iter()
        .map(|(asker, budget)| (budget.0, asker.clone()))
        .collect();
    least.sort_unstable_by_key(|(until, _)| *until);
    for (_, asker) in least.iter().take(MAX_ASKERS / 8) {
        askers.remove(asker);
    }
}
