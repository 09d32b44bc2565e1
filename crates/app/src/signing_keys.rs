//! Signing keys of our own making, where `OIDC_PROVIDER_JWKS` gives none: made once, kept in a
//! file beside the embedded store, for its owner only; and their exchange.

mod command;
mod keeper;
mod listing;

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use domain::{secret::SecretString, time::Timestamp};
use jose::signing::{Rotation, SigningAlgorithm, SigningKeys, without_expired};

pub(crate) use command::command;
pub(crate) use keeper::{KeyKeeper, RotationRequest};
pub(crate) use listing::Source;

use crate::private_file::{self, OWNER_ONLY};

/// The file in the data directory.
const FILE: &str = "signing-keys.json";

/// RS256 first: it is what a client expects that asked for nothing (OpenID Connect Core §3.1.3.7).
const ALGORITHMS: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Es256,
    SigningAlgorithm::Ed25519,
];

/// Where no directory holds them.
const SHARED: &str = "the signing keys are shared on the Redis server; `mcp-auth-proxy keys rotate` \
                      exchanges them there";

/// More than any sensible key set, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// Reads the keys in the data directory, if there are any yet, as a JWK Set. Those that are published
/// no longer are dropped. To be called by one process at a time: by the one that holds the store of
/// the same directory.
///
/// # Errors
/// If the file cannot be read, written, or holds no usable keys. Keys that somebody may still need
/// are never replaced: what they signed would no longer be accepted.
pub(crate) fn load_for_use(directory: &Path, now: Timestamp) -> Result<Option<SecretString>> {
    let path = file_in(directory);
    let Some(keys) = read_if_there(&path)? else {
        return Ok(None);
    };
    match without_expired(keys.expose(), now)? {
        None => Ok(Some(keys)),
        Some(kept) => {
            write(&path, &kept)?;
            Ok(Some(kept))
        }
    }
}

/// Reads the keys in the data directory, if there are any yet, and changes nothing there.
///
/// # Errors
/// If the file cannot be read, or holds no usable keys.
pub(crate) fn look(directory: &Path) -> Result<Option<SecretString>> {
    let path = file_in(directory);
    match open_if_there(&path)? {
        Some(file) => read(file, &path).map(Some),
        None => Ok(None),
    }
}

/// Keeps keys that were made, in their file. To be called as [`load_for_use`] is.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn keep(path: &Path, keys: &SecretString) -> Result<()> {
    write(path, keys)?;
    tracing::info!("made signing keys, kept in {}", path.display());
    Ok(())
}

/// Where the keys in a data directory are.
pub(crate) fn file_in(directory: &Path) -> PathBuf {
    directory.join(FILE)
}

/// Reads the keys in the data directory, if there are any yet.
///
/// # Errors
/// If the file cannot be read, or holds no usable keys.
pub(crate) fn load(directory: &Path) -> Result<Option<SecretString>> {
    read_if_there(&file_in(directory))
}

/// Puts new keys beside those in a file and returns them all. To be called as
/// [`load_for_use`] is. The file changes at once or not at all.
///
/// # Errors
/// If there are none yet, the rotation is refused, or the file cannot be read or written.
fn rotate(path: &Path, rotation: Rotation) -> Result<SecretString> {
    let Some(keys) = read_if_there(path)? else {
        bail!(
            "there are no signing keys in {} yet; the first start makes them",
            path.display()
        );
    };
    let rotated = rotation.of(keys.expose())?;
    write(path, &rotated)?;
    Ok(rotated)
}

fn read_if_there(path: &Path) -> Result<Option<SecretString>> {
    let Some(file) = open_if_there(path)? else {
        return Ok(None);
    };
    tighten(&file, path)?;
    read(file, path).map(Some)
}

fn open_if_there(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| cannot_read(path)),
    }
}

fn read(file: File, path: &Path) -> Result<SecretString> {
    let mut text = String::new();
    file.take(LONGEST_FILE)
        .read_to_string(&mut text)
        .with_context(|| cannot_read(path))?;
    let text = SecretString::new(text);
    if let Err(error) = SigningKeys::parse(text.expose()) {
        bail!(
            "the signing keys in {} cannot be used: {error}; bring the file back from a backup, \
             or remove it to have new keys made (what the old ones signed is then refused)",
            path.display()
        );
    }
    Ok(text)
}

/// Others on this machine may have read keys that were open to them; they shall not go on.
fn tighten(file: &File, path: &Path) -> Result<()> {
    let mode = file.metadata().with_context(|| cannot_read(path))?.mode();
    if mode & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(OWNER_ONLY))
            .with_context(|| format!("{} cannot be closed to others", path.display()))?;
        tracing::warn!(
            "{} was open to other users of this machine and is now its owner's alone; \
             remove it to have new keys made if one of them may have read it",
            path.display()
        );
    }
    Ok(())
}

/// Makes keys, as a JWK Set.
///
/// # Errors
/// If that fails.
pub(crate) fn generate() -> Result<SecretString> {
    let keys = ALGORITHMS
        .into_iter()
        .map(SigningKeys::generate)
        .collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<&str> = keys.iter().map(SecretString::expose).collect();
    Ok(SecretString::new(format!(
        "{{\"keys\":[\n{}\n]}}\n",
        keys.join(",\n")
    )))
}

fn write(path: &Path, keys: &SecretString) -> Result<()> {
    private_file::write(path, keys.expose()).with_context(|| {
        format!(
            "the signing keys cannot be kept in {}; give OIDC_PROVIDER_JWKS, or set \
             MCP_AUTH_PROXY_DATA_DIR to a directory that can be written",
            path.display()
        )
    })
}

fn cannot_read(path: &Path) -> String {
    format!("the signing keys in {} cannot be read", path.display())
}

#[cfg(test)]
mod tests;
