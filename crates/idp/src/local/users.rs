//! The users file.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use argon2::{Params, password_hash::phc::PasswordHash};
use domain::{id::Subject, secret::SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::InvalidUsers;

/// Bounds of a hash's cost, so that one login cannot take the machine: 1 GiB, 100 rounds.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_ROUNDS: u32 = 100;

const HOW: &str = "`mcp-auth-proxy hash-password` makes one";

/// A users file and what was last read from it.
#[derive(Debug)]
pub(super) struct UsersFile {
    path: PathBuf,
    state: Mutex<State>,
}

/// The users of one reading; at least one.
#[derive(Debug)]
pub(super) struct Users {
    by_name: HashMap<String, Arc<User>>,
    first: Arc<User>,
}

/// One user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password_hash: SecretString,
    email: Option<String>,
    display_name: Option<String>,
    groups: Vec<String>,
}

#[derive(Debug)]
struct State {
    users: Arc<Users>,
    stamp: Option<Stamp>,
}

/// What tells one version of a file from the next; the inode because editors and deployments
/// replace files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    users: Vec<RawUser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUser {
    name: String,
    password_hash: String,
    email: Option<String>,
    display_name: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

// === impl UsersFile ===

impl UsersFile {
    pub(super) fn open(path: &Path) -> Result<Self, InvalidUsers> {
        let stamp = Stamp::of(path);
        let users = Arc::new(read(path)?);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(State { users, stamp }),
        })
    }

    /// The users of the file as it is now; if it cannot be used, those known before. Reads from
    /// the disk: not for the runtime's workers.
    pub(super) fn current(&self) -> Arc<Users> {
        // Before the file is read: what changes in between is seen next time.
        let stamp = Stamp::of(&self.path);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stamp != stamp {
            state.stamp = stamp;
            match read(&self.path) {
                Ok(users) => {
                    tracing::info!(users.count = users.by_name.len(), "users file read again");
                    state.users = Arc::new(users);
                }
                Err(reason) => tracing::error!(
                    cause = %reason,
                    "the changed users file cannot be used; the users known before stay"
                ),
            }
        }
        Arc::clone(&state.users)
    }
}

fn read(path: &Path) -> Result<Users, InvalidUsers> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| InvalidUsers(format!("the users file {name} cannot be read: {error}")))?;
    Users::parse(&text).map_err(|reason| InvalidUsers(format!("the users file {name}: {reason}")))
}

// === impl Stamp ===

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: inode(&metadata),
        })
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> u64 {
    0
}

// === impl Users ===

impl Users {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            // Not the parser's own rendering: it shows the line, and a hash stands in it.
            let start = error.span().map_or(0, |span| span.start);
            let line = text
                .bytes()
                .take(start)
                .filter(|byte| *byte == b'\n')
                .count()
                + 1;
            format!("line {line}: {}", unquoted(error.message()))
        })?;
        let mut by_name = HashMap::new();
        let mut first = None;
        for (index, raw) in raw.users.into_iter().enumerate() {
            let user = Arc::new(User::check(raw, index)?);
            first.get_or_insert_with(|| Arc::clone(&user));
            if let Some(twice) = by_name.insert(user.name.clone(), user) {
                return Err(format!("the user {:?} stands there twice", twice.name));
            }
        }
        let first = first.ok_or_else(|| {
            format!("it has no user; add [[users]] with `name` and `password_hash` ({HOW})")
        })?;
        Ok(Self { by_name, first })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// A hash to check against where there is no such user: a real one, so that it costs what a
    /// real check costs.
    pub(super) fn decoy(&self) -> &str {
        self.first.password_hash.expose()
    }
}

/// A message without what it quotes in double quotes, which may be a value of the file.
fn unquoted(message: &str) -> String {
    message
        .split('"')
        .enumerate()
        .map(|(index, part)| if index % 2 == 0 { part } else { "\"…\"" })
        .collect()
}

// === impl User ===

impl User {
    fn check(raw: RawUser, index: usize) -> Result<Self, String> {
        let number = index + 1;
        Subject::parse(raw.name.as_str())
            .map_err(|reason| format!("user {number}: `name` cannot be used: {reason}"))?;
        check_hash(&raw.password_hash)
            .map_err(|reason| format!("user {:?}: `password_hash` {reason}; {HOW}", raw.name))?;
        Ok(Self {
            name: raw.name,
            password_hash: SecretString::new(raw.password_hash),
            email: raw.email,
            display_name: raw.display_name,
            groups: raw.groups,
        })
    }

    /// What is known about the person, by the names of OpenID Connect Core 1.0 §5.1.
    pub(super) fn claims(&self) -> Map<String, Value> {
        let display_name = self.display_name.as_ref().unwrap_or(&self.name);
        let mut claims = Map::from_iter([
            ("name".to_owned(), json!(display_name)),
            ("preferred_username".to_owned(), json!(self.name)),
        ]);
        if let Some(email) = &self.email {
            claims.insert("email".to_owned(), json!(email));
        }
        if !self.groups.is_empty() {
            claims.insert("groups".to_owned(), json!(self.groups));
        }
        claims
    }
}

fn check_hash(text: &str) -> Result<(), &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| "is not a PHC string ($argon2id$…)")?;
    if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() || hash.salt.is_none() {
        return Err("is not an argon2id hash with salt");
    }
    let params =
        Params::try_from(&hash).map_err(|_| "has parameters that argon2id does not have")?;
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_ROUNDS {
        return Err("asks for more than 1 GiB or 100 rounds");
    }
    Ok(())
}
