//! The TOML file: the same settings under their keys, and the lists that variables cannot say.

mod clients;
mod scopes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use authserver::{PreregisteredClient, ScopeDetail};
use domain::secret::SecretString;
use toml::{Table, Value};

use super::{
    faults::{Fault, Faults, Holds},
    values::io_reason,
};
use crate::env::{ALL, Reach, Variable, table as variable};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct TomlFile {
    /// Its path; empty: there is none.
    pub(super) path: PathBuf,
    /// The keys outside the lists.
    pub(super) top: Entry,
    /// `[[servers]]`.
    pub(super) servers: Vec<Entry>,
    /// `[[providers]]`.
    pub(super) providers: Vec<Entry>,
    /// `[[clients]]`.
    pub(super) clients: Vec<PreregisteredClient>,
    /// `[[scopes]]`.
    pub(super) scopes: Vec<ScopeDetail>,
}

/// A table's settings by the name of their variable, or of that with `_FILE`.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Where it stands, as its keys begin: `servers[1].`.
    pub(super) place: String,
    values: BTreeMap<String, Setting>,
    /// `name` of a provider.
    pub(super) name: Option<String>,
    /// `provider` of a server.
    pub(super) provider: Option<String>,
}

/// A setting: where it stands, and its text.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// `servers[1].url`.
    pub(super) key: String,
    /// As the variable would hold it.
    pub(super) text: SecretString,
}

/// Keys of `[[servers]]`.
pub(super) const SERVER_KEYS: [(&str, &Variable); 7] = [
    ("url", &variable::MCP_SERVER_URL),
    ("run_command", &variable::MCP_SERVER_RUN_COMMAND),
    ("run_args", &variable::MCP_SERVER_RUN_ARGS_JSON),
    ("run_dir", &variable::MCP_SERVER_RUN_DIR),
    ("run_env", &variable::MCP_SERVER_RUN_ENV_JSON),
    ("public_paths", &variable::MCP_AUTH_PROXY_PUBLIC_PATHS),
    (
        "introspection_secret",
        &variable::MCP_AUTH_PROXY_INTROSPECTION_SECRET,
    ),
];

/// Keys of `[[providers]]`.
pub(super) const PROVIDER_KEYS: [(&str, &Variable); 8] = [
    ("server_url", &variable::IDENTITY_SERVER_URL),
    ("metadata_file", &variable::IDENTITY_SERVER_METADATA_FILE),
    ("issuer", &variable::MCP_AUTH_PROXY_IDENTITY_ISSUER),
    ("client_id", &variable::IDENTITY_CLIENT_ID),
    ("client_secret", &variable::IDENTITY_CLIENT_SECRET),
    ("scope", &variable::IDENTITY_SCOPE),
    ("users_file", &variable::MCP_AUTH_PROXY_USERS_FILE),
    (
        "authorize_parameters",
        &variable::MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS,
    ),
];

/// Settings that hold JSON: TOML says the same with arrays and tables of its own.
const JSON: [&Variable; 3] = [
    &variable::MCP_SERVER_RUN_ARGS_JSON,
    &variable::MCP_SERVER_RUN_ENV_JSON,
    &variable::OIDC_PROVIDER_JWKS,
];

/// Settings that hold lists.
const LISTS: [&Variable; 9] = [
    &variable::MCP_AUTH_PROXY_HOST,
    &variable::MCP_AUTH_PROXY_TRUSTED_PROXIES,
    &variable::MCP_AUTH_PROXY_PUBLIC_PATHS,
    &variable::IDENTITY_SCOPE,
    &variable::PROVIDER_SCOPE,
    &variable::MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS,
    &variable::MCP_AUTH_PROXY_CLIENT_DOMAINS_ALLOW,
    &variable::MCP_AUTH_PROXY_CLIENT_DOMAINS_DENY,
    &variable::MCP_AUTH_PROXY_ALLOWED_ORIGINS,
];

// === impl TomlFile ===

impl TomlFile {
    /// Reads the file; what is wrong with its settings goes to `faults`, the rest is used, so that
    /// further faults are seen in the same start.
    ///
    /// # Errors
    /// If it cannot be read at all, or is no TOML.
    pub(super) fn read(path: &Path, faults: &mut Faults) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the file cannot be read: {}", io_reason(&error)))?;
        Ok(Self::from_table(path, parse(&text)?, faults))
    }

    fn from_table(path: &Path, mut table: Table, faults: &mut Faults) -> Self {
        let servers = table.remove("servers");
        let providers = table.remove("providers");
        let clients = table.remove("clients");
        let scopes = table.remove("scopes");
        let mut walk = Walk { path, faults };
        let keys: Vec<(String, &Variable)> = ALL
            .iter()
            .filter(|variable| variable.reach == Reach::File)
            .map(|variable| (variable.key(), *variable))
            .collect();
        let keys: Vec<(&str, &Variable)> = keys
            .iter()
            .map(|(key, variable)| (key.as_str(), *variable))
            .collect();
        Self {
            path: path.to_owned(),
            top: walk.entry(
                "",
                table,
                &keys,
                &["servers", "providers", "clients", "scopes"],
            ),
            servers: walk.list("servers", servers, &SERVER_KEYS, "provider"),
            providers: walk.list("providers", providers, &PROVIDER_KEYS, "name"),
            clients: clients::read(&mut walk, clients),
            scopes: scopes::read(&mut walk, scopes),
        }
    }
}

/// Only the message and the line: the parser's own report would show the line, secrets and all.
fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })
}

// === impl Entry ===

impl Entry {
    /// The setting of this name.
    pub(super) fn setting(&self, name: &str) -> Option<&Setting> {
        self.values.get(name)
    }
}

struct Walk<'a> {
    path: &'a Path,
    faults: &'a mut Faults,
}

// === impl Walk ===

impl Walk<'_> {
    fn list(
        &mut self,
        key: &str,
        value: Option<Value>,
        keys: &[(&str, &Variable)],
        word: &str,
    ) -> Vec<Entry> {
        let items = match value {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong(key, &other, "it is no list", &format!("[[{key}]] tables"));
                return Vec::new();
            }
        };
        let mut entries = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{key}[{index}]");
            match item {
                Value::Table(table) => {
                    entries.push(self.entry(&format!("{place}."), table, keys, &[word]));
                }
                other => self.wrong(
                    &place,
                    &other,
                    "it is no table",
                    &format!("a [[{key}]] table"),
                ),
            }
        }
        entries
    }

    /// `words` are keys that are not settings but names.
    fn entry(
        &mut self,
        place: &str,
        table: Table,
        keys: &[(&str, &Variable)],
        words: &[&str],
    ) -> Entry {
        let mut entry = Entry {
            place: place.to_owned(),
            ..Entry::default()
        };
        for (key, value) in table {
            let place = format!("{place}{key}");
            if words.contains(&key.as_str()) {
                match value {
                    Value::String(text) if key == "name" => entry.name = Some(text),
                    Value::String(text) => entry.provider = Some(text),
                    other => self.wrong(&place, &other, "it is no text", "a name"),
                }
                continue;
            }
            let found = keys.iter().find_map(|(candidate, variable)| {
                if *candidate == key {
                    return Some((variable.name.to_owned(), *variable, false));
                }
                let is_file = key.strip_suffix("_file") == Some(candidate);
                let name = variable.file_name().filter(|_| is_file)?;
                Some((name, *variable, true))
            });
            let Some((name, variable, is_path)) = found else {
                let known = keys
                    .iter()
                    .map(|(key, _)| *key)
                    .chain(words.iter().copied());
                self.unknown(&place, &key, known);
                continue;
            };
            match text_of(variable, is_path, &value) {
                Ok(text) => {
                    let text = SecretString::new(text);
                    entry.values.insert(name, Setting { key: place, text });
                }
                Err(reason) if variable.is_hidden() => {
                    self.fault(&place, Holds::Redacted, reason, variable.allowed);
                }
                Err(reason) => self.wrong(&place, &value, &reason, variable.allowed),
            }
        }
        entry
    }

    fn unknown<'k>(&mut self, place: &str, key: &str, known: impl Iterator<Item = &'k str>) {
        let hint = nearest(key, known)
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        // What an unknown key holds may be a secret under a misspelt name.
        self.fault(
            place,
            Holds::Unknown,
            format!("there is no such key{hint}"),
            "the keys of the configuration reference",
        );
    }

    fn wrong(&mut self, place: &str, value: &Value, reason: &str, allowed: &str) {
        let holds = Holds::Text(value.to_string());
        self.fault(place, holds, reason.to_owned(), allowed);
    }

    fn fault(&mut self, place: &str, holds: Holds, reason: String, allowed: &str) {
        self.faults.push(Fault {
            name: format!("`{place}` in {}", self.path.display()),
            holds,
            reason,
            allowed: allowed.to_owned(),
            example: String::new(),
        });
    }
}

/// What the variable would hold to say the same.
fn text_of(variable: &Variable, is_path: bool, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) if !is_path => Ok(number.to_string()),
        Value::Boolean(flag) if !is_path => Ok(flag.to_string()),
        Value::Array(_) | Value::Table(_) if !is_path && JSON.contains(&variable) => {
            serde_json::to_string(value).map_err(|error| error.to_string())
        }
        Value::Array(items) if !is_path && LISTS.contains(&variable) => {
            let texts = items.iter().map(|item| {
                item.as_str()
                    .filter(|text| !text.contains(|c: char| c.is_whitespace() || c == ','))
                    .ok_or_else(|| "each item must be a text without spaces or commas".to_owned())
            });
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        other => Err(format!("it is of the wrong kind ({})", other.type_str())),
    }
}

/// The known word that is at most two changes away.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, by the two-row method.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.bytes().enumerate() {
        let mut next = vec![line + 1];
        for ((to, above_left), above) in right.bytes().zip(&row).zip(row.iter().skip(1)) {
            let here = next.last().copied().unwrap_or_default();
            let changed = above_left + usize::from(from != to);
            next.push(changed.min(above + 1).min(here + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
