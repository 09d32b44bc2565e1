//! What is asked of the life of a grant, and what it answers.

use std::{fmt, time::Duration};

use domain::{
    address::ClientNetwork,
    id::{ClientId, GrantId, Subject},
    pkce::{CodeChallenge, CodeVerifier},
    rate::Rate,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::Timestamp,
};
use idp::provider::Identity;
use store::StoreUnavailable;

/// Our times are whole seconds: one may be lost to that alone.
const LEAST_GRACE: Duration = Duration::from_secs(2);
const MOST_GRACE: Duration = Duration::from_secs(10);

/// The lives of what is issued, and how strict the refresh line is.
#[derive(Clone, Debug)]
pub struct GrantSettings {
    /// Our issuer: part of every key, so that a store copied under another base URL opens nothing.
    pub issuer: String,
    /// Life of an access token, as its client is told.
    pub access_life: Duration,
    /// A grant ends when it was not refreshed for so long.
    pub refresh_idle: Duration,
    /// A grant ends so long after its login, however much it is used.
    pub grant_life: Duration,
    /// How long a replaced refresh token is honoured from anywhere (`docs/conformance.md`, rule 2);
    /// zero is strict: none of the rules.
    pub refresh_window: Duration,
    /// Give a refresh token only where `offline_access` was granted.
    pub strict_offline_access: bool,
    /// Bound of the memory for live sessions, in bytes.
    pub cache_bytes: u64,
    /// How long sessions in memory go on while a store that others write to is away.
    pub store_grace: Duration,
    /// How many requests one session may make at the MCP endpoint; `None` is without a bound.
    pub session_requests: Option<Rate>,
}

// === impl GrantSettings ===

impl GrantSettings {
    /// How long an access token is good beyond what its client is told.
    ///
    /// A client counts from when the answer arrived, and each call is on its way for a while. Some
    /// take a refusal for the end of their session and ask for a login (the MCP SDK for Python), so
    /// none may be refused before its own clock says that it is time to refresh.
    pub(crate) fn access_grace(&self) -> Duration {
        (self.access_life / 5).clamp(LEAST_GRACE, MOST_GRACE)
    }
}

/// A login that the identity provider confirmed, about to become a grant.
#[derive(Debug)]
pub struct CompletedLogin {
    /// Who asked.
    pub client: ClientId,
    /// What the access token will be good for.
    pub resource: Resource,
    /// Which of our scopes were granted.
    pub scopes: ScopeSet,
    /// The user and their tokens.
    pub identity: Identity,
    /// PKCE challenge of the authorization request.
    pub code_challenge: CodeChallenge,
    /// The redirect URI of the authorization request, as it was written.
    pub redirect_uri: String,
    /// The `nonce` to put into the ID token.
    pub nonce: Option<String>,
}

/// A request to redeem an authorization code; the client has already proven itself.
pub struct Redemption<'a> {
    /// The code as it was shown.
    pub code: &'a str,
    /// Who shows it.
    pub client: &'a ClientId,
    /// The redirect URI shown with it; it must be that of the authorization request where it was
    /// given (OAuth 2.1 no longer sends it).
    pub redirect_uri: Option<&'a str>,
    /// The PKCE verifier shown with it.
    pub verifier: Option<&'a CodeVerifier>,
    /// The resource asked for, where it was.
    pub resource: Option<&'a Resource>,
    /// Where the request came from.
    pub network: ClientNetwork,
}

/// A request to refresh; the client has already proven itself.
pub struct Rotation<'a> {
    /// The refresh token as it was shown.
    pub refresh_token: &'a str,
    /// Who shows it.
    pub client: &'a ClientId,
    /// Whether the client authenticated with a secret: such a client gets its refresh token back
    /// unchanged.
    pub is_confidential: bool,
    /// Scopes asked for, where they were; none may be new.
    pub scopes: Option<&'a ScopeSet>,
    /// The resource asked for, where it was.
    pub resource: Option<&'a Resource>,
    /// Where the request came from.
    pub network: ClientNetwork,
}

/// What a client gets.
#[derive(Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access_token: SecretString,
    /// How long it is good for. Shorter than the setting where the identity session ends earlier.
    pub expires_in: Duration,
    /// The refresh token, unless strictly none is given.
    pub refresh_token: Option<SecretString>,
    /// The scopes granted.
    pub scopes: ScopeSet,
    /// The public id of the grant (`sid` of the ID token).
    pub grant: GrantId,
    /// The user.
    pub subject: Subject,
    /// When the user authenticated, if the provider says so, else when the login completed.
    pub auth_time: Timestamp,
    /// The `nonce` of the authorization request; only when a code is redeemed.
    pub nonce: Option<String>,
}

// === impl Redemption ===

/// Without the code and what proves it.
impl fmt::Debug for Redemption<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Redemption")
            .field("client", &self.client)
            .field("resource", &self.resource)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

// === impl Rotation ===

/// Without the token.
impl fmt::Debug for Rotation<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rotation")
            .field("client", &self.client)
            .field("is_confidential", &self.is_confidential)
            .field("scopes", &self.scopes)
            .field("resource", &self.resource)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// Why no tokens are issued.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not a code or refresh token of ours, or one whose grant is forgotten.
    #[error("it is not known here, or has expired")]
    Unknown,
    /// Its grant was ended, or has reached the end of its life.
    #[error("the session was ended; log in again")]
    Ended,
    /// It belongs to another client. Ends nothing: a public client id is no secret.
    #[error("it was issued to another client")]
    WrongClient,
    /// The redirect URI differs from the authorization request's.
    #[error("redirect_uri differs from the one of the authorization request")]
    WrongRedirectUri,
    /// The PKCE verifier is absent or does not fit.
    #[error("code_verifier is absent or does not fit the code_challenge")]
    WrongVerifier,
    /// The code was used before.
    #[error("the code was used before")]
    CodeReplayed,
    /// A replaced refresh token outside of every rule that honours it: a theft signal, the grant
    /// was ended.
    #[error("the refresh token was replaced long ago and is shown from elsewhere: session ended")]
    RefreshReplayed,
    /// Another resource than the grant's (RFC 8707 §2).
    #[error("the token is not for this resource")]
    WrongResource,
    /// A scope that was not granted (RFC 6749 §6).
    #[error("a scope was asked for that was not granted; log in again to get it")]
    ScopeNotGranted,
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Why a bearer is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// Not an access token of ours: refused by form, without a look-up.
    #[error("the access token is not one of this server's")]
    Malformed,
    /// Well-formed, but it opens nothing (any more).
    #[error("the access token is not known here")]
    Unknown,
    /// Its time is over; a refresh gives a new one.
    #[error("the access token has expired")]
    Expired,
    /// Its grant was ended.
    #[error("the session was ended; log in again")]
    Ended,
    /// It is for another resource of ours.
    #[error("the access token is for another resource")]
    WrongResource,
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}
