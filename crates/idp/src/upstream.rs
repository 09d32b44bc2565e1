//! An identity provider elsewhere: we are its relying party, one static OAuth client.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use domain::{id::Subject, pkce::CodeVerifier, scope::ScopeSet, secret::SecretString, time::Clock};
use url::Url;

use crate::provider::{Identity, IdentityRefresher, IdentityTokens, RefreshError};

/// Where the provider's metadata comes from.
#[derive(Clone, Debug)]
pub enum MetadataSource {
    /// OpenID Connect Discovery or RFC 8414 at this issuer (`IDENTITY_SERVER_URL`).
    Discovery(Url),
    /// A JSON file (`IDENTITY_SERVER_METADATA_FILE`).
    File(PathBuf),
}

/// What must be known of a provider before it can be used.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Where its metadata comes from.
    pub metadata: MetadataSource,
    /// The issuer the operator vouches for where the discovered one differs
    /// (`MCP_AUTH_PROXY_IDENTITY_ISSUER`); `{tenantid}` stands for any one path segment.
    pub issuer: Option<String>,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret there.
    pub client_secret: SecretString,
    /// Scopes to ask for.
    pub scope: ScopeSet,
    /// Our registered redirect URI, absolute.
    pub redirect_uri: String,
}

/// A provider whose metadata is known.
#[derive(Debug)]
pub struct UpstreamProvider {}

/// What is asked of the provider for one login.
#[derive(Clone, Debug, Default)]
pub struct LoginRequest<'a> {
    /// Ties the callback to the interaction.
    pub state: &'a str,
    /// `prompt` to pass on, if any.
    pub prompt: Option<&'a str>,
    /// `max_age` to pass on, in seconds.
    pub max_age: Option<u64>,
    /// `login_hint` to pass on.
    pub login_hint: Option<&'a str>,
}

/// What must be remembered until the callback: never shown to anybody.
#[derive(Clone, Debug)]
pub struct LoginSecrets {
    /// Ties the ID token to this login; sent as it is.
    pub nonce: SecretString,
    /// PKCE towards the provider.
    pub verifier: CodeVerifier,
}

/// Why the metadata of a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
    /// The provider did not answer usefully in spite of several tries.
    #[error("{0}")]
    Unreachable(String),
    /// A member that is needed is absent or wrong.
    #[error("{0}")]
    Invalid(String),
    /// The metadata names another issuer than was asked.
    #[error(
        "the identity provider calls itself {found}, but {expected} was configured; if that is right, \
         set MCP_AUTH_PROXY_IDENTITY_ISSUER={found}"
    )]
    IssuerMismatch {
        /// What was configured.
        expected: String,
        /// What the metadata says.
        found: String,
    },
}

/// Why a login at the provider did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The code was refused (`invalid_grant`): used, expired, or not ours. Login again helps.
    #[error("the identity provider refused the code: {0}")]
    Refused(String),
    /// The provider refuses us, not the user: our configuration is wrong.
    #[error("the identity provider refused our client: {0}")]
    Misconfigured(String),
    /// No answer, a 5xx, a 429: passing.
    #[error("the identity provider could not be asked: {0}")]
    Unavailable(String),
    /// The answer cannot be trusted (signature, issuer, audience, nonce, expiry, mix-up).
    #[error("the identity provider's answer is not valid: {0}")]
    Invalid(String),
}

// === impl UpstreamProvider ===

impl UpstreamProvider {
    /// Reads or discovers the provider's metadata; discovery is tried several times.
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub async fn connect(
        _settings: UpstreamSettings,
        _http: reqwest::Client,
        _clock: Arc<dyn Clock>,
    ) -> Result<Self, MetadataError> {
        todo!()
    }

    /// The provider's host, as people know it.
    pub fn display_name(&self) -> String {
        todo!()
    }

    /// The scopes asked there.
    pub fn scope(&self) -> &ScopeSet {
        todo!()
    }

    /// Where the browser is sent to log in.
    pub fn authorization_url(&self, _request: &LoginRequest<'_>, _secrets: &LoginSecrets) -> Url {
        todo!()
    }

    /// Checks the callback's `iss` (RFC 9207 §2.4): where the provider announces that it sends
    /// one, it must be there; where there is one, it must be the provider's.
    ///
    /// # Errors
    /// [`LoginError::Invalid`] on a mix-up.
    pub fn check_callback_issuer(&self, _iss: Option<&str>) -> Result<(), LoginError> {
        todo!()
    }

    /// Exchanges the callback's code for tokens, validates the ID token and finds out who it is.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn exchange(
        &self,
        _code: &str,
        _secrets: &LoginSecrets,
    ) -> Result<Identity, LoginError> {
        todo!()
    }
}

#[async_trait]
impl IdentityRefresher for UpstreamProvider {
    fn issuer(&self) -> &str {
        todo!()
    }

    fn can_refresh(&self, _tokens: &IdentityTokens) -> bool {
        todo!()
    }

    async fn refresh(
        &self,
        _subject: &Subject,
        _current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        todo!()
    }
}
