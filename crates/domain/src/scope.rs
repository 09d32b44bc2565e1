//! Scopes (RFC 6749 §3.3).

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// One scope token: `1*( %x21 / %x23-5B / %x5D-7E )`, at most 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(String);

/// A set of scope tokens in the order they were first given, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScopeSet(Vec<Scope>);

/// A text that is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is 1 to 256 visible ASCII characters, but no double quote and no backslash")]
pub struct InvalidScope;

// === impl Scope ===

impl Scope {
    /// Reads one scope token.
    ///
    /// # Errors
    /// If the text is not a scope token.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let fits = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.is_empty() || text.len() > 256 || !text.bytes().all(fits) {
            return Err(InvalidScope);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl ScopeSet ===

impl ScopeSet {
    /// Reads scopes separated by spaces.
    ///
    /// # Errors
    /// If one of them is not a scope token.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(Scope::parse)
            .collect()
    }

    /// Reads scopes separated by white space or commas, as configuration has them.
    ///
    /// # Errors
    /// If one of them is not a scope token.
    pub fn parse_lenient(text: &str) -> Result<Self, InvalidScope> {
        text.split(|character: char| character.is_whitespace() || character == ',')
            .filter(|word| !word.is_empty())
            .map(Scope::parse)
            .collect()
    }

    /// Whether the set holds this scope.
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|held| held.0 == scope)
    }

    /// Whether every scope here is also in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|scope| other.contains(scope.as_str()))
    }

    /// The scopes of this set that `other` holds too, in this set's order.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.0
            .iter()
            .filter(|scope| other.contains(scope.as_str()))
            .cloned()
            .collect()
    }

    /// The scopes of this set, then those that only `other` holds.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).cloned().collect()
    }

    /// Whether there is no scope.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut seen = BTreeSet::new();
        Self(
            scopes
                .into_iter()
                .filter(|scope| seen.insert(scope.clone()))
                .collect(),
        )
    }
}

/// Space-joined, as on the wire.
impl fmt::Display for ScopeSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str(" ")?;
            }
            formatter.write_str(&scope.0)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ScopeSet {
    type Error = InvalidScope;

    fn try_from(text: String) -> Result<Self, InvalidScope> {
        Self::parse(&text)
    }
}

impl From<ScopeSet> for String {
    fn from(scopes: ScopeSet) -> Self {
        scopes.to_string()
    }
}
