//! An identity provider elsewhere: we are its relying party, one static OAuth client.

mod id_token;
mod identifier;
mod keys;
mod login;
mod metadata;
mod more_parameters;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    id::Subject,
    pkce::CodeVerifier,
    scope::ScopeSet,
    secret::SecretString,
    time::{Clock, Timestamp},
};
use url::Url;

use self::{
    identifier::IdentifierRule,
    keys::PublishedKeys,
    metadata::{Pace, ProviderMetadata},
    token::{TokenAnswer, TokenEndpoint, TokenFailure},
};
pub use more_parameters::{InvalidParameters, MoreParameters};

use crate::{
    http,
    provider::{IdentityRefresher, IdentityTokens, RefreshError, RevokeFailed},
};

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
    /// What is added to each authorization request.
    pub more_parameters: MoreParameters,
    /// Our registered redirect URI, absolute.
    pub redirect_uri: String,
}

/// A provider whose metadata is known.
#[derive(Debug)]
pub struct UpstreamProvider {
    settings: UpstreamSettings,
    metadata: ProviderMetadata,
    identifier: IdentifierRule,
    token_endpoint: TokenEndpoint,
    revocation_endpoint: Option<TokenEndpoint>,
    keys: Option<PublishedKeys>,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// Bound for one request, body included.
    limit: Duration,
}

/// What is asked of the provider for one login.
#[derive(Clone, Default)]
pub struct LoginRequest<'a> {
    /// Ties the callback to the interaction.
    pub state: &'a str,
    /// `prompt` to pass on, if any.
    pub prompt: Option<&'a str>,
    /// `max_age` to pass on, in seconds.
    pub max_age: Option<u64>,
    /// `login_hint` to pass on.
    pub login_hint: Option<&'a str>,
    /// Scopes asked there besides those of every login.
    pub more_scopes: ScopeSet,
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

/// Whether a provider's metadata file can be used; `vouched` is the issuer that the operator vouches
/// for. Asks nobody.
///
/// # Errors
/// See [`MetadataError`].
pub fn check_metadata_file(path: &Path, vouched: Option<&str>) -> Result<(), MetadataError> {
    ProviderMetadata::check_file(path, vouched)
}

// === impl UpstreamProvider ===

impl UpstreamProvider {
    /// Reads or discovers the provider's metadata; discovery is tried five times within 20 s.
    ///
    /// `http` is to be made by [`http_client`](crate::http_client): it must not follow redirects,
    /// nor keep connections idle for more than 5 s (what a refresh over a dead one has done is
    /// unknown).
    ///
    /// # Errors
    /// See [`MetadataError`].
    pub async fn connect(
        settings: UpstreamSettings,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MetadataError> {
        Self::connect_at(settings, http, clock, &Pace::default(), http::ATTEMPT).await
    }

    async fn connect_at(
        settings: UpstreamSettings,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        pace: &Pace,
        limit: Duration,
    ) -> Result<Self, MetadataError> {
        let metadata = ProviderMetadata::load(&settings, &http, pace).await?;
        let identifier = IdentifierRule::of(&metadata, &settings.scope);
        tracing::debug!(
            identity.issuer = metadata.issuer.as_str(),
            identifier = ?identifier,
            "the identity provider's metadata is known"
        );
        let token_endpoint = TokenEndpoint {
            url: metadata.token_endpoint.clone(),
            authentication: metadata.client_authentication,
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            limit,
        };
        let revocation_endpoint = metadata
            .revocation_endpoint
            .as_ref()
            .map(|(url, authentication)| token_endpoint.at(url.clone(), *authentication));
        let keys = metadata
            .jwks_uri
            .clone()
            .map(|url| PublishedKeys::new(url, limit, Arc::clone(&clock)));
        Ok(Self {
            settings,
            metadata,
            identifier,
            token_endpoint,
            revocation_endpoint,
            keys,
            http,
            clock,
            limit,
        })
    }

    /// The provider's host, as people know it.
    pub fn display_name(&self) -> String {
        let host = |url: &Url| url.host_str().map(str::to_owned);
        Url::parse(self.metadata.issuer.as_str())
            .ok()
            .as_ref()
            .and_then(host)
            .or_else(|| host(&self.metadata.authorization_endpoint))
            .unwrap_or_default()
    }

    /// The scopes asked there in a login that needs `more` than every login does.
    pub fn scopes_with(&self, more: &ScopeSet) -> ScopeSet {
        self.settings.scope.union(more)
    }

    /// The `prompt` with which the provider lets a person use another account.
    pub fn account_prompt(&self) -> &'static str {
        if self.metadata.lacks_account_choice {
            "login"
        } else {
            "select_account"
        }
    }

    /// Checks the callback's `iss` (RFC 9207 §2.4): where the provider announces that it sends
    /// one, it must be there; where there is one, it must be the provider's.
    ///
    /// # Errors
    /// [`LoginError::Invalid`] on a mix-up.
    pub fn check_callback_issuer(&self, iss: Option<&str>) -> Result<(), LoginError> {
        match iss {
            Some(iss) if self.metadata.issuer.accepts(iss, None) => Ok(()),
            Some(_) => Err(LoginError::Invalid(
                "the callback comes from another issuer (`iss`)".to_owned(),
            )),
            None if self.metadata.sends_issuer => Err(LoginError::Invalid(
                "the callback does not name its issuer (`iss`), which this provider always does"
                    .to_owned(),
            )),
            None => Ok(()),
        }
    }

    /// What an answer means for a session. An answer that leaves `scope` out means that all that
    /// was asked is granted (RFC 6749 §5.1). `asked` is when it was asked for: lifetimes are counted
    /// from there, so that ours never outlasts the provider's.
    fn tokens(answer: TokenAnswer, asked: Timestamp, scopes: &ScopeSet) -> IdentityTokens {
        IdentityTokens {
            access_token: answer.access_token,
            refresh_token: answer.refresh_token,
            expires_at: answer.expires_in.map(|life| asked.plus(life)),
            issued_at: asked,
            scope: answer.scope.unwrap_or_else(|| scopes.to_string()),
            id_token: answer.id_token,
            extra: answer.extra,
        }
    }
}

#[async_trait]
impl IdentityRefresher for UpstreamProvider {
    fn issuer(&self) -> &str {
        self.metadata.issuer.as_str()
    }

    fn can_refresh(&self, tokens: &IdentityTokens) -> bool {
        tokens.refresh_token.is_some()
    }

    async fn refresh(
        &self,
        _subject: &Subject,
        current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        let refresh_token = current
            .refresh_token
            .as_ref()
            .ok_or(RefreshError::NoRefreshToken)?
            .expose();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        let asked = self.clock.now();
        let mut answer = self
            .token_endpoint
            .ask(&self.http, &form, &[refresh_token])
            .await?;
        answer.carry_over(current);
        Ok(Self::tokens(answer, asked, &self.settings.scope))
    }

    fn can_revoke(&self) -> bool {
        self.revocation_endpoint.is_some()
    }

    async fn revoke(&self, tokens: &IdentityTokens) -> Result<(), RevokeFailed> {
        let Some(endpoint) = &self.revocation_endpoint else {
            return Ok(());
        };
        let (token, kind) = match &tokens.refresh_token {
            Some(token) => (token.expose(), "refresh_token"),
            None => (tokens.access_token.expose(), "access_token"),
        };
        let form = [("token", token), ("token_type_hint", kind)];
        endpoint
            .tell(&self.http, &form, &[token])
            .await
            .map_err(|failure| RevokeFailed(failure.into_reason()))
    }
}

impl fmt::Debug for LoginRequest<'_> {
    /// Without `state`, which is as good as a credential until the callback.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginRequest")
            .field("prompt", &self.prompt)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

impl From<TokenFailure> for RefreshError {
    fn from(failure: TokenFailure) -> Self {
        match failure {
            TokenFailure::Refused(reason) => Self::Refused(reason),
            TokenFailure::Misconfigured(reason) => Self::Misconfigured(reason),
            TokenFailure::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

impl From<TokenFailure> for LoginError {
    fn from(failure: TokenFailure) -> Self {
        match failure {
            TokenFailure::Refused(reason) => Self::Refused(reason),
            TokenFailure::Misconfigured(reason) => Self::Misconfigured(reason),
            TokenFailure::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}
