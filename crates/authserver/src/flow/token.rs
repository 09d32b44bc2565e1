//! Codes and refresh tokens become access tokens: one function per grant type.

use domain::{
    address::ClientNetwork,
    client::{Client, GrantType},
    pkce::CodeVerifier,
    scope::ScopeSet,
    secret::SecretString,
};
use grants::{DevicePoll, DevicePollError, IssuedTokens, Redemption, Rotation, TokenError};
use store::StoreUnavailable;

use super::{
    client_authentication::{self, ClientAuthenticationError, ShownCredentials},
    id_token,
    patience::Patience,
    resource::{self, ResourceError},
};
use crate::AuthServer;

/// The parameters of a token request that concern us, as they were given.
#[derive(Default)]
pub(crate) struct TokenForm<'a> {
    pub(crate) grant_type: Option<&'a str>,
    pub(crate) code: Option<&'a str>,
    pub(crate) redirect_uri: Option<&'a str>,
    pub(crate) code_verifier: Option<&'a str>,
    pub(crate) refresh_token: Option<&'a str>,
    pub(crate) device_code: Option<&'a str>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) resources: Vec<&'a str>,
}

/// What the client gets.
#[derive(Debug)]
pub(crate) struct TokenAnswer {
    pub(crate) tokens: IssuedTokens,
    /// Where `openid` was granted.
    pub(crate) id_token: Option<SecretString>,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRequestError {
    /// A parameter that the grant type needs.
    #[error("{0} is absent")]
    MissingParameter(&'static str),
    /// None of those that are served.
    #[error(
        "grant_type must be one that the metadata names: authorization_code, refresh_token, or, where it is offered, urn:ietf:params:oauth:grant-type:device_code"
    )]
    UnsupportedGrantType,
    /// Not in the client's registration.
    #[error("this client did not register for this grant_type")]
    GrantTypeNotRegistered,
    /// RFC 7636 §4.1.
    #[error("code_verifier must be 43 to 128 of the characters A-Z a-z 0-9 - . _ ~")]
    MalformedVerifier,
    /// Not scope tokens.
    #[error("scope must be scope tokens separated by spaces")]
    InvalidScope,
    /// Another MCP server than any of ours, or several.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// The client is unknown or could not prove itself.
    #[error(transparent)]
    Client(#[from] ClientAuthenticationError),
    /// The code or token was refused.
    #[error(transparent)]
    Grant(#[from] TokenError),
    /// A device has to wait, or was refused.
    #[error(transparent)]
    Device(#[from] DevicePollError),
}

/// One request, and what was found out about it.
struct Asked<'a> {
    server: &'a AuthServer,
    client: &'a Client,
    form: &'a TokenForm<'a>,
    network: ClientNetwork,
    patience: Patience,
}

/// Answers a token request, from the store alone.
///
/// # Errors
/// See [`TokenRequestError`].
pub(crate) async fn answer(
    server: &AuthServer,
    shown: ShownCredentials<'_>,
    form: TokenForm<'_>,
    network: ClientNetwork,
) -> Result<TokenAnswer, TokenRequestError> {
    let patience = Patience::begin();
    let grant_type = grant_type(&form, server.settings.device_flow)?;
    let client =
        client_authentication::authenticate(&server.clients, shown, network, patience).await?;
    let asked = Asked {
        server,
        client: &client,
        form: &form,
        network,
        patience,
    };
    let tokens = match grant_type {
        GrantType::AuthorizationCode => authorization_code(&asked).await?,
        GrantType::RefreshToken => refresh_token(&asked).await?,
        GrantType::DeviceCode => device_code(&asked).await?,
    };
    keep_client(&asked).await;
    let id_token = id_token(&asked, &tokens);
    Ok(TokenAnswer { tokens, id_token })
}

fn grant_type(form: &TokenForm<'_>, device_flow: bool) -> Result<GrantType, TokenRequestError> {
    let asked = form
        .grant_type
        .ok_or(TokenRequestError::MissingParameter("grant_type"))?;
    GrantType::ALL
        .into_iter()
        .filter(|known| device_flow || *known != GrantType::DeviceCode)
        .find(|known| known.as_str() == asked)
        .ok_or(TokenRequestError::UnsupportedGrantType)
}

async fn authorization_code(asked: &Asked<'_>) -> Result<IssuedTokens, TokenRequestError> {
    let missing = TokenRequestError::MissingParameter;
    let code = asked.form.code.ok_or(missing("code"))?;
    let verifier = asked.form.code_verifier.ok_or(missing("code_verifier"))?;
    let verifier = CodeVerifier::parse(verifier).ok_or(TokenRequestError::MalformedVerifier)?;
    let resource = asked.resource()?;
    let redemption = Redemption {
        code,
        client: &asked.client.id,
        redirect_uri: asked.form.redirect_uri,
        verifier: Some(&verifier),
        resource,
        network: asked.network,
    };
    let redeemed = asked.server.grants.redeem(redemption);
    Ok(asked.patience.once(redeemed).await?)
}

async fn refresh_token(asked: &Asked<'_>) -> Result<IssuedTokens, TokenRequestError> {
    let refresh_token = asked
        .form
        .refresh_token
        .ok_or(TokenRequestError::MissingParameter("refresh_token"))?;
    let resource = asked.resource()?;
    let scopes = asked.scopes()?;
    let rotated = asked.server.grants.rotate(Rotation {
        refresh_token,
        client: &asked.client.id,
        is_confidential: asked.client.is_confidential(),
        scopes: scopes.as_ref(),
        resource,
        network: asked.network,
    });
    Ok(asked.patience.once(rotated).await?)
}

/// A poll (RFC 8628 §3.4).
async fn device_code(asked: &Asked<'_>) -> Result<IssuedTokens, TokenRequestError> {
    if !asked.client.may_use(GrantType::DeviceCode) {
        return Err(TokenRequestError::GrantTypeNotRegistered);
    }
    let device_code = asked
        .form
        .device_code
        .ok_or(TokenRequestError::MissingParameter("device_code"))?;
    let polled = asked.server.grants.poll_device(DevicePoll {
        device_code,
        client: &asked.client.id,
        resource: asked.resource()?,
        network: asked.network,
    });
    Ok(asked.patience.once(polled).await?)
}

// === impl Asked ===

impl Asked<'_> {
    fn resource(&self) -> Result<Option<&domain::resource::Resource>, ResourceError> {
        let indicators = self.form.resources.iter().copied();
        let named = resource::requested(&self.server.settings.resources, indicators)?;
        Ok(named.map(|protected| &protected.resource))
    }

    /// The scopes asked for. Those that are not offered here at all were dropped at the login and
    /// are dropped again: some clients repeat what they first asked.
    fn scopes(&self) -> Result<Option<ScopeSet>, TokenRequestError> {
        let Some(asked) = self.form.scope else {
            return Ok(None);
        };
        let asked = ScopeSet::parse(asked).map_err(|_| TokenRequestError::InvalidScope)?;
        let offered = asked.intersection(&self.server.settings.offered_scopes());
        Ok((!offered.is_empty()).then_some(offered))
    }
}

/// A registration outlives its grants. The tokens are the client's all the same if this fails.
async fn keep_client(asked: &Asked<'_>) {
    let kept = asked.server.clients.keep(&asked.client.id);
    match asked.patience.once::<_, StoreUnavailable>(kept).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            client.id = %asked.client.id,
            "a client was forgotten while it got tokens; it will have to register anew"
        ),
        Err(fault) => tracing::warn!(
            client.id = %asked.client.id, cause = %fault,
            "a client's registration could not be extended; the next token request tries again"
        ),
    }
}

fn id_token(asked: &Asked<'_>, tokens: &IssuedTokens) -> Option<SecretString> {
    if !tokens.scopes.contains("openid") {
        return None;
    }
    let server = asked.server;
    let issuer = server.settings.base_url.issuer();
    let now = server.clock.now();
    match id_token::sign(&server.keys.current(), issuer, asked.client, tokens, now) {
        Ok(token) => Some(token),
        // No session may end for it, and few clients look at an ID token.
        Err(error) => {
            tracing::error!(cause = %error, "an ID token could not be signed and is left out");
            None
        }
    }
}
