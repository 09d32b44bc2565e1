//! A session: what an access token opened, for the time of a request or stream.

use std::{fmt, sync::Arc, time::Duration};

use domain::{
    id::{ClientId, GrantId, Subject},
    rate::Standing,
    scope::ScopeSet,
    secret::SecretString,
    time::Timestamp,
};
use tokio::time::sleep;

use crate::{heart::Heart, identity::IdentitySession, live::Live};

/// What an access token opened. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    live: Arc<Live>,
    heart: Arc<Heart>,
}

/// An identity access token at some version; versions grow with each refresh.
#[derive(Clone, Debug)]
pub struct IdentityToken {
    /// Which refresh it came from.
    pub version: u64,
    /// What the MCP server gets as `Authorization: bearer …`.
    pub access_token: SecretString,
    /// Scopes granted by the identity provider, space-joined.
    pub scope: Arc<str>,
    /// Its end; absent where the provider names none.
    pub expires_at: Option<Timestamp>,
}

/// Why there is no identity token to send.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The provider refused for good, or the identity session had no way to go on: the grant has
    /// ended.
    #[error("the session has ended: {0}")]
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

// === impl Session ===

impl Session {
    pub(crate) const fn new(live: Arc<Live>, heart: Arc<Heart>) -> Self {
        Self { live, heart }
    }

    #[cfg(test)]
    pub(crate) fn identity_version(&self) -> u64 {
        self.live.identity().version
    }

    /// The public id of its grant.
    pub fn grant(&self) -> GrantId {
        self.live.id
    }

    /// The client that the token was issued to.
    pub fn client(&self) -> &ClientId {
        &self.live.facts.client
    }

    /// The user.
    pub fn subject(&self) -> &Subject {
        &self.live.facts.subject
    }

    /// Which of our scopes the token has.
    pub fn scopes(&self) -> &ScopeSet {
        &self.live.facts.scopes
    }

    /// Counts a request of the session; `None` where there is no bound.
    ///
    /// # Errors
    /// If the session has used up its budget: with when it may go on.
    pub fn charge(&self) -> Option<Result<Standing, Standing>> {
        let calls = self.heart.calls.as_ref()?;
        Some(calls.charge(self.live.id))
    }

    /// The identity token, refreshed ahead of its end. At once where it is fresh; where a refresh
    /// fails for a passing reason and the token is still valid, that one.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub async fn identity_token(&self) -> Result<IdentityToken, IdentityError> {
        self.heart.identity_token(&self.live).await
    }

    /// A newer identity token than one the MCP server has answered 401 to: the one at hand if it
    /// was renewed since, else after one refresh (together with all who ask).
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub async fn identity_token_after_refusal(
        &self,
        refused: &IdentityToken,
    ) -> Result<IdentityToken, IdentityError> {
        self.heart
            .identity_token_after_refusal(&self.live, refused)
            .await
    }

    /// Whether a token has ended by now: a refusal then says nothing about what the MCP server
    /// expects of tokens.
    pub fn has_run_out(&self, token: &IdentityToken) -> bool {
        let now = self.heart.clock.now();
        token.expires_at.is_some_and(|end| end <= now)
    }

    /// Notes that the MCP server answered 401 to this token although it had just been renewed and
    /// has not ended: for 60 s no refusal of such a token makes this grant refresh again.
    pub fn note_fresh_refused(&self, refused: &IdentityToken) {
        self.heart.note_fresh_refused(&self.live, refused);
    }

    /// Waits for the end of the grant (revoked, refused, expired), to cut open streams.
    pub async fn ended(&self) {
        loop {
            // Where the store is away for longer than its grace, nobody knows that it still lives.
            let patience = self.heart.patience();
            if self
                .heart
                .keep_current(&self.live, &patience)
                .await
                .is_err()
            {
                return;
            }
            let left = self.live.ends_at().since(self.heart.clock.now());
            if left.is_zero() {
                return;
            }
            // The end may move while we wait, and a machine may sleep: look again now and then.
            tokio::select! {
                () = self.live.ended() => return,
                () = sleep(left.min(self.heart.look())) => {}
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("grant", &self.live.id)
            .finish_non_exhaustive()
    }
}

// === impl IdentityToken ===

impl IdentityToken {
    pub(crate) fn of(identity: &IdentitySession) -> Self {
        Self {
            version: identity.version,
            access_token: identity.tokens.access_token.clone(),
            scope: Arc::clone(&identity.scope),
            expires_at: identity.tokens.expires_at,
        }
    }
}
