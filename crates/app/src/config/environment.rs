//! The environment of the MCP server's process.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
};

use url::Url;

use super::RunConfig;
use crate::env::{ALL, Secrecy, table as variable};

/// What the process gets, and what is to be said about it, once, in the log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ChildEnvironment {
    /// All of its variables.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// What was done about our secrets, in words.
    pub(crate) notes: Vec<String>,
}

/// Makes the environment: what the proxy inherited and read from `.env`; `PORT` is that of the
/// server's URL (a shell command may say otherwise in front of it); our own secrets are withheld
/// unless `MCP_SERVER_RUN_ENV_JSON` names them; its variables come last.
pub(crate) fn for_mcp_server(
    run: &RunConfig,
    url: &Url,
    inherited: &BTreeMap<OsString, OsString>,
) -> ChildEnvironment {
    let mut variables = inherited.clone();
    let mut withheld = Vec::new();
    for name in secret_names() {
        if variables
            .remove(OsStr::new(&name))
            .is_some_and(|held| !held.is_empty())
        {
            withheld.push(name);
        }
    }
    if let Some(port) = url.port_or_known_default() {
        variables.insert(variable::PORT.name.into(), port.to_string().into());
    }
    let mut handed_over = Vec::new();
    for (name, value) in &run.environment {
        if secret_names().any(|secret| secret == *name) {
            withheld.retain(|secret| secret != name);
            handed_over.push(name.clone());
        }
        variables.insert(name.into(), value.expose().into());
    }
    let mut notes = Vec::new();
    if !withheld.is_empty() {
        notes.push(format!(
            "the MCP server does not get {}; name it in MCP_SERVER_RUN_ENV_JSON if it should",
            withheld.join(", ")
        ));
    }
    if !handed_over.is_empty() {
        notes.push(format!(
            "the MCP server gets {}, since MCP_SERVER_RUN_ENV_JSON names it",
            handed_over.join(", ")
        ));
    }
    ChildEnvironment {
        variables: variables.into_iter().collect(),
        notes,
    }
}

/// Names that hold our secrets, or say where they lie.
fn secret_names() -> impl Iterator<Item = String> {
    ALL.iter()
        .filter(|variable| variable.secrecy == Secrecy::Secret)
        .flat_map(|variable| [Some(variable.name.to_owned()), variable.file_name()])
        .flatten()
}

/// Values may be secrets: only their number is shown.
impl fmt::Debug for ChildEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChildEnvironment")
            .field("variables", &self.variables.len())
            .field("notes", &self.notes)
            .finish()
    }
}
