//! Looking at a token without presenting it: nothing rotates, nothing is marked as used, nothing
//! is refreshed, and no token is taken for stolen.

use std::{fmt, sync::Arc};

use domain::{
    credential::{Credential, CredentialKind},
    id::{ClientId, GrantId, Subject},
    resource::Resource,
    scope::ScopeSet,
    time::Timestamp,
};
use serde_json::{Map, Value};
use store::StoreUnavailable;

use crate::{
    cache::Refusal,
    heart::Heart,
    identity::IdentitySession,
    live::Live,
    lookup::Closed,
    record::{Facts, Line},
    rules::judge_anywhere,
};

/// What a token would open now.
pub struct Inspection {
    /// Of which kind it is.
    pub kind: TokenKind,
    /// When it was issued, as far as is still known: its generation may be older than the record's
    /// memory.
    pub issued_at: Option<Timestamp>,
    /// When it ends, unless a refresh moves that.
    pub expires_at: Timestamp,
    live: Arc<Live>,
    identity: Arc<IdentitySession>,
}

/// The kinds of token that a client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// For the MCP server.
    Access,
    /// For the token endpoint.
    Refresh,
}

/// Why a token opens nothing now.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Not a token of ours, or one whose grant is forgotten.
    #[error("the token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired; a refresh gives a new one")]
    Expired,
    /// A refresh token that was replaced, and that would be honoured only from an address that is
    /// known to be its holder's.
    #[error("the token was replaced")]
    Replaced,
    /// Its grant was ended.
    #[error("the session was ended; log in again")]
    Ended,
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

// === impl Inspection ===

impl Inspection {
    /// The public id of the grant.
    pub fn grant(&self) -> GrantId {
        self.live.id
    }

    /// The client that the token was issued to.
    pub fn client(&self) -> &ClientId {
        &self.facts().client
    }

    /// The user.
    pub fn subject(&self) -> &Subject {
        &self.facts().subject
    }

    /// What the grant's access tokens are good for.
    pub fn resource(&self) -> &Resource {
        &self.facts().resource
    }

    /// Which of our scopes were granted.
    pub fn scopes(&self) -> &ScopeSet {
        &self.facts().scopes
    }

    /// What the identity provider said about the user, protocol claims left out.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.identity.claims
    }

    fn facts(&self) -> &Facts {
        &self.live.facts
    }
}

/// Without the claims.
impl fmt::Debug for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inspection")
            .field("kind", &self.kind)
            .field("grant", &self.live.id)
            .finish_non_exhaustive()
    }
}

// === impl Heart ===

impl Heart {
    pub(crate) async fn inspect(&self, token: &str) -> Result<Inspection, InspectError> {
        let Ok(credential) = Credential::parse(token) else {
            return self.inspect_imported(token).await;
        };
        let kind = match credential.kind {
            CredentialKind::Access => TokenKind::Access,
            CredentialKind::Refresh => TokenKind::Refresh,
            // A code is only ever redeemed.
            CredentialKind::Code | CredentialKind::Device => return Err(InspectError::Unknown),
        };
        let now = self.clock.now();
        if credential.is_expired(now) {
            return Err(InspectError::Expired);
        }
        let patience = self.patience();
        let live = self.live(token, &credential, &patience).await?;
        if !self.opens(&live, &credential, &patience).await? {
            return Err(InspectError::Unknown);
        }
        let line = self.hold(&live, &patience).await?.line.clone();
        let end = live.end_of(&line);
        // As for every use: without its provider a session cannot go on.
        if live.is_ended() || end <= now || live.refresher.is_none() {
            return Err(InspectError::Ended);
        }
        let shown = credential.generation;
        let (issued_at, expires_at) = match kind {
            TokenKind::Access => {
                let end = end.min(Timestamp::from_unix(credential.expires_at.into()));
                (self.access_issued_at(&credential, &line), end)
            }
            TokenKind::Refresh => {
                let window = self.settings.refresh_window;
                if judge_anywhere(shown, &line, window, now).is_none() {
                    return Err(InspectError::Replaced);
                }
                (line.issued_at(shown), end)
            }
        };
        Ok(Inspection {
            kind,
            issued_at,
            expires_at,
            identity: live.identity(),
            live,
        })
    }

    /// The same for a token of the predecessor. When that was issued is not kept.
    async fn inspect_imported(&self, token: &str) -> Result<Inspection, InspectError> {
        let patience = self.patience();
        let (opened, kind) = self.open_either(token, &patience).await?;
        let live = self.live_imported(&opened, &patience).await?;
        let line = self.hold(&live, &patience).await?.line.clone();
        let (end, now) = (live.end_of(&line), self.clock.now());
        if live.is_ended() || end <= now || live.refresher.is_none() {
            return Err(InspectError::Ended);
        }
        let window = self.settings.refresh_window;
        if kind == TokenKind::Refresh
            && judge_anywhere(0, &line, window, now).is_none()
            && self.was_used(&opened, &patience).await?
        {
            return Err(InspectError::Replaced);
        }
        Ok(Inspection {
            kind,
            issued_at: None,
            expires_at: end.min(opened.ends_at),
            identity: live.identity(),
            live,
        })
    }

    /// A generation may be given several access tokens; each ends one life after it was issued,
    /// or with its session, if that is earlier.
    fn access_issued_at(&self, credential: &Credential, line: &Line) -> Option<Timestamp> {
        let end = Timestamp::from_unix(credential.expires_at.into());
        let by_life = end.minus(self.settings.access_life + self.settings.access_grace());
        let by_generation = line.issued_at(credential.generation)?;
        Some(by_life.max(by_generation))
    }
}

impl From<Closed> for InspectError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Refused(Refusal::Unknown) => Self::Unknown,
            Closed::Refused(Refusal::Ended) => Self::Ended,
            Closed::Unavailable(fault) => Self::Unavailable(fault),
        }
    }
}

#[cfg(test)]
mod tests;
