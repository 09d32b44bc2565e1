//! The local identity: users from a file, and a JWT signed by us as their identity token.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use domain::{id::Subject, secret::SecretString, time::Clock};
use jose::signing::SigningKeys;

use crate::provider::{Identity, IdentityRefresher, IdentityTokens, RefreshError};

/// Users of our own.
#[derive(Debug)]
pub struct LocalProvider {}

/// Why a users file cannot be used; each names the line or user and the cure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUsers(pub String);

/// Name or password is wrong; which one is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name or password is wrong")]
pub struct WrongPassword;

// === impl LocalProvider ===

impl LocalProvider {
    /// Reads the users file (TOML: `[[users]]` with `name`, `password_hash` (argon2id, PHC
    /// string), optional `email`, `display_name`, `groups`).
    ///
    /// # Errors
    /// If the file cannot be read, or a user is wrong.
    pub fn load(
        _path: &Path,
        _issuer: &str,
        _keys: Arc<SigningKeys>,
        _clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidUsers> {
        todo!()
    }

    /// Hashes a password for the users file. Slow by intent.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn hash_password(_password: &SecretString) -> Result<String, InvalidUsers> {
        todo!()
    }

    /// Checks name and password, off the runtime's workers, in the same time whether the user
    /// exists or not; the identity token is for `audience` (the MCP server's URL). At most a few
    /// checks run at once.
    ///
    /// # Errors
    /// [`WrongPassword`].
    pub async fn login(
        &self,
        _name: &str,
        _password: &SecretString,
        _audience: &str,
    ) -> Result<Identity, WrongPassword> {
        todo!()
    }
}

#[async_trait]
impl IdentityRefresher for LocalProvider {
    fn issuer(&self) -> &str {
        todo!()
    }

    fn can_refresh(&self, _tokens: &IdentityTokens) -> bool {
        true
    }

    async fn refresh(
        &self,
        _subject: &Subject,
        _current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        todo!()
    }
}
