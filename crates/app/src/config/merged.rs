//! The process's environment and the `.env` file, as one.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fmt, io,
    path::Path,
};

use super::{
    faults::{Fault, Faults, Holds, Warning},
    toml::nearest,
    values::io_reason,
};
use crate::{
    dotenv::{self, DotenvFaultKind},
    env::{ALL, Environment, PREFIX},
};

/// The process's variables and, below them, the `.env` file's.
#[derive(Clone)]
pub(super) struct Merged {
    variables: BTreeMap<OsString, OsString>,
    from_dotenv: BTreeSet<OsString>,
}

// === impl Merged ===

impl Merged {
    /// Reads the `.env` file, if there is one.
    pub(super) fn read(
        environment: &Environment,
        faults: &mut Faults,
        warnings: &mut Vec<Warning>,
    ) -> Self {
        let mut merged = Self {
            variables: environment.variables().clone(),
            from_dotenv: BTreeSet::new(),
        };
        if let Some(path) = environment.dotenv() {
            merged.read_dotenv(path, faults, warnings);
        }
        warnings.extend(merged.unknown_names());
        merged
    }

    /// The value of a variable, and whether it is the `.env` file's.
    pub(super) fn value(&self, name: &str) -> Option<(&OsStr, bool)> {
        let value = self.variables.get(OsStr::new(name))?;
        Some((value, self.from_dotenv.contains(OsStr::new(name))))
    }

    /// All of it, for the MCP server's process.
    pub(super) fn into_variables(self) -> BTreeMap<OsString, OsString> {
        self.variables
    }

    /// Whether a variable is set to something.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.variables
            .get(OsStr::new(name))
            .is_some_and(|value| !value.to_string_lossy().trim().is_empty())
    }

    fn read_dotenv(&mut self, path: &Path, faults: &mut Faults, warnings: &mut Vec<Warning>) {
        let name = path.display().to_string();
        let fault = |reason: String| Fault {
            name: name.clone(),
            holds: Holds::Redacted,
            reason,
            allowed: "a text file in UTF-8 that the proxy may read".to_owned(),
            example: String::new(),
        };
        let text = match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => return faults.push(fault("it is not UTF-8".to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                let reason = format!("the file cannot be read: {}", io_reason(&error));
                return faults.push(fault(reason));
            }
        };
        let parsed = {
            let real = |name: &str| {
                let value = self.variables.get(OsStr::new(name))?;
                Some(value.to_string_lossy().into_owned())
            };
            dotenv::parse(&text, &real)
        };
        for fault in parsed.faults {
            let (reason, allowed) = describe(fault.kind);
            faults.push(Fault {
                name: format!("{} in {name}, line {}", fault.name, fault.line),
                holds: Holds::Redacted,
                reason: reason.to_owned(),
                allowed: allowed.to_owned(),
                example: String::new(),
            });
        }
        for line in parsed.skipped {
            warnings.push(Warning {
                name: name.clone(),
                text: format!("has no assignment in line {line}; the line is skipped"),
            });
        }
        for (name, value) in parsed.variables {
            let name = OsString::from(name);
            self.from_dotenv.insert(name.clone());
            self.variables.insert(name, value.into());
        }
    }

    /// A misspelt name of ours would otherwise be a setting that silently does nothing.
    fn unknown_names(&self) -> Vec<Warning> {
        let is_known = |name: &str| {
            ALL.iter()
                .any(|known| known.name == name || known.file_name().as_deref() == Some(name))
        };
        self.variables
            .keys()
            .filter_map(|name| name.to_str())
            .filter(|name| name.starts_with(PREFIX) && !is_known(name))
            .map(|name| {
                let hint = nearest(name, ALL.iter().map(|known| known.name))
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                Warning {
                    name: name.to_owned(),
                    text: format!("is no variable of this release and has no effect{hint}"),
                }
            })
            .collect()
    }
}

fn describe(kind: DotenvFaultKind) -> (&'static str, &'static str) {
    match kind {
        DotenvFaultKind::Encrypted => (
            "it is encrypted by dotenvx, and the proxy holds no key for it",
            "plain text, or start the proxy by `dotenvx run -- mcp-auth-proxy`, which decrypts it",
        ),
        DotenvFaultKind::Command => (
            "it holds `$(command)`, and the proxy runs no commands to configure itself",
            "what the command prints, or single quotes around a value that is meant as it stands",
        ),
        DotenvFaultKind::Endless => (
            "its references lead to one another without end",
            "references to variables that hold plain values",
        ),
    }
}

/// Values may be secrets: only their number is shown.
impl fmt::Debug for Merged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Merged({} variables)", self.variables.len())
    }
}
