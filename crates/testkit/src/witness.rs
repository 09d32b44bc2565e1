//! Remembers every secret that a story saw, to look for them where none may stand.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

/// Everything secret that went over the wire of one story. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    secrets: BTreeSet<String>,
    files: Vec<PathBuf>,
}

/// A shorter text would be found by chance.
const LEAST_CHARS: usize = 12;

// === impl Witness ===

impl Witness {
    /// Remembers a secret.
    pub fn remember(&self, secret: &str) {
        if secret.len() >= LEAST_CHARS {
            self.lock().secrets.insert(secret.to_owned());
        }
    }

    /// Remembers each text in a JSON value that stands under a name of a secret.
    pub fn remember_members(&self, value: &Value) {
        const NAMES: [&str; 10] = [
            "access_token",
            "refresh_token",
            "id_token",
            "client_secret",
            "registration_access_token",
            "code",
            "codes",
            "device_code",
            "states",
            "verifiers",
        ];
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if NAMES.contains(&name.as_str()) => {
                            self.remember(text);
                        }
                        Value::Array(list) if NAMES.contains(&name.as_str()) => {
                            for text in list.iter().filter_map(Value::as_str) {
                                self.remember(text);
                            }
                        }
                        other => self.remember_members(other),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|member| self.remember_members(member)),
            _ => {}
        }
    }

    /// Remembers the secrets that a counterpart writes into a file, one a line.
    pub fn remember_file(&self, path: &Path) {
        self.lock().files.push(path.to_owned());
    }

    /// How many secrets are known: a check against none would prove nothing.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// The secrets that stand in a text, shortened so that a report does not leak them again.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let all = self.all();
        let mut by_head: HashMap<&[u8], Vec<&str>> = HashMap::new();
        for secret in &all {
            if let Some(head) = secret.as_bytes().get(..LEAST_CHARS) {
                by_head.entry(head).or_default().push(secret);
            }
        }
        let mut found: BTreeSet<&str> = BTreeSet::new();
        for (start, window) in bytes.windows(LEAST_CHARS).enumerate() {
            let rest = bytes.get(start..).unwrap_or_default();
            let here = by_head.get(window).into_iter().flatten();
            found.extend(here.filter(|secret| rest.starts_with(secret.as_bytes())));
        }
        found
            .into_iter()
            .map(|secret| format!("{}…", secret.chars().take(9).collect::<String>()))
            .collect()
    }

    fn all(&self) -> BTreeSet<String> {
        let seen = self.lock();
        let mut all = seen.secrets.clone();
        for file in &seen.files {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            all.extend(
                text.lines()
                    .filter(|line| line.len() >= LEAST_CHARS)
                    .map(str::to_owned),
            );
        }
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
