//! Finds each setting in the layers (flag, environment, `.env`, TOML file), and gathers faults,
//! warnings and where every value came from.

mod report;

use std::{io, path::Path, sync::Arc};

use domain::secret::SecretString;

use super::{
    explain::{Explained, Origin},
    faults::{Fault, Faults, Holds, Warning, assignment},
    merged::Merged,
    toml::{Entry, TomlFile},
    values::io_reason,
};
use crate::{
    cli::Flags,
    env::{Environment, Platform, Variable, table as variable},
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
    /// Whether the TOML file is named and could not be read: what is missing may stand there.
    is_blind: bool,
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

/// A value is there but of no use; the fault is noted.
pub(super) struct Faulted;

/// Files with secrets are small; anything larger is some other file.
const MAX_SECRET_BYTES: u64 = 1 << 20;

// === impl Reader ===

impl<'a> Reader<'a> {
    /// Reads `.env` and the TOML file.
    pub(super) fn open(flags: &'a Flags, environment: &Environment) -> Self {
        let mut faults = Faults::default();
        let mut warnings = Vec::new();
        let mut reader = Self {
            flags,
            environment: Merged::read(environment, &mut faults, &mut warnings),
            file: Arc::default(),
            platform: environment.platform(),
            faults,
            warnings,
            explained: Vec::new(),
            is_blind: false,
        };
        reader.read_file();
        reader
    }

    fn read_file(&mut self) {
        let own = &variable::MCP_AUTH_PROXY_CONFIG;
        let Some(given) = self.given(own) else {
            return;
        };
        let path = given.text.expose().trim().to_owned();
        match TomlFile::read(Path::new(&path), &mut self.faults) {
            Ok(file) => self.file = Arc::new(file),
            Err(reason) => {
                self.is_blind = true;
                self.faults.push(Fault {
                    name: given.label,
                    holds: Holds::Text(path.clone()),
                    reason,
                    allowed: own.allowed.to_owned(),
                    example: String::new(),
                });
            }
        }
        self.explain(own, None, path, given.origin);
    }

    /// Whether what the TOML file says is not known, since it cannot be read.
    pub(super) fn is_blind(&self) -> bool {
        self.is_blind
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
        let Some((value, is_dotenv)) = self.environment.value(name) else {
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
