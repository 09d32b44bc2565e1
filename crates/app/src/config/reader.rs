//! Finds each setting in the layers (flag, environment, `.env`, TOML file), and gathers faults,
//! warnings and where every value came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::secret::SecretString;

use super::{
    faults::{Fault, Faults, Holds, Warning, assignment},
    toml::{Entry, PROVIDER_KEYS, SERVER_KEYS, TomlFile, nearest},
    values::io_reason,
};
use crate::{
    cli::Flags,
    dotenv::{self, DotenvFaultKind},
    env::{ALL, Environment, PREFIX, Platform, Variable, table as variable},
};

/// The layers, and what was found out so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    flags: &'a Flags,
    environment: Merged,
    file: Arc<TomlFile>,
    platform: Platform,
    pub(super) faults: Faults,
    pub(super) warnings: Vec<Warning>,
    explained: Vec<Explained>,
}

/// The process's variables and, below them, the `.env` file's.
#[derive(Clone)]
pub(super) struct Merged {
    variables: BTreeMap<OsString, OsString>,
    from_dotenv: BTreeSet<OsString>,
}

/// Where a setting may stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Flag, environment, top of the file.
    Plain,
    /// In an entry of a list; the flag and the variables say it too where there is no other entry
    /// that they could mean.
    Entry {
        entry: &'a Entry,
        with_variables: bool,
    },
}

/// A value as found.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// What it is called there.
    pub(super) label: String,
    pub(super) text: SecretString,
    pub(super) origin: Origin,
}

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

/// A value is there but of no use; the fault is noted.
pub(super) struct Faulted;

/// Files with secrets are small; anything larger is some other file.
const MAX_SECRET_BYTES: u64 = 1 << 20;

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads `.env` and the TOML file.
    pub(super) fn open(flags: &'a Flags, environment: &Environment) -> Self {
        let mut reader = Self {
            flags,
            environment: Merged {
                variables: environment.variables().clone(),
                from_dotenv: BTreeSet::new(),
            },
            file: Arc::default(),
            platform: environment.platform(),
            faults: Faults::default(),
            warnings: Vec::new(),
            explained: Vec::new(),
        };
        if let Some(path) = environment.dotenv() {
            reader.read_dotenv(path);
        }
        if let Some(path) = reader.value(&variable::MCP_AUTH_PROXY_CONFIG, |text| {
            Ok(PathBuf::from(text))
        }) {
            let mut faults = Vec::new();
            reader.file = Arc::new(TomlFile::read(&path, &mut faults));
            for fault in faults {
                reader.faults.push(fault);
            }
        }
        reader.warn_of_unknown_names();
        reader
    }

    /// The TOML file.
    pub(super) fn file(&self) -> Arc<TomlFile> {
        Arc::clone(&self.file)
    }

    /// The platform.
    pub(super) fn platform(&self) -> Platform {
        self.platform
    }

    /// Environment and `.env`, and the lines of the printed configuration.
    pub(super) fn into_parts(self) -> (Faults, Vec<Warning>, Merged, Vec<Explained>) {
        (self.faults, self.warnings, self.environment, self.explained)
    }

    fn read_dotenv(&mut self, path: &Path) {
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
                Err(_) => return self.faults.push(fault("it is not UTF-8".to_owned())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                let reason = format!("the file cannot be read: {}", io_reason(&error));
                return self.faults.push(fault(reason));
            }
        };
        let parsed = {
            let real = |name: &str| {
                let value = self.environment.variables.get(OsStr::new(name))?;
                Some(value.to_string_lossy().into_owned())
            };
            dotenv::parse(&text, &real)
        };
        for fault in parsed.faults {
            let (reason, allowed) = describe(fault.kind);
            self.faults.push(Fault {
                name: format!("{} in {name}, line {}", fault.name, fault.line),
                holds: Holds::Redacted,
                reason: reason.to_owned(),
                allowed: allowed.to_owned(),
                example: String::new(),
            });
        }
        for line in parsed.skipped {
            self.warnings.push(Warning {
                name: name.clone(),
                text: format!("has no assignment in line {line}; the line is skipped"),
            });
        }
        for (name, value) in parsed.variables {
            let name = OsString::from(name);
            self.environment.from_dotenv.insert(name.clone());
            self.environment.variables.insert(name, value.into());
        }
    }

    /// A misspelt name of ours would otherwise be a setting that silently does nothing.
    fn warn_of_unknown_names(&mut self) {
        let is_known = |name: &str| {
            ALL.iter()
                .any(|known| known.name == name || known.file_name().as_deref() == Some(name))
        };
        let unknown: Vec<String> = self
            .environment
            .variables
            .keys()
            .filter_map(|name| name.to_str())
            .filter(|name| name.starts_with(PREFIX) && !is_known(name))
            .map(ToOwned::to_owned)
            .collect();
        for name in unknown {
            let hint = nearest(&name, ALL.iter().map(|known| known.name))
                .map(|near| format!("; did you mean {near}?"))
                .unwrap_or_default();
            let text = format!("is no variable of this release and has no effect{hint}");
            self.warnings.push(Warning { name, text });
        }
    }

    // --- finding ---

    /// The value of a variable, if it is set and right.
    pub(super) fn value<T>(
        &mut self,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.value_at(Place::Plain, None, variable, parse)
    }

    /// The same in an entry of a list; `index` is said in the printed configuration.
    pub(super) fn value_at<T>(
        &mut self,
        place: Place<'_>,
        index: Option<usize>,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.find(place, variable).ok()??;
        self.parse_given(&given, index, variable, parse)
    }

    /// The value, which must be there.
    pub(super) fn required_at<T>(
        &mut self,
        place: Place<'_>,
        index: Option<usize>,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.find(place, variable) {
            Ok(Some(given)) => self.parse_given(&given, index, variable, parse),
            Ok(None) => {
                let why = match variable.needed {
                    "" | "always" => String::new(),
                    when => format!(" {when}"),
                };
                self.missing(place, variable, &why);
                None
            }
            Err(Faulted) => None,
        }
    }

    /// The value, or what holds without it.
    pub(super) fn value_or<T>(
        &mut self,
        variable: &'static Variable,
        default: T,
        shown: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.find(Place::Plain, variable) {
            Ok(Some(given)) => self
                .parse_given(&given, None, variable, parse)
                .unwrap_or(default),
            Ok(None) => {
                self.explain(variable, None, shown, Origin::Default);
                default
            }
            Err(Faulted) => default,
        }
    }

    /// The text of a variable as found, to be judged by the caller.
    pub(super) fn given(&mut self, variable: &'static Variable) -> Option<Given> {
        self.find(Place::Plain, variable).ok()?
    }

    /// Whether a variable is set at all, right or wrong.
    pub(super) fn is_given(&self, place: Place<'_>, variable: &Variable) -> bool {
        let names = [Some(variable.name.to_owned()), variable.file_name()];
        names.iter().flatten().any(|name| {
            let in_variables = self.flags.value(name).is_some()
                || self.environment.is_set(name)
                || self.file.top.setting(name).is_some();
            match place {
                Place::Plain => in_variables,
                Place::Entry {
                    entry,
                    with_variables,
                } => entry.setting(name).is_some() || (with_variables && in_variables),
            }
        })
    }

    /// The first layer that says something counts; in one layer a value and a file for it exclude
    /// each other.
    fn find(
        &mut self,
        place: Place<'_>,
        variable: &'static Variable,
    ) -> Result<Option<Given>, Faulted> {
        let with_variables = match place {
            Place::Plain => true,
            Place::Entry { with_variables, .. } => with_variables,
        };
        if with_variables {
            if let Some(text) = self.flags.value(variable.name) {
                let flag = variable.flag.unwrap_or_default();
                return Ok(Some(Given {
                    label: format!("--{flag}"),
                    text: SecretString::new(text),
                    origin: Origin::Flag,
                }));
            }
            let value = self.in_environment(variable, variable.name)?;
            let path = match variable.file_name() {
                Some(name) => self.in_environment(variable, &name)?,
                None => None,
            };
            if let Some(given) = self.one_of(variable, value, path)? {
                return Ok(Some(given));
            }
            let file = self.file();
            if let Some(given) = self.in_entry(&file.top, variable)? {
                return Ok(Some(given));
            }
        }
        match place {
            Place::Plain => Ok(None),
            Place::Entry { entry, .. } => self.in_entry(entry, variable),
        }
    }

    fn in_environment(
        &mut self,
        variable: &Variable,
        name: &str,
    ) -> Result<Option<Given>, Faulted> {
        let Some(value) = self.environment.variables.get(OsStr::new(name)) else {
            return Ok(None);
        };
        let Some(text) = value.to_str() else {
            self.faults.push(Fault {
                name: name.to_owned(),
                holds: Holds::Redacted,
                reason: "it is not UTF-8".to_owned(),
                allowed: variable.allowed.to_owned(),
                example: assignment(variable),
            });
            return Err(Faulted);
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let is_dotenv = self.environment.from_dotenv.contains(OsStr::new(name));
        let (label, origin) = if is_dotenv {
            (format!("{name} (from .env)"), Origin::DotEnv)
        } else {
            (name.to_owned(), Origin::Environment)
        };
        Ok(Some(Given {
            label,
            text: SecretString::new(text),
            origin,
        }))
    }

    fn in_entry(
        &mut self,
        entry: &Entry,
        variable: &'static Variable,
    ) -> Result<Option<Given>, Faulted> {
        let path = self.file.path.display().to_string();
        let given = |name: &str| {
            let setting = entry
                .setting(name)
                .filter(|setting| !setting.text.expose().trim().is_empty())?;
            Some(Given {
                label: format!("`{}` in {path}", setting.key),
                text: setting.text.clone(),
                origin: Origin::File(setting.key.clone()),
            })
        };
        let value = given(variable.name);
        let file = variable.file_name().and_then(|name| given(&name));
        self.one_of(variable, value, file)
    }

    /// The value, or the content of the file that is named instead.
    fn one_of(
        &mut self,
        variable: &Variable,
        value: Option<Given>,
        path: Option<Given>,
    ) -> Result<Option<Given>, Faulted> {
        let Some(path) = path else { return Ok(value) };
        if let Some(value) = value {
            self.faults.push(Fault {
                name: format!("{} and {}", value.label, path.label),
                holds: Holds::Several,
                reason: "both are set, and may say different things".to_owned(),
                allowed: "one of the two".to_owned(),
                example: String::new(),
            });
            return Err(Faulted);
        }
        match read_secret(Path::new(path.text.expose())) {
            Ok(text) => Ok(Some(Given {
                origin: Origin::SecretFile(path.text.expose().to_owned()),
                label: path.label,
                text,
            })),
            Err(reason) => {
                self.faults.push(Fault {
                    name: path.label,
                    holds: Holds::Text(path.text.expose().to_owned()),
                    reason,
                    allowed: format!("the path of a file that holds {}", variable.allowed),
                    example: String::new(),
                });
                Err(Faulted)
            }
        }
    }

    fn parse_given<T>(
        &mut self,
        given: &Given,
        index: Option<usize>,
        variable: &'static Variable,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        // White space belongs to a secret, should its maker have meant it.
        let text = if variable.is_hidden() {
            given.text.expose()
        } else {
            given.text.expose().trim()
        };
        match parse(text) {
            Ok(value) => {
                let shown = if variable.is_hidden() {
                    "[redacted]"
                } else {
                    text
                };
                self.explain(variable, index, shown, given.origin.clone());
                Some(value)
            }
            Err(reason) => {
                self.fault(variable, given, reason);
                None
            }
        }
    }

    // --- reporting ---

    /// Notes what a setting means and where from; a later note on the same replaces it.
    pub(super) fn explain(
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
    pub(super) fn fault(
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
    pub(super) fn contradiction(
        &mut self,
        place: Place<'_>,
        variable: &'static Variable,
        reason: impl Into<String>,
    ) {
        if let Ok(Some(given)) = self.find(place, variable) {
            self.fault(variable, &given, reason);
        }
    }

    /// Notes that a value is missing.
    pub(super) fn missing(&mut self, place: Place<'_>, variable: &'static Variable, why: &str) {
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
    pub(super) fn report(&mut self, name: String, holds: &str, reason: &str, allowed: &str) {
        self.faults.push(Fault {
            name,
            holds: Holds::Text(holds.to_owned()),
            reason: reason.to_owned(),
            allowed: allowed.to_owned(),
            example: String::new(),
        });
    }

    /// Notes that something outside the variables is missing.
    pub(super) fn report_missing(&mut self, name: String, reason: &str, allowed: &str) {
        self.faults.push(Fault {
            name,
            holds: Holds::Nothing,
            reason: reason.to_owned(),
            allowed: allowed.to_owned(),
            example: String::new(),
        });
    }

    /// Notes something odd.
    pub(super) fn warn(&mut self, name: impl Into<String>, text: impl Into<String>) {
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

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}

/// The content of a secret's file, without the newline that editors add.
fn read_secret(path: &Path) -> Result<SecretString, String> {
    let unreadable = |error: &io::Error| format!("the file cannot be read: {}", io_reason(error));
    let size = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if size.len() > MAX_SECRET_BYTES {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    let mut text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.trim().is_empty() {
        return Err("the file is empty".to_owned());
    }
    Ok(SecretString::new(text))
}

// === impl Merged ===

impl Merged {
    /// All of it, for the MCP server's process.
    pub(super) fn into_variables(self) -> BTreeMap<OsString, OsString> {
        self.variables
    }

    fn is_set(&self, name: &str) -> bool {
        self.variables
            .get(OsStr::new(name))
            .is_some_and(|value| !value.to_string_lossy().trim().is_empty())
    }
}

/// Values may be secrets: only their number is shown.
impl fmt::Debug for Merged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Merged({} variables)", self.variables.len())
    }
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
