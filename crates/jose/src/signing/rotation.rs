//! New keys in place of those that sign, without a token that nobody can verify.

#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::{secret::SecretString, time::Timestamp};
use serde_json::Value;

use super::{
    InvalidKeys, SigningAlgorithm,
    dated::{self, Dated, Moment},
    key,
};
use crate::algorithm::Algorithm;

/// What is to be rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// The algorithm that gets a new key; absent: each one that a key signs by unasked.
    pub algorithm: Option<SigningAlgorithm>,
    /// The present.
    pub now: Timestamp,
    /// Since when the new keys sign. One that is announced already takes over then if that is
    /// sooner than it would.
    pub from: Timestamp,
    /// What becomes of the keys that are replaced.
    pub replaced: Replaced,
}

/// What becomes of keys that are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// They are published for so long from then on.
    Kept(Duration),
    /// They are taken out at once, and so is every other key for the same algorithms: somebody
    /// else may have them.
    Withdrawn,
}

/// Why nothing was rotated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// The keys cannot be used, or no new one could be made.
    #[error("{0}")]
    Invalid(#[from] InvalidKeys),
    /// The next key is waiting already.
    #[error("a new key is announced already: {kid} signs from {from} on")]
    Announced {
        /// Its name.
        kid: String,
        /// Since when it signs.
        from: Timestamp,
    },
    /// Retired keys have not had the time to go.
    #[error(
        "there would be more than {MAX_KEYS} keys; rotate less often, so that retired ones can \
         expire, or withdraw them"
    )]
    TooMany,
}

/// More keys than this are not gathered: verifiers bound the sets that they read, ours to
/// 128.
const MAX_KEYS: usize = 96;

/// The entries of a set, and the keys that they are. A key of no use here stays in the set.
struct Entries {
    values: Vec<Value>,
    keys: Vec<Dated>,
    /// For each key its entry.
    places: Vec<usize>,
}

/// What is to be done for an algorithm.
enum Step {
    /// The announced key of this index takes over sooner.
    Hasten(usize),
    /// A new key goes before the one of this index, or to the end.
    Make(Algorithm, Option<usize>),
}

/// The set without keys that are published no longer; `None` where there are none.
///
/// # Errors
/// If it cannot be read.
pub fn without_expired(text: &str, now: Timestamp) -> Result<Option<SecretString>, InvalidKeys> {
    let mut entries = Entries::read(text)?;
    Ok(entries.drop_expired(now)?.then(|| entries.text()))
}

// === impl Rotation ===

impl Rotation {
    /// The set as it is afterwards, without keys that are published no longer.
    ///
    /// # Errors
    /// See [`RotateError`].
    pub fn of(self, text: &str) -> Result<SecretString, RotateError> {
        let mut entries = Entries::read(text)?;
        entries.drop_expired(self.now)?;
        let mut steps = self.steps(&entries)?;
        let replaced = entries.signing(self.now);
        let known = entries.kids();
        // From the end, so that the places of those before stay as they are.
        steps.sort_by_key(|step| std::cmp::Reverse(step.place(&entries)));
        for step in steps {
            self.take(&step, &mut entries)?;
        }
        entries.reread()?;
        match self.replaced {
            Replaced::Kept(keep) => {
                entries.retire(&replaced, self.from, self.from.plus(keep))?;
            }
            Replaced::Withdrawn => entries.withdraw(&known, self.algorithm)?,
        }
        if entries.keys.len() > MAX_KEYS {
            return Err(RotateError::TooMany);
        }
        Ok(entries.text())
    }

    fn steps(&self, entries: &Entries) -> Result<Vec<Step>, RotateError> {
        let moment = entries.at(self.now);
        let algorithms = match self.algorithm {
            Some(algorithm) => vec![algorithm.into()],
            None => entries.algorithms(self.now),
        };
        let step = |algorithm: Algorithm| {
            let announced = entries
                .announced(algorithm, self.now)
                .filter(|_| self.replaced != Replaced::Withdrawn);
            let Some(announced) = announced else {
                return Ok(Step::Make(algorithm, moment.signer(algorithm)));
            };
            match entries.keys.get(announced) {
                Some(key) if key.from.is_some_and(|from| from <= self.from) => {
                    Err(RotateError::Announced {
                        kid: key.key.kid().to_owned(),
                        from: key.from.unwrap_or(self.from),
                    })
                }
                _ => Ok(Step::Hasten(announced)),
            }
        };
        let steps: Vec<Result<Step, RotateError>> = algorithms.into_iter().map(step).collect();
        let may_skip = self.algorithm.is_none() && steps.iter().any(Result::is_ok);
        steps
            .into_iter()
            .filter(|step| step.is_ok() || !may_skip)
            .collect()
    }

    fn take(&self, step: &Step, entries: &mut Entries) -> Result<(), InvalidKeys> {
        match *step {
            Step::Hasten(index) => entries.set(index, "nbf", self.from),
            Step::Make(algorithm, before) => {
                let no_randomness =
                    || InvalidKeys("the system gave no randomness for a new key".to_owned());
                let made = key::generate(algorithm).ok_or_else(no_randomness)?;
                let mut made: Value =
                    serde_json::from_str(made.expose()).map_err(|_| no_randomness())?;
                let place = before.and_then(|index| entries.places.get(index).copied());
                if let (Some(members), Some(replaced)) = (
                    made.as_object_mut(),
                    place.and_then(|place| entries.values.get(place)),
                ) && self.algorithm.is_none()
                    && replaced.get("alg").is_none()
                {
                    // It goes on serving all that its kind can.
                    members.remove("alg");
                }
                if let Some(members) = made.as_object_mut() {
                    members.insert("nbf".to_owned(), self.from.as_unix().into());
                }
                let end = entries.values.len();
                entries.values.insert(place.unwrap_or(end).min(end), made);
            }
        }
        Ok(())
    }
}

// === impl Step ===

impl Step {
    /// The entry that it is about.
    fn place(&self, entries: &Entries) -> usize {
        let index = match self {
            Self::Hasten(index) => Some(*index),
            Self::Make(_, before) => *before,
        };
        index
            .and_then(|index| entries.places.get(index).copied())
            .unwrap_or(usize::MAX)
    }
}

// === impl Entries ===

impl Entries {
    fn read(text: &str) -> Result<Self, InvalidKeys> {
        let mut entries = Self {
            values: dated::entries(text)?,
            keys: Vec::new(),
            places: Vec::new(),
        };
        entries.reread()?;
        Ok(entries)
    }

    fn reread(&mut self) -> Result<(), InvalidKeys> {
        self.keys.clear();
        self.places.clear();
        for (place, value) in self.values.iter().enumerate() {
            if let Ok(key) = Dated::read(place, value)? {
                self.keys.push(key);
                self.places.push(place);
            }
        }
        Ok(())
    }

    fn at(&self, now: Timestamp) -> Moment<'_> {
        Moment {
            keys: &self.keys,
            now,
        }
    }

    /// Whether any was dropped. The last ones stay: something must sign.
    fn drop_expired(&mut self, now: Timestamp) -> Result<bool, InvalidKeys> {
        let moment = self.at(now);
        if moment.is_empty() {
            return Ok(false);
        }
        let expired: Vec<usize> = self
            .places
            .iter()
            .enumerate()
            .filter(|(index, _)| !moment.is_published(*index))
            .map(|(_, place)| *place)
            .collect();
        for place in expired.iter().rev() {
            self.values.remove(*place);
        }
        self.reread()?;
        Ok(!expired.is_empty())
    }

    /// Those that keys sign by unasked.
    fn algorithms(&self, now: Timestamp) -> Vec<Algorithm> {
        let moment = self.at(now);
        let mut algorithms = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            if let Some(algorithm) = key.key.algorithms().next()
                && (moment.is_empty() || moment.signer(algorithm) == Some(index))
                && !algorithms.contains(&algorithm)
            {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// The names of those that may sign.
    fn signing(&self, now: Timestamp) -> Vec<String> {
        let moment = self.at(now);
        let may_sign = |(index, key): (usize, &Dated)| {
            let may = moment.is_empty() || moment.may_sign(index);
            may.then(|| key.key.kid().to_owned())
        };
        self.keys.iter().enumerate().filter_map(may_sign).collect()
    }

    /// The next key for an algorithm.
    fn announced(&self, algorithm: Algorithm, now: Timestamp) -> Option<usize> {
        let fits = |key: &Dated| key.key.algorithms().any(|known| known == algorithm);
        self.keys
            .iter()
            .position(|key| key.from.is_some_and(|from| from > now) && fits(key))
    }

    /// Has those that do not sign any more, though they did, end at a time.
    fn retire(
        &mut self,
        replaced: &[String],
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(), InvalidKeys> {
        let moment = self.at(from);
        let ending: Vec<usize> = (0..self.keys.len())
            .filter(|index| {
                let key = self.keys.get(*index);
                key.is_some_and(|key| replaced.iter().any(|kid| kid == key.key.kid()))
                    && !moment.may_sign(*index)
            })
            .collect();
        for index in ending {
            self.set(index, "exp", until);
        }
        self.reread()
    }

    fn kids(&self) -> Vec<String> {
        let kid = |key: &Dated| key.key.kid().to_owned();
        self.keys.iter().map(kid).collect()
    }

    /// Takes these out, or those of them that can sign by an algorithm.
    fn withdraw(
        &mut self,
        known: &[String],
        only: Option<SigningAlgorithm>,
    ) -> Result<(), InvalidKeys> {
        let only = only.map(Algorithm::from);
        let is_meant = |key: &Dated| {
            let mut algorithms = key.key.algorithms();
            only.is_none_or(|only| algorithms.any(|algorithm| algorithm == only))
        };
        let withdrawn: Vec<usize> = self
            .keys
            .iter()
            .zip(&self.places)
            .filter(|(key, _)| known.iter().any(|kid| kid == key.key.kid()) && is_meant(key))
            .map(|(_, place)| *place)
            .collect();
        for place in withdrawn.iter().rev() {
            self.values.remove(*place);
        }
        self.reread()
    }

    fn set(&mut self, index: usize, member: &str, time: Timestamp) {
        let place = self.places.get(index);
        let entry = place.and_then(|place| self.values.get_mut(*place));
        if let Some(members) = entry.and_then(Value::as_object_mut) {
            members.insert(member.to_owned(), time.as_unix().into());
        }
    }

    fn text(&self) -> SecretString {
        let keys: Vec<String> = self.values.iter().map(Value::to_string).collect();
        SecretString::new(format!("{{\"keys\":[\n{}\n]}}\n", keys.join(",\n")))
    }
}
