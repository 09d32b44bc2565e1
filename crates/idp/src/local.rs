//! The local identity: users from a file, and a JWT signed by us as their identity token.

#[cfg(test)]
mod tests;
mod users;

use std::{path::Path, sync::Arc, time::Duration};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use async_trait::async_trait;
use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{id::Subject, secret::SecretString, time::Clock};
use jose::signing::KeyRing;
use serde_json::{Map, Value, json};
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::users::{User, UsersFile};
use crate::provider::{Identity, IdentityRefresher, IdentityTokens, RefreshError};

/// Life of an identity token; a removed user is out after this at the latest.
const LIFE: Duration = Duration::from_secs(300);
/// Password checks at once: each takes some 20 MiB and a core for a while.
const CHECKS: usize = 2;
/// Longer passwords are not looked at, in bytes.
const MAX_PASSWORD: usize = 1024;
/// Where the token's audience is kept between refreshes.
const AUDIENCE: &str = "audience";
/// What the MCP server is told as granted; local users have no scopes of their own.
const SCOPE: &str = "openid profile email";

/// Users of our own.
#[derive(Debug)]
pub struct LocalProvider {
    users: Arc<UsersFile>,
    issuer: String,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    checks: Arc<Semaphore>,
}

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
    /// string), optional `email`, `display_name`, `groups`). It is read again when it changes; one
    /// that cannot be used then is reported in the log, and the users known before stay.
    ///
    /// # Errors
    /// If the file cannot be read, or a user is wrong.
    pub fn load(
        path: &Path,
        issuer: &str,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidUsers> {
        Ok(Self {
            users: Arc::new(UsersFile::open(path)?),
            issuer: issuer.to_owned(),
            keys,
            clock,
            checks: Arc::new(Semaphore::new(CHECKS)),
        })
    }

    /// Whether a users file can be used.
    ///
    /// # Errors
    /// As for [`LocalProvider::load`].
    pub fn check_users(path: &Path) -> Result<(), InvalidUsers> {
        UsersFile::open(path).map(drop)
    }

    /// Hashes a password for the users file. Slow by intent.
    ///
    /// # Errors
    /// If the password is empty or too long, or the system gives no randomness.
    pub fn hash_password(password: &SecretString) -> Result<String, InvalidUsers> {
        let bytes = password.expose().as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_PASSWORD {
            return Err(InvalidUsers(format!(
                "a password has 1 to {MAX_PASSWORD} bytes"
            )));
        }
        Argon2::default()
            .hash_password(bytes)
            .map(|hash| hash.to_string())
            .map_err(|error| InvalidUsers(format!("the password cannot be hashed: {error}")))
    }

    /// Checks name and password, off the runtime's workers, in the same time whether the user
    /// exists or not; the identity token is for `audience` (the MCP server's URL). At most a few
    /// checks run at once.
    ///
    /// # Errors
    /// [`WrongPassword`].
    pub async fn login(
        &self,
        name: &str,
        password: &SecretString,
        audience: &str,
    ) -> Result<Identity, WrongPassword> {
        if password.expose().len() > MAX_PASSWORD {
            return Err(WrongPassword);
        }
        let user = self.checked(name.to_owned(), password.clone()).await?;
        let subject = Subject::parse(user.name.as_str()).map_err(|_| WrongPassword)?;
        let tokens = self.mint(&user, audience).map_err(|reason| {
            tracing::error!(cause = %reason, "a local login failed: its token could not be signed");
            WrongPassword
        })?;
        Ok(Identity {
            issuer: self.issuer.clone(),
            subject,
            claims: user.claims(),
            auth_time: Some(tokens.issued_at),
            tokens,
        })
    }

    async fn checked(
        &self,
        name: String,
        password: SecretString,
    ) -> Result<Arc<User>, WrongPassword> {
        let permit = Arc::clone(&self.checks)
            .acquire_owned()
            .await
            .map_err(|_| WrongPassword)?;
        let users = Arc::clone(&self.users);
        let check = spawn_blocking(move || {
            // Until the check is over, also if nobody waits for it any more.
            let _permit = permit;
            let users = users.current();
            let user = users.find(&name);
            let hash = user.map_or_else(|| users.decoy(), |user| user.password_hash.expose());
            let fits = Argon2::default()
                .verify_password(password.expose().as_bytes(), hash)
                .is_ok();
            user.filter(|_| fits).cloned()
        });
        check.await.ok().flatten().ok_or(WrongPassword)
    }

    fn mint(&self, user: &User, audience: &str) -> Result<IdentityTokens, String> {
        let now = self.clock.now();
        let expires_at = now.plus(LIFE);
        let mut id = [0_u8; 16];
        rand::fill(&mut id).map_err(|_| "the system gave no randomness".to_owned())?;
        let mut claims = user.claims();
        for (name, value) in [
            ("iss", json!(self.issuer)),
            ("sub", json!(user.name)),
            ("aud", json!(audience)),
            ("iat", json!(now.as_unix())),
            ("exp", json!(expires_at.as_unix())),
            ("jti", json!(URL_SAFE_NO_PAD.encode(id))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        let access_token = self
            .keys
            .current()
            .sign(None, "JWT", &claims)
            .map_err(|reason| reason.to_string())?;
        Ok(IdentityTokens {
            access_token,
            refresh_token: None,
            expires_at: Some(expires_at),
            issued_at: now,
            scope: SCOPE.to_owned(),
            id_token: None,
            extra: Map::from_iter([(AUDIENCE.to_owned(), Value::from(audience))]),
        })
    }
}

#[async_trait]
impl IdentityRefresher for LocalProvider {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    fn can_refresh(&self, _tokens: &IdentityTokens) -> bool {
        true
    }

    async fn refresh(
        &self,
        subject: &Subject,
        current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        let audience = current
            .extra
            .get(AUDIENCE)
            .and_then(Value::as_str)
            .ok_or_else(|| {
                RefreshError::Misconfigured("the session was not opened by a local user".to_owned())
            })?;
        let file = Arc::clone(&self.users);
        let users = spawn_blocking(move || file.current())
            .await
            .map_err(|_| RefreshError::Unavailable("the users file was not read".to_owned()))?;
        let user = users.find(subject.as_str()).ok_or_else(|| {
            RefreshError::Refused("the user is no longer in the users file".to_owned())
        })?;
        self.mint(user, audience).map_err(RefreshError::Unavailable)
    }
}
