//! Noting what was found: where values came from, what is wrong, missing or odd.

use super::{Given, Place, Reader};
use crate::{
    config::{
        explain::{Explained, Origin},
        faults::{Fault, Holds, Warning, assignment},
        toml::{PROVIDER_KEYS, SERVER_KEYS},
    },
    env::Variable,
};

impl Reader<'_> {
    /// Notes what a setting means and where from; a later note on the same replaces it.
    pub(in crate::config) fn explain(
        &mut self,
        variable: &'static Variable,
        entry: Option<usize>,
        shown: impl Into<String>,
        origin: Origin,
    ) {
        self.explained
            .retain(|line| line.variable != variable || line.entry != entry);
        self.explained.push(Explained {
            variable,
            entry,
            shown: shown.into(),
            origin,
        });
    }

    /// Notes that a value is wrong.
    pub(in crate::config) fn fault(
        &mut self,
        variable: &'static Variable,
        given: &Given,
        reason: impl Into<String>,
    ) {
        let holds = if variable.is_hidden() {
            Holds::Redacted
        } else {
            Holds::Text(given.text.expose().to_owned())
        };
        let example = match &given.origin {
            _ if variable.example.is_empty() => String::new(),
            Origin::Flag => format!("{} '{}'", given.label, variable.example),
            Origin::File(key) => {
                let key = key.rsplit('.').next().unwrap_or(key);
                format!("{key} = '{}'", variable.example)
            }
            _ => assignment(variable),
        };
        self.faults.push(Fault {
            name: given.label.clone(),
            holds,
            reason: reason.into(),
            allowed: variable.allowed.to_owned(),
            example,
        });
    }

    /// Notes that a set variable is wrong in view of the others.
    pub(in crate::config) fn contradiction(
        &mut self,
        place: Place<'_>,
        variable: &'static Variable,
        reason: impl Into<String>,
    ) {
        if let Ok(Some(given)) = self.find(place, variable) {
            self.fault(variable, &given, reason);
        }
    }

    /// Notes that variables are set that describe one entry of a list, where there are several
    /// entries: they cannot say which they mean.
    pub(in crate::config) fn reject_variables(
        &mut self,
        variables: &[&'static Variable],
        what: &str,
        list: &str,
    ) {
        for variable in variables {
            self.contradiction(
                Place::Plain,
                variable,
                format!(
                    "the TOML file has several {what}, and a variable cannot say which it means; \
                     set it in the entry of {list}"
                ),
            );
        }
    }

    /// Notes that a value is missing, unless it may stand in a file that cannot be read.
    pub(in crate::config) fn missing(
        &mut self,
        place: Place<'_>,
        variable: &'static Variable,
        why: &str,
    ) {
        if self.is_blind {
            return;
        }
        let (name, example) = match place {
            Place::Entry {
                entry,
                with_variables: false,
            } => {
                let key = entry_key(variable);
                let path = self.file.path.display();
                let name = format!("`{}{key}` in {path}", entry.place);
                (name, format!("{key} = '{}'", variable.example))
            }
            _ => (variable.name.to_owned(), assignment(variable)),
        };
        let summary = variable.summary().trim_end_matches('.');
        self.faults.push(Fault {
            name,
            holds: Holds::Nothing,
            reason: format!("it is needed{why}: {}", lower_first(summary)),
            allowed: variable.allowed.to_owned(),
            example,
        });
    }

    /// Notes that something outside the variables is wrong, or several together are.
    pub(in crate::config) fn report(
        &mut self,
        name: String,
        holds: &str,
        reason: &str,
        allowed: &str,
    ) {
        self.faults.push(Fault {
            name,
            holds: Holds::Text(holds.to_owned()),
            reason: reason.to_owned(),
            allowed: allowed.to_owned(),
            example: String::new(),
        });
    }

    /// Notes that something outside the variables is missing.
    pub(in crate::config) fn report_missing(&mut self, name: String, reason: &str, allowed: &str) {
        self.faults.push(Fault {
            name,
            holds: Holds::Nothing,
            reason: reason.to_owned(),
            allowed: allowed.to_owned(),
            example: String::new(),
        });
    }

    /// Notes something odd.
    pub(in crate::config) fn warn(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Warning {
            name: name.into(),
            text: text.into(),
        });
    }
}

/// What a setting is called in an entry of a list.
fn entry_key(variable: &'static Variable) -> &'static str {
    SERVER_KEYS
        .iter()
        .chain(&PROVIDER_KEYS)
        .find(|(_, known)| *known == variable)
        .map_or(variable.name, |(key, _)| *key)
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}
