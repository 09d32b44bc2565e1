//! What is wrong with a configuration, all of it, in words for the person who wrote it.

use std::fmt;

use crate::env::Variable;

/// Everything that keeps the proxy from starting; never empty when returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<Fault>);

/// One thing that is wrong, missing or contradictory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What it is called where it was set: a variable, a flag, a key of a file.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) holds: Holds,
    /// Why that is no good.
    pub(crate) reason: String,
    /// What is.
    pub(crate) allowed: String,
    /// A right setting, as it would be written there; empty: none fits.
    pub(crate) example: String,
}

/// What a setting holds, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing: it is missing.
    Nothing,
    /// This; shortened and escaped when shown.
    Text(String),
    /// A secret.
    Redacted,
    /// The name is that of several settings of which one is too many.
    Several,
    /// Something that is not to be shown, since nobody knows such a setting.
    Unknown,
}

/// Something odd that does not stop the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// What it is called where it was set.
    pub(crate) name: String,
    /// What is odd, and what holds now.
    pub(crate) text: String,
}

/// Characters of a value that are shown.
const SHOWN: usize = 200;

// === impl Faults ===

impl Faults {
    /// Adds one.
    pub(crate) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::error::Error for Faults {}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.0.len() {
            1 => "one fault".to_owned(),
            count => format!("{count} faults"),
        };
        write!(formatter, "the configuration has {count}")?;
        for fault in &self.0 {
            write!(formatter, "\n\n{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holds {
            Holds::Nothing => write!(formatter, "  {} is missing", self.name)?,
            Holds::Text(text) => write!(formatter, "  {} holds `{}`", self.name, shown(text))?,
            Holds::Redacted => write!(formatter, "  {} holds [redacted]", self.name)?,
            Holds::Several => write!(formatter, "  {} exclude each other", self.name)?,
            Holds::Unknown => write!(formatter, "  {} is unknown", self.name)?,
        }
        write!(formatter, "\n    reason:  {}", self.reason)?;
        if !self.allowed.is_empty() {
            write!(formatter, "\n    allowed: {}", self.allowed)?;
        }
        if !self.example.is_empty() {
            write!(formatter, "\n    example: {}", self.example)?;
        }
        Ok(())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.text)
    }
}

/// A value as one line of bounded length, without control characters and without what stands before
/// the `@` of a URL.
pub(super) fn shown(text: &str) -> String {
    let text = &without_user_information(text);
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(|character| {
            let escape = character.is_control();
            let escaped = escape.then(|| character.escape_default());
            let plain = (!escape).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn without_user_information(text: &str) -> String {
    let mut parts = text.split("://");
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        redacted.push_str("://");
        let end = part.find(['/', '?', '#']).unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => redacted.extend(["[redacted]@", host, rest]),
            None => redacted.push_str(part),
        }
    }
    redacted
}

/// How an example is written in the environment or a `.env` file.
pub(crate) fn assignment(variable: &Variable) -> String {
    let value = variable.example;
    if value.is_empty() {
        return String::new();
    }
    let needs_quotes = value.contains(|character: char| " \"{[#$&".contains(character));
    if needs_quotes {
        format!("{}='{value}'", variable.name)
    } else {
        format!("{}={value}", variable.name)
    }
}
