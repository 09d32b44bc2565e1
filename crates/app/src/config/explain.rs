//! Prints the configuration as it is meant.

mod lists;

use std::fmt::{self, Write as _};

use super::Config;
use crate::env::{Group, Variable, table as variable};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag on the command line.
    Flag,
    /// The process's environment.
    Environment,
    /// The `.env` file.
    DotEnv,
    /// The TOML file, under this key.
    File(String),
    /// A file that a variable names.
    SecretFile(String),
    /// Nobody said anything.
    Default,
    /// It follows from something else.
    Implied(&'static str),
}

/// One line of the printed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    /// The variable.
    pub(crate) variable: &'static Variable,
    /// Which entry of a list, from 0, where there are several.
    pub(crate) entry: Option<usize>,
    /// The value as it may be shown.
    pub(crate) shown: String,
    /// Where it came from.
    pub(crate) origin: Origin,
}

/// The configuration: what people and the identity provider are to be told, a line for each value
/// with its origin behind it, and the lists of the TOML file that no variable says. Secrets are
/// redacted.
pub(crate) fn render(config: &Config) -> String {
    let mut text = lists::told(config);
    for group in Group::ALL {
        let mut lines: Vec<&Explained> = config
            .explained
            .iter()
            .filter(|line| line.variable.group == group)
            .collect();
        if lines.is_empty() {
            continue;
        }
        lines.sort_by_key(|line| (line.entry, position(line.variable)));
        // Writing to a text cannot fail.
        let _ = writeln!(text, "\n# {}", group.title());
        let mut entry = None;
        for line in lines {
            if line.entry != entry {
                entry = line.entry;
                let heading = entry.map(|index| lists::heading(config, group, index));
                let _ = writeln!(text, "# {}", heading.unwrap_or_default());
            }
            let shown = shown(line);
            let assignment = format!("{}={shown}", line.variable.name);
            let _ = writeln!(text, "{assignment:<48} # {}", line.origin);
        }
    }
    text + &lists::clients(config) + &lists::scopes(config)
}

/// The value, unless a command seems to hold a secret: shells make it easy to set one in front.
fn shown(line: &Explained) -> String {
    const SECRETIVE: [&str; 5] = ["key", "secret", "token", "passw", "credential"];
    let is_command = [
        &variable::MCP_SERVER_RUN_COMMAND,
        &variable::MCP_SERVER_RUN_ARGS_JSON,
    ]
    .contains(&line.variable);
    let lower = line.shown.to_ascii_lowercase();
    if is_command && SECRETIVE.iter().any(|word| lower.contains(word)) {
        return "[redacted, since it seems to hold a secret]".to_owned();
    }
    super::faults::shown(&line.shown)
}

fn position(variable: &Variable) -> Option<usize> {
    crate::env::ALL.iter().position(|known| *known == variable)
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("flag"),
            Self::Environment => formatter.write_str("environment"),
            Self::DotEnv => formatter.write_str(".env"),
            Self::File(key) => write!(formatter, "file, {key}"),
            Self::SecretFile(path) => write!(formatter, "content of {path}"),
            Self::Default => formatter.write_str("default"),
            Self::Implied(by) => write!(formatter, "implied by {by}"),
        }
    }
}
