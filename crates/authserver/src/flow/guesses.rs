//! Holds back who guesses what may be short enough for it: the user codes of devices, by address and
//! all together (RFC 8628 §5.1), and secrets that an operator chose, by client and address (RFC 6749
//! §2.3.1). The secrets that we give out have 256 bits.
//!
//! A code has 34 bits and lives 15 minutes. Were a thousand devices to wait at once, all guesses
//! that are let in together would find one of them within a quarter of an hour with a chance of one
//! in 25,000; one address alone, of one in 650,000.

#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use domain::{address::ClientNetwork, id::ClientId, rate::Rate, time::Timestamp};

use crate::limits::{
    TooMany,
    meter::{Due, Meter},
};

/// Wrong ones from one address.
const OF_ADDRESS: (u32, Duration) = (10, Duration::from_secs(30));
/// Wrong codes from all addresses.
const OF_ALL: (u32, Duration) = (100, Duration::from_secs(1));

/// User codes: whose is not known before they are right.
#[derive(Debug)]
pub(crate) struct CodeGuesses(Arc<Meter>);

/// Secrets of clients. All askers together are not held back: whoever guesses could keep the client
/// itself out.
#[derive(Debug)]
pub(crate) struct SecretGuesses(Arc<Meter>);

/// A guess that was let in, and counts as wrong until it was right.
#[derive(Debug)]
pub(crate) struct Guess(Vec<Due>);

// === impl CodeGuesses ===

impl CodeGuesses {
    /// Nothing guessed yet.
    pub(crate) const fn new(meter: Arc<Meter>) -> Self {
        Self(meter)
    }

    /// Lets a guess in.
    ///
    /// # Errors
    /// If the asker, or everybody, has to wait: with the time that is left.
    pub(crate) async fn begin(
        &self,
        network: ClientNetwork,
        now: Timestamp,
    ) -> Result<Guess, Duration> {
        let mut dues = of_address("codes", &[], network);
        dues.extend(rate(OF_ALL).map(|rate| Due::new("everybody", "all codes", &[], rate)));
        match self.0.charge(&dues, since_epoch(now)).await {
            Ok(_) => Ok(Guess(dues)),
            Err(refused) => Err(refused.resets_in),
        }
    }

    /// The guess was right: nobody is charged for it.
    pub(crate) async fn was_right(&self, guess: Guess) {
        self.0.give_back(&guess.0).await;
    }
}

// === impl SecretGuesses ===

impl SecretGuesses {
    /// Nothing guessed yet.
    pub(crate) const fn new(meter: Arc<Meter>) -> Self {
        Self(meter)
    }

    /// Judges a secret, if the asker need not wait.
    ///
    /// One that is right costs nothing at any moment, since clients on a server show theirs many times
    /// at once. So other machines hear only of wrong ones.
    ///
    /// # Errors
    /// If the network has to wait.
    pub(crate) async fn judge<T, E>(
        &self,
        (client, network): (&ClientId, ClientNetwork),
        now: Timestamp,
        judge: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, TooMany> {
        let dues = of_address("secrets", client.as_str().as_bytes(), network);
        self.0.look_shared(&dues).await?;
        self.0.charge_here(&dues, since_epoch(now))?;
        let judged = judge();
        if judged.is_ok() {
            self.0.give_back_here(&dues);
        } else {
            // Whether it was let in has been decided.
            let _ = self.0.charge_shared(&dues).await;
        }
        Ok(judged)
    }
}

fn of_address(kind: &'static str, name: &[u8], network: ClientNetwork) -> Vec<Due> {
    rate(OF_ADDRESS)
        .map(|rate| Due::of_network("address", kind, name, network, rate))
        .unwrap_or_default()
}

/// A rule as a rate; those here are ones.
pub(crate) fn rate((at_once, each): (u32, Duration)) -> Option<Rate> {
    Rate::new(NonZeroU32::new(at_once)?, each)
}

pub(crate) const fn since_epoch(now: Timestamp) -> Duration {
    Duration::from_secs(now.as_unix())
}
