//! `/token`: codes and refresh tokens become access tokens (RFC 6749 §3.2).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use domain::{oauth_error::OAuthErrorCode, request::RequestContext, secret::SecretString};
use grants::{DevicePollError, TokenError};
use serde::Serialize;

use super::{
    client_credentials::{self, InvalidAuthorization},
    error::Refusal,
    never_stored,
    parameters::Parameters,
};
use crate::{
    AuthServer,
    flow::{
        client_authentication::ClientAuthenticationError,
        token::{self, TokenAnswer, TokenForm, TokenRequestError},
    },
    server::Shared,
};

/// The successful answer (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).
#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
}

pub(super) async fn token(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match answer(&server, &context, &headers, body).await {
        Ok(answer) => render(&answer),
        Err(refusal) => server.refuse("token", &context, refusal).await,
    }
}

async fn answer(
    server: &AuthServer,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<TokenAnswer, Refusal> {
    let form = form(headers, body)?;
    let shown = client_credentials::shown(headers, &form)?;
    let asker = client_credentials::asker(&shown);
    let token_form = TokenForm {
        grant_type: form.get("grant_type"),
        code: form.get("code"),
        redirect_uri: form.get("redirect_uri"),
        code_verifier: form.get("code_verifier"),
        refresh_token: form.get("refresh_token"),
        device_code: form.get("device_code"),
        scope: form.get("scope"),
        resources: form.resources().collect(),
    };
    token::answer(server, shown, token_form, context.network())
        .await
        .map_err(|error| Refusal::from(error).asked_by(asker))
}

/// Reads the form of a request that clients must prove themselves in.
pub(super) fn form(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Parameters, Refusal> {
    if !is_form(headers) {
        let description = "the Content-Type must be application/x-www-form-urlencoded";
        return Err(Refusal::invalid_request(description));
    }
    let form = Parameters::parse(&body?)?;
    match form.duplicate() {
        Some(duplicate) => Err(duplicate.into()),
        None => Ok(form),
    }
}

/// Whether the body says of itself that it is a form. Some clients join the type of their MCP calls to
/// it when they refresh (MCP Inspector 1.0), and a refused refresh is a login: one of several counts.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let is_form = |kind: &str| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    };
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kinds| kinds.split(',').any(is_form))
}

fn render(answer: &TokenAnswer) -> Response {
    let tokens = &answer.tokens;
    let body = Tokens {
        access_token: tokens.access_token.expose(),
        token_type: "Bearer",
        expires_in: tokens.expires_in.as_secs(),
        refresh_token: tokens.refresh_token.as_ref().map(SecretString::expose),
        scope: tokens.scopes.to_string(),
        id_token: answer.id_token.as_ref().map(SecretString::expose),
    };
    (never_stored(), Json(body)).into_response()
}

// === impl Refusal ===

impl From<InvalidAuthorization> for Refusal {
    fn from(invalid: InvalidAuthorization) -> Self {
        Self::invalid_request(invalid)
    }
}

impl From<ClientAuthenticationError> for Refusal {
    fn from(error: ClientAuthenticationError) -> Self {
        use ClientAuthenticationError as Error;
        match error {
            Error::Missing | Error::SeveralMethods | Error::TwoIds => Self::invalid_request(error),
            Error::Assertion(_)
            | Error::AssertionMissing
            | Error::Unknown
            | Error::SecretMissing
            | Error::SecretUnexpected
            | Error::SecretWrong => Self::new(OAuthErrorCode::InvalidClient, error),
            Error::Document(fault) => fault.into(),
            Error::TooMany(too_many) => too_many.into(),
            Error::Unavailable(fault) => fault.into(),
        }
    }
}

impl From<TokenRequestError> for Refusal {
    fn from(error: TokenRequestError) -> Self {
        use TokenRequestError as Error;
        match error {
            Error::MissingParameter(_) | Error::MalformedVerifier => Self::invalid_request(error),
            Error::UnsupportedGrantType => Self::new(OAuthErrorCode::UnsupportedGrantType, error),
            Error::GrantTypeNotRegistered => Self::new(OAuthErrorCode::UnauthorizedClient, error),
            Error::InvalidScope => Self::new(OAuthErrorCode::InvalidScope, error),
            Error::Resource(error) => Self::new(OAuthErrorCode::InvalidTarget, error),
            Error::Client(error) => error.into(),
            Error::Grant(error) => error.into(),
            Error::Device(error) => error.into(),
        }
    }
}

/// RFC 8628 §3.5.
impl From<DevicePollError> for Refusal {
    fn from(error: DevicePollError) -> Self {
        use DevicePollError as Error;
        let code = match error {
            Error::Pending => OAuthErrorCode::AuthorizationPending,
            Error::SlowDown => OAuthErrorCode::SlowDown,
            Error::Expired => OAuthErrorCode::ExpiredToken,
            Error::Denied => OAuthErrorCode::AccessDenied,
            Error::Unknown | Error::Used | Error::WrongClient | Error::Ended => {
                OAuthErrorCode::InvalidGrant
            }
            Error::WrongResource => OAuthErrorCode::InvalidTarget,
            Error::Unavailable(fault) => return fault.into(),
        };
        Self::new(code, error)
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown
            | TokenError::Ended
            | TokenError::WrongClient
            | TokenError::WrongRedirectUri
            | TokenError::WrongVerifier
            | TokenError::CodeReplayed
            | TokenError::RefreshReplayed => Self::new(OAuthErrorCode::InvalidGrant, error),
            TokenError::WrongResource => Self::new(OAuthErrorCode::InvalidTarget, error),
            TokenError::ScopeNotGranted => Self::new(OAuthErrorCode::InvalidScope, error),
            TokenError::Unavailable(fault) => fault.into(),
        }
    }
}
