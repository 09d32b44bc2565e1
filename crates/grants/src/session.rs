//! A session: what an access token opened, for the time of a request or stream.

use std::{sync::Arc, time::Duration};

use domain::{
    id::{ClientId, GrantId, Subject},
    scope::ScopeSet,
    secret::SecretString,
};

/// What an access token opened. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session {}

/// An identity access token at some version; versions grow with each refresh.
#[derive(Clone, Debug)]
pub struct IdentityToken {
    /// Which refresh it came from.
    pub version: u64,
    /// What the MCP server gets as `Authorization: bearer …`.
    pub access_token: SecretString,
    /// Scopes granted by the identity provider, space-joined.
    pub scope: Arc<str>,
}

/// Why there is no identity token to send.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The provider refused for good, or the identity session had no way to go on: the grant has
    /// ended.
    #[error("the identity provider ended the session: {0}")]
    Ended(String),
    /// The MCP server refused a token that was fresh less than a minute ago: asking the provider
    /// again would not help. The grant lives.
    #[error("the MCP server refuses a fresh identity token")]
    FreshRefused,
    /// The provider or the store is away and the token at hand is no longer valid: passing.
    #[error("the identity token cannot be refreshed now: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
}

impl Session {
    /// The public id of its grant.
    pub fn grant(&self) -> GrantId {
        todo!()
    }

    /// The client that the token was issued to.
    pub fn client(&self) -> &ClientId {
        todo!()
    }

    /// The user.
    pub fn subject(&self) -> &Subject {
        todo!()
    }

    /// Which of our scopes the token has.
    pub fn scopes(&self) -> &ScopeSet {
        todo!()
    }

    /// The identity token, refreshed ahead of its end. At once where it is fresh; where a refresh
    /// fails for a passing reason and the token is still valid, that one.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub async fn identity_token(&self) -> Result<IdentityToken, IdentityError> {
        todo!()
    }

    /// A newer identity token than one the MCP server has answered 401 to: the one at hand if it
    /// was renewed since, else after one refresh (together with all who ask).
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub async fn identity_token_after_refusal(
        &self,
        _refused: &IdentityToken,
    ) -> Result<IdentityToken, IdentityError> {
        todo!()
    }

    /// Notes that the MCP server answered 401 to this token although it had just been renewed:
    /// for 60 s no refusal makes this grant refresh again.
    pub fn note_fresh_refused(&self, _refused: &IdentityToken) {
        todo!()
    }

    /// Waits for the end of the grant (revoked, refused, expired), to cut open streams.
    pub async fn ended(&self) {
        todo!()
    }
}
