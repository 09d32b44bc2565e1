//! Signing keys of our own making, where `OIDC_PROVIDER_JWKS` gives none: made once, kept in a
//! file beside the embedded store, for its owner only.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use domain::secret::SecretString;
use jose::signing::{SigningAlgorithm, SigningKeys};

use crate::private_file::{self, OWNER_ONLY};

/// The file in the data directory.
const FILE: &str = "signing-keys.json";

/// RS256 first: it is what a client expects that asked for nothing (OpenID Connect Core §3.1.3.7).
const ALGORITHMS: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Rs256,
    SigningAlgorithm::Es256,
    SigningAlgorithm::Ed25519,
];

/// More than any sensible key set, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// Reads the keys in the data directory, or makes them where there are none, as a JWK Set. To be
/// called by one process at a time: by the one that holds the store of the same directory.
///
/// # Errors
/// If the file cannot be read, written, or holds no usable keys. A file that is there is never
/// replaced: what was signed by its keys would no longer be accepted.
pub(crate) fn load_or_make(directory: &Path) -> Result<SecretString> {
    let path = directory.join(FILE);
    match File::open(&path) {
        Ok(file) => read(file, &path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(error).with_context(|| cannot_read(&path)),
    }
}

fn read(file: File, path: &Path) -> Result<SecretString> {
    tighten(&file, path)?;
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

fn make(path: &Path) -> Result<SecretString> {
    let keys = ALGORITHMS
        .into_iter()
        .map(SigningKeys::generate)
        .collect::<Result<Vec<_>, _>>()?;
    let keys: Vec<&str> = keys.iter().map(SecretString::expose).collect();
    let text = SecretString::new(format!("{{\"keys\":[\n{}\n]}}\n", keys.join(",\n")));
    private_file::write(path, text.expose()).with_context(|| {
        format!(
            "the signing keys cannot be kept in {}; give OIDC_PROVIDER_JWKS, or set \
             MCP_AUTH_PROXY_DATA_DIR to a directory that can be written",
            path.display()
        )
    })?;
    tracing::info!("made signing keys, kept in {}", path.display());
    Ok(text)
}

fn cannot_read(path: &Path) -> String {
    format!("the signing keys in {} cannot be read", path.display())
}

#[cfg(test)]
mod tests;
