//! What the rest of the proxy knows of an identity provider, whichever kind it is.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use domain::{id::Subject, secret::SecretString, time::Timestamp};
use serde_json::{Map, Value};

use crate::{local::LocalProvider, upstream::UpstreamProvider};

/// An identity provider of either kind.
#[derive(Clone, Debug)]
pub enum IdentityProvider {
    /// A provider elsewhere, where we are a static OAuth client.
    Upstream(Arc<UpstreamProvider>),
    /// Users of our own, from a file.
    Local(Arc<LocalProvider>),
}

/// The tokens of one user at the identity provider.
#[derive(Clone, Debug)]
pub struct IdentityTokens {
    /// What the MCP server receives as `Authorization: Bearer`.
    pub access_token: SecretString,
    /// How to get the next one; absent where the provider gave none.
    pub refresh_token: Option<SecretString>,
    /// End of the access token; absent where the provider names none.
    pub expires_at: Option<Timestamp>,
    /// When the tokens were obtained.
    pub issued_at: Timestamp,
    /// Scopes the provider says it granted, space-joined; where it names none, the ones asked.
    pub scope: String,
    /// The ID token as received, for `id_token_hint` at a later logout.
    pub id_token: Option<SecretString>,
    /// Further members of the token response (such as Salesforce's `instance_url`).
    pub extra: Map<String, Value>,
}

/// A completed login at the identity provider.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The provider's issuer.
    pub issuer: String,
    /// The user, unique within the issuer.
    pub subject: Subject,
    /// Claims about the user (from ID token or userinfo): e-mail, name, groups.
    pub claims: Map<String, Value>,
    /// When the user last authenticated, if the provider says so.
    pub auth_time: Option<Timestamp>,
    /// The user's tokens.
    pub tokens: IdentityTokens,
}

/// Why identity tokens could not be refreshed.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The provider's definite word on this token (`invalid_grant` and what a preset lists).
    #[error("the identity provider refused the refresh token: {0}")]
    Refused(String),
    /// The provider refuses us, not the user (`invalid_client`, `invalid_scope`, …): our
    /// configuration is wrong, and no session may end for it.
    #[error("the identity provider refused our client: {0}")]
    Misconfigured(String),
    /// No answer, a 5xx, a 429, an answer that cannot be read: passing.
    #[error("the identity provider could not be asked: {0}")]
    Unavailable(String),
    /// There is no refresh token: the session ends with its access token.
    #[error("the identity provider gave no refresh token")]
    NoRefreshToken,
}

/// Why the provider may still honour tokens that are not needed any more.
#[derive(Debug, thiserror::Error)]
#[error("the identity provider did not take back the tokens: {0}")]
pub struct RevokeFailed(pub String);

/// Refreshes the tokens of a user: all that the life of a grant needs of a provider.
#[async_trait]
pub trait IdentityRefresher: Send + Sync + fmt::Debug {
    /// The provider's issuer.
    fn issuer(&self) -> &str;

    /// Whether these tokens can be refreshed at all; otherwise the session ends with its access
    /// token.
    fn can_refresh(&self, tokens: &IdentityTokens) -> bool;

    /// Asks once for new tokens (one attempt, bounded to 10 s). What the answer leaves out (a
    /// refresh token that was not rotated, scope) is carried over from `current`. Neither ID
    /// token nor userinfo is looked at here: the answer must be stored first.
    ///
    /// # Errors
    /// See [`RefreshError`].
    async fn refresh(
        &self,
        subject: &Subject,
        current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError>;

    /// Whether the provider can be told that tokens are not needed any more.
    fn can_revoke(&self) -> bool {
        false
    }

    /// Tells it so (RFC 7009), once, bounded to 10 s: by the refresh token, else by the access
    /// token. A provider may then end everything that it granted us for this user.
    ///
    /// # Errors
    /// See [`RevokeFailed`]; nothing depends on it.
    async fn revoke(&self, _tokens: &IdentityTokens) -> Result<(), RevokeFailed> {
        Ok(())
    }
}

// === impl IdentityProvider ===

impl IdentityProvider {
    /// The provider's issuer.
    pub fn issuer(&self) -> &str {
        self.refresher_ref().issuer()
    }

    /// What the life of a grant needs of it.
    pub fn refresher(&self) -> Arc<dyn IdentityRefresher> {
        match self {
            Self::Upstream(provider) => Arc::clone(provider) as Arc<dyn IdentityRefresher>,
            Self::Local(provider) => Arc::clone(provider) as Arc<dyn IdentityRefresher>,
        }
    }

    fn refresher_ref(&self) -> &dyn IdentityRefresher {
        match self {
            Self::Upstream(provider) => provider.as_ref(),
            Self::Local(provider) => provider.as_ref(),
        }
    }
}
