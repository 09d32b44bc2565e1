//! `mcp-auth-proxy hash-password`: a line of standard input becomes a hash for the users file.

use std::io::{BufRead as _, stdin};

use anyhow::{Context as _, Result, bail};
use domain::secret::SecretString;
use idp::local::LocalProvider;

/// Reads a password, up to the end of the line, and returns its argon2id hash.
///
/// # Errors
/// If there is none, or the system gives no randomness.
pub(crate) fn from_standard_input() -> Result<String> {
    let mut line = String::new();
    stdin()
        .lock()
        .read_line(&mut line)
        .context("standard input cannot be read as UTF-8 text")?;
    let password = SecretString::new(line.trim_end_matches(['\r', '\n']));
    if password.expose().is_empty() {
        bail!(
            "no password on standard input; for example: printf %s 'the password' | mcp-auth-proxy hash-password"
        );
    }
    Ok(LocalProvider::hash_password(&password)?)
}
