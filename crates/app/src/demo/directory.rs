//! What a demo leaves behind: a directory that the next one finds again, so that clients that
//! were connected stay so.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use domain::{random::Random, secret::SecretString};
use serde::Serialize;

use crate::private_file::{self, OWNER_ONLY};

const LOCK_FILE: &str = "demo.lock";
const USERS_FILE: &str = "users.toml";
const PASSWORD_FILE: &str = "password";

/// The one who logs in.
pub(super) const USER: &str = "demo";

/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";

/// 16 characters of 32: 80 random bits.
const PASSWORD_CHARACTERS: usize = 16;
const GROUP: usize = 4;

/// The directory of this user's demo, held for as long as this value lives.
#[derive(Debug)]
pub(super) struct DemoDirectory {
    path: PathBuf,
    lock: File,
}

#[derive(Serialize)]
struct UsersFile<'a> {
    users: [User<'a>; 1],
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    password_hash: &'a str,
    email: &'a str,
    display_name: &'a str,
    groups: [&'a str; 1],
}

// === impl DemoDirectory ===

impl DemoDirectory {
    /// Opens the directory of the user `uid` below `temporary`, made where it is absent; with
    /// `fresh`, everything in it is removed.
    ///
    /// # Errors
    /// If somebody else's directory stands there, or a demo is running on it.
    pub(super) fn open(temporary: &Path, uid: u32, fresh: bool) -> Result<Self> {
        let path = temporary.join(format!("mcp-auth-proxy-demo-{uid}"));
        make_own(&path, uid)?;
        let mut directory = Self {
            lock: lock(&path)?,
            path,
        };
        if fresh {
            directory
                .forget()
                .with_context(|| format!("{} cannot be cleared", directory.path.display()))?;
        }
        directory.say(&format!("process id {}", std::process::id()))?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn users_file(&self) -> PathBuf {
        self.path.join(USERS_FILE)
    }

    /// Leaves a word for those who find the directory in use.
    pub(super) fn say(&mut self, who: &str) -> Result<()> {
        let mut write = || {
            self.lock.set_len(0)?;
            self.lock.rewind()?;
            self.lock.write_all(who.as_bytes())
        };
        write().with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// The password of the demo's user; both are made where they are absent. `hash` makes the
    /// value for the users file.
    ///
    /// # Errors
    /// If the files cannot be read or written.
    pub(super) fn password(
        &self,
        random: &dyn Random,
        hash: impl FnOnce(&SecretString) -> Result<String>,
    ) -> Result<SecretString> {
        let path = self.path.join(PASSWORD_FILE);
        if self.users_file().exists()
            && let Ok(text) = fs::read_to_string(&path)
        {
            return Ok(SecretString::new(text.trim_end()));
        }
        let password = new_password(random);
        let users = toml::to_string(&UsersFile {
            users: [User {
                name: USER,
                password_hash: &hash(&password)?,
                email: "demo@example.com",
                display_name: "Demo User",
                groups: ["demo"],
            }],
        })?;
        // In this order: a password without its user would be taken for whole.
        private_file::write(&self.users_file(), &users)
            .and_then(|()| private_file::write(&path, password.expose()))
            .with_context(|| format!("the user cannot be kept in {}", self.path.display()))?;
        Ok(password)
    }

    /// Removes everything but the lock, which is ours.
    fn forget(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name() == LOCK_FILE {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The temporary directory is everybody's: what stands there under our name may be another user's
/// trap (a link, or a directory that they can read), so nothing is followed and nothing is mended.
fn make_own(path: &Path, uid: u32) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| {
                format!(
                    "the demo's directory {} cannot be made; set TMPDIR to one that can be written",
                    path.display()
                )
            });
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(path)
        .with_context(|| format!("{} cannot be looked at", path.display()))?;
    let fault = if !metadata.is_dir() {
        "is no directory"
    } else if metadata.uid() != uid {
        "belongs to another user"
    } else if metadata.mode() & 0o077 != 0 {
        "is open to other users"
    } else {
        return Ok(());
    };
    bail!(
        "{} {fault}, so the demo does not keep its secrets there; remove it, or set TMPDIR to \
         another directory",
        path.display()
    )
}

fn lock(path: &Path) -> Result<File> {
    let path = path.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(&path)
        .with_context(|| format!("{} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let mut who = String::new();
            // Only to say more; it may be just being written.
            _ = file.read_to_string(&mut who);
            bail!(
                "a demo is running already ({}); use that one, or stop it first",
                if who.is_empty() { "just started" } else { &who }
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} cannot be locked", path.display()))
        }
    }
}

fn new_password(random: &dyn Random) -> SecretString {
    let bytes = random.secret::<PASSWORD_CHARACTERS>();
    let characters: Vec<char> = bytes
        .expose()
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|byte| char::from(*byte))
        .collect();
    let groups: Vec<String> = characters
        .chunks(GROUP)
        .map(|group| group.iter().collect())
        .collect();
    SecretString::new(groups.join("-"))
}

#[cfg(test)]
mod tests;
