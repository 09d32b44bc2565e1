//! Whom we take over from the Node.js predecessor: its records, as it wrote them, and the rules.
//!
//! It kept the identity tokens on the record of the client, so that each login through a client
//! wrote over the one before. A token can be taken over only where its user is the one whose
//! identity tokens stand there now; nobody may get another's.

mod client;
mod look;
mod payload;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use domain::{
    id::ClientId, redirect_uri::AllowedRedirectHosts, resource::Resource, scope::ScopeSet,
    secret::SecretString, time::Timestamp,
};
use idp::provider::IdentityTokens;
use store::{StoreUnavailable, predecessor::Predecessor};

pub use client::{TakenClient, UnfitClient, client_of};
pub(crate) use look::Terms;

use crate::{inspect::TokenKind, record::Facts};

/// Where the predecessor's records are, and what they become here.
#[derive(Clone, Debug)]
pub struct PredecessorSource {
    /// Its records.
    pub records: Arc<dyn Predecessor>,
    /// What we protect, each with the issuer of its identity provider. The predecessor protected
    /// one MCP server.
    pub resources: Vec<(Resource, String)>,
    /// The scopes offered here; others are dropped.
    pub scopes: ScopeSet,
    /// Where clients may redirect to.
    pub redirect_hosts: AllowedRedirectHosts,
}

/// A token that can be taken over, with all that its session needs.
pub struct OldSession {
    pub(crate) kind: TokenKind,
    pub(crate) token: SecretString,
    /// When the token ends.
    pub(crate) ends_at: Timestamp,
    pub(crate) facts: Facts,
    /// When the user logged in.
    pub(crate) opened: Timestamp,
    pub(crate) tokens: IdentityTokens,
}

/// Why a token is not taken over. Its user logs in once more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Unfit {
    /// Nothing is known of it.
    #[error("there is no record of it")]
    Absent,
    /// Not what the predecessor wrote.
    #[error("its record cannot be read")]
    Malformed,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// A refresh token that was replaced, longer ago than it is honoured.
    #[error("it was replaced by a newer one")]
    Replaced,
    /// By `DPoP` or a client certificate.
    #[error("it is bound to a key of its client, which this proxy cannot check")]
    KeyBound,
    /// A token that was to end with a session in the browser, which has ended.
    #[error("its session in the browser has ended")]
    SessionOver,
    /// The grant was revoked, or has expired.
    #[error("its grant has ended")]
    NoGrant,
    /// The client is not on record.
    #[error("its client is not on record")]
    NoClient,
    /// The client cannot be taken over.
    #[error("its client cannot be taken over: {0}")]
    Client(#[from] UnfitClient),
    /// Its client has no identity tokens any more.
    #[error("the identity tokens of its client are gone")]
    NoIdentity,
    /// The client's identity tokens are another user's.
    #[error("another user has logged in through the same client since")]
    OtherUser,
    /// There are several MCP servers, and it names none of them.
    #[error("it does not say which of the MCP servers it is for")]
    NoResource,
    /// Longer ago than a session may last.
    #[error("its user logged in longer ago than MCP_AUTH_PROXY_GRANT_LIFE allows")]
    TooOld,
    /// Its session was taken over, and has ended since.
    #[error("its session was taken over before, and has ended since")]
    Ended,
    /// The session that it belongs to has more scopes than it.
    #[error("it has other scopes than the session that it belongs to")]
    OtherScopes,
}

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenOver {
    /// It is ours now, and its session began with it.
    WithItsSession,
    /// It is ours now; others of its session were before.
    IntoItsSession,
    /// It was ours before.
    Before,
}

/// Why a token was not taken over now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It cannot be.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// A passing fault of a store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

// === impl OldSession ===

impl OldSession {
    /// Whose tokens they are.
    pub fn client(&self) -> &ClientId {
        &self.facts.client
    }
}

/// Without the tokens.
impl fmt::Debug for OldSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OldSession")
            .field("kind", &self.kind)
            .field("client", &self.facts.client)
            .finish_non_exhaustive()
    }
}

// === impl Unfit ===

impl Unfit {
    /// A short name that does not change.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::KeyBound => "key_bound",
            Self::SessionOver => "session_over",
            Self::NoGrant => "no_grant",
            Self::NoClient => "no_client",
            Self::Client(_) => "unfit_client",
            Self::NoIdentity => "no_identity",
            Self::OtherUser => "other_user",
            Self::NoResource => "no_resource",
            Self::TooOld => "too_old",
            Self::Ended => "ended",
            Self::OtherScopes => "other_scopes",
        }
    }
}
