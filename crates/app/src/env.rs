//! The outside's say in the configuration: every variable, declared once, and the environment as
//! a value.
//!
//! From [`table`] come the reading, the fault reports, `--help`, `.env.example` and
//! `docs/reference/configuration.md`; a name that stands anywhere else is taken from there.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

#[cfg(test)]
mod reference;
pub(crate) mod table;

pub(crate) use table::ALL;

/// Prefix of every name that is ours alone.
pub(crate) const PREFIX: &str = "MCP_AUTH_PROXY_";

/// One setting: how it is called, and what people are told about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// Its name in the environment.
    pub(crate) name: &'static str,
    /// Where it stands in the reference.
    pub(crate) group: Group,
    /// Whether its value may be shown.
    pub(crate) secrecy: Secrecy,
    /// Where it can be set besides the environment.
    pub(crate) reach: Reach,
    /// What holds without it, as text; empty: nothing.
    pub(crate) default: &'static str,
    /// When it must be set; empty: never.
    pub(crate) needed: &'static str,
    /// What it may hold.
    pub(crate) allowed: &'static str,
    /// A value that is right.
    pub(crate) example: &'static str,
    /// Its flag on the command line, without the dashes.
    pub(crate) flag: Option<&'static str>,
    /// What it does, in Markdown; the first line is a sentence of its own.
    pub(crate) doc: &'static str,
}

/// Headings of the reference, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Where the proxy is reached.
    Address,
    /// What is protected.
    Server,
    /// Who logs people in.
    Identity,
    /// What clients are given.
    Issuing,
    /// What is remembered.
    Store,
    /// Bounds.
    Limits,
    /// What people see.
    Pages,
    /// What operators see.
    Operation,
    /// What the platform says.
    Platform,
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// It may.
    Public,
    /// It holds other people's secrets: never shown, and `NAME_FILE` is read.
    Sensitive,
    /// A secret of ours: as above, and withheld from the MCP server's process.
    Secret,
}

/// Where a setting can be set besides the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Also in the TOML file, under [`Variable::key`].
    File,
    /// In the environment only: it belongs to others, or says where the file is.
    EnvironmentOnly,
}

/// The environment as a value, so that nothing reads the process's own behind our back.
#[derive(Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<OsString, OsString>,
    dotenv: Option<PathBuf>,
    platform: Platform,
}

/// Platforms whose customs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// State lies under `$XDG_STATE_HOME`, else `~/.local/state`.
    Unix,
    /// State lies under `~/Library/Application Support`.
    MacOs,
}

// === impl Variable ===

impl Variable {
    /// What a declaration need not say.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        group: Group::Address,
        secrecy: Secrecy::Public,
        reach: Reach::File,
        default: "",
        needed: "",
        allowed: "",
        example: "",
        flag: None,
        doc: "",
    };

    /// Its key in the TOML file: the name in lower case, without our prefix.
    pub(crate) fn key(&self) -> String {
        self.name
            .strip_prefix(PREFIX)
            .unwrap_or(self.name)
            .to_ascii_lowercase()
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_hidden(&self) -> bool {
        self.secrecy != Secrecy::Public
    }

    /// The name that holds the path of a file with the value, where there is one.
    pub(crate) fn file_name(&self) -> Option<String> {
        self.is_hidden().then(|| format!("{}_FILE", self.name))
    }

    /// The first line of its text.
    pub(crate) fn summary(&self) -> &'static str {
        self.doc.trim().lines().next().unwrap_or_default().trim()
    }
}

impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Variable {}

// === impl Group ===

impl Group {
    /// All, in order.
    pub(crate) const ALL: [Self; 9] = [
        Self::Address,
        Self::Server,
        Self::Identity,
        Self::Issuing,
        Self::Store,
        Self::Limits,
        Self::Pages,
        Self::Operation,
        Self::Platform,
    ];

    /// Its heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Address => "Where the proxy is reached",
            Self::Server => "The MCP server",
            Self::Identity => "The identity provider",
            Self::Issuing => "What clients are given",
            Self::Store => "What is remembered",
            Self::Limits => "Limits and the network",
            Self::Pages => "Pages",
            Self::Operation => "Running and the log",
            Self::Platform => "Read from the platform",
        }
    }
}

// === impl Environment ===

impl Environment {
    /// The process's own, with `.env` of the working directory below it.
    pub(crate) fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            dotenv: Some(PathBuf::from(".env")),
            platform: if cfg!(target_os = "macos") {
                Platform::MacOs
            } else {
                Platform::Unix
            },
        }
    }

    /// For tests: just these variables; no `.env`.
    #[cfg(test)]
    pub(crate) fn of<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            dotenv: None,
            platform: Platform::Unix,
        }
    }

    /// With one variable more, or another value for it.
    #[must_use]
    pub(crate) fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Without the variables that `drop` names.
    #[must_use]
    pub(crate) fn without(mut self, drop: impl Fn(&OsStr) -> bool) -> Self {
        self.variables.retain(|name, _| !drop(name));
        self
    }

    /// With this file below it, or none.
    #[must_use]
    pub(crate) fn with_dotenv(mut self, path: Option<PathBuf>) -> Self {
        self.dotenv = path;
        self
    }

    /// For tests: as another platform has it.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn on(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// The variables.
    pub(crate) fn variables(&self) -> &BTreeMap<OsString, OsString> {
        &self.variables
    }

    /// The `.env` file to read, which need not exist.
    pub(crate) fn dotenv(&self) -> Option<&Path> {
        self.dotenv.as_deref()
    }

    /// The platform.
    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }
}

/// Values may be secrets: only their number is shown.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Environment({} variables)", self.variables.len())
    }
}
