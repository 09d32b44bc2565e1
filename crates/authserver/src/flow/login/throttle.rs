//! Holds back who guesses passwords: by name and by address, with growing delays.
//!
//! A name costs little to lock, so its delays stay short enough for its owner to wait out; an
//! address that fails for many names waits longer. Machines that share a store each have these
//! delays, and bound together what all of them let in.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{address::ClientNetwork, time::Timestamp};
use store::seal::sha256;

use crate::{
    flow::guesses,
    limits::{
        WIDER,
        meter::{Due, Meter},
    },
};

/// Names and addresses remembered. Where there are more, those with the fewest failures go.
const MAX_ENTRIES: usize = 10_000;
/// Failures are forgotten so long after the last one.
const MEMORY: Duration = Duration::from_secs(60 * 60);

/// What all machines together let in for a name: about as much as one of them does alone.
const OF_NAME: (u32, Duration) = (10, Duration::from_secs(60));
/// The same from an address.
const OF_ADDRESS: (u32, Duration) = (30, Duration::from_secs(3 * 60));

/// Failed logins, here and at the machines that share the store.
#[derive(Debug)]
pub(crate) struct LoginGuesses {
    here: LoginThrottle,
    meter: Arc<Meter>,
}

/// Failed logins at this machine.
#[derive(Default)]
struct LoginThrottle(Mutex<HashMap<Key, Failures>>);

/// An attempt that was let in, and counts as a failure until it has succeeded.
#[derive(Debug)]
pub(crate) struct Attempt {
    here: Vec<Key>,
    shared: Vec<Due>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// By hash, so that what was typed (perhaps a password) is not kept.
    Name([u8; 32]),
    Network(ClientNetwork),
    /// The first of many networks of one hand.
    Site(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

// === impl LoginGuesses ===

impl LoginGuesses {
    /// Nothing guessed yet.
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self {
            here: LoginThrottle::default(),
            meter,
        }
    }

    /// Lets an attempt in.
    ///
    /// # Errors
    /// If name or address has to wait, with the time that is left.
    pub(crate) async fn begin(
        &self,
        name: &str,
        network: ClientNetwork,
        now: Timestamp,
    ) -> Result<Attempt, Duration> {
        let here = self.here.begin(name, network, now)?;
        let mut shared: Vec<Due> = guesses::rate(OF_NAME)
            .map(|rate| Due::new("name", "login names", &sha256(name.as_bytes()), rate))
            .into_iter()
            .collect();
        if let Some(rate) = guesses::rate(OF_ADDRESS) {
            shared.extend(Due::of_network("address", "logins", &[], network, rate));
        }
        match self.meter.charge_shared(&shared).await {
            Some(Err(refused)) => {
                self.here.take_back(&here);
                Err(refused.resets_in)
            }
            Some(Ok(_)) | None => Ok(Attempt { here, shared }),
        }
    }

    /// The attempt was right: the name is free again, the address is not charged for it.
    pub(crate) async fn succeeded(&self, attempt: Attempt) {
        self.here.succeeded(&attempt.here);
        self.meter.give_back_shared(&attempt.shared).await;
    }
}

// === impl LoginThrottle ===

impl LoginThrottle {
    fn begin(
        &self,
        name: &str,
        network: ClientNetwork,
        now: Timestamp,
    ) -> Result<Vec<Key>, Duration> {
        let keys: Vec<Key> = [Key::Name(sha256(name.as_bytes())), Key::Network(network)]
            .into_iter()
            .chain(network.site().map(Key::Site))
            .collect();
        self.with(|failures| {
            let wait = keys
                .iter()
                .filter_map(|key| Some(key.wait(failures.get(key)?, now)))
                .max()
                .unwrap_or_default();
            if !wait.is_zero() {
                return Err(wait);
            }
            for key in &keys {
                make_room(failures, now);
                let entry = failures.entry(*key).or_insert(Failures {
                    count: 0,
                    last: now,
                });
                if now.since(entry.last) >= MEMORY {
                    entry.count = 0;
                }
                entry.count = entry.count.saturating_add(1);
                entry.last = now;
            }
            Ok(keys)
        })
    }

    /// The name is free again, the address is not charged for it.
    fn succeeded(&self, attempt: &[Key]) {
        self.take_back(attempt);
        self.with(|failures| {
            for name in attempt.iter().filter(|key| matches!(key, Key::Name(_))) {
                failures.remove(name);
            }
        });
    }

    fn take_back(&self, attempt: &[Key]) {
        self.with(|failures| {
            for key in attempt {
                if let Some(entry) = failures.get_mut(key) {
                    entry.count = entry.count.saturating_sub(1);
                }
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Key, Failures>) -> T) -> T {
        // Every state of the map is a good one.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for LoginThrottle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LoginThrottle")
    }
}

// === impl Key ===

impl Key {
    /// How many failures are free, and the longest delay after.
    const fn rule(self) -> (u32, Duration) {
        match self {
            Self::Name(_) => (5, Duration::from_secs(60)),
            Self::Network(_) => (20, Duration::from_secs(15 * 60)),
            Self::Site(_) => (20 * WIDER.get(), Duration::from_secs(15 * 60)),
        }
    }

    /// Doubles with each failure beyond the free ones: 1 s, 2 s, 4 s, …
    fn wait(self, failures: &Failures, now: Timestamp) -> Duration {
        if now.since(failures.last) >= MEMORY {
            return Duration::ZERO;
        }
        let (free, longest) = self.rule();
        let Some(beyond) = failures.count.checked_sub(free) else {
            return Duration::ZERO;
        };
        let delay = Duration::from_secs(1_u64.checked_shl(beyond).unwrap_or(u64::MAX)).min(longest);
        failures.last.plus(delay).since(now)
    }
}

fn make_room(failures: &mut HashMap<Key, Failures>, now: Timestamp) {
    if failures.len() < MAX_ENTRIES {
        return;
    }
    failures.retain(|_, entry| now.since(entry.last) < MEMORY);
    if failures.len() < MAX_ENTRIES {
        return;
    }
    // Many at once, so that a flood does not make every attempt look at all of them.
    let mut least: Vec<_> = failures
        .iter()
        .map(|(key, entry)| (entry.count, entry.last, *key))
        .collect();
    least.sort_unstable_by_key(|(count, last, _)| (*count, *last));
    for (_, _, key) in least.iter().take(MAX_ENTRIES / 8) {
        failures.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const START: Timestamp = Timestamp::from_unix(1_000_000);

    fn network(last: u8) -> ClientNetwork {
        ClientNetwork::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    fn after(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_name_waits_longer_with_each_failure_from_wherever() {
        let throttle = LoginThrottle::default();
        for address in 0..5 {
            throttle.begin("alice", network(address), START).unwrap();
        }
        let wait = throttle.begin("alice", network(9), START).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        throttle.begin("alice", network(9), after(1)).unwrap();
        let wait = throttle.begin("alice", network(8), after(1)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(2));
        // Nobody else waits.
        throttle.begin("bob", network(8), after(1)).unwrap();
    }

    #[test]
    fn delays_have_an_end() {
        let throttle = LoginThrottle::default();
        let mut now = START;
        let mut longest = Duration::ZERO;
        for index in 0..60 {
            match throttle.begin("alice", network(index), now) {
                Ok(_) => {}
                Err(wait) => {
                    longest = longest.max(wait);
                    now = now.plus(wait);
                }
            }
        }
        assert_eq!(longest, Duration::from_secs(60));
    }

    #[test]
    fn an_address_waits_whatever_names_it_tries() {
        let throttle = LoginThrottle::default();
        for index in 0..20 {
            throttle
                .begin(&format!("user {index}"), network(1), START)
                .unwrap();
        }
        throttle.begin("another", network(1), START).unwrap_err();
        throttle.begin("another", network(2), START).unwrap();
    }

    #[test]
    fn success_frees_the_name() {
        let throttle = LoginThrottle::default();
        for _ in 0..4 {
            throttle.begin("alice", network(1), START).unwrap();
        }
        let attempt = throttle.begin("alice", network(1), START).unwrap();
        throttle.succeeded(&attempt);
        for _ in 0..5 {
            throttle.begin("alice", network(1), START).unwrap();
        }
        throttle.begin("alice", network(1), START).unwrap_err();
    }

    #[test]
    fn failures_are_forgotten() {
        let throttle = LoginThrottle::default();
        for _ in 0..5 {
            throttle.begin("alice", network(1), START).unwrap();
        }
        let later = START.plus(MEMORY);
        for _ in 0..5 {
            throttle.begin("alice", network(1), later).unwrap();
        }
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_keeps_the_one_under_attack() {
        let throttle = LoginThrottle::default();
        for address in 0..6 {
            let _ = throttle.begin("alice", network(address), START);
        }
        for index in 0..MAX_ENTRIES {
            let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + u32::try_from(index).unwrap()));
            throttle
                .begin(&format!("user {index}"), ClientNetwork::of(address), START)
                .unwrap();
        }
        assert!(throttle.0.lock().unwrap().len() <= MAX_ENTRIES);
        throttle.begin("alice", network(200), START).unwrap_err();
    }
}
