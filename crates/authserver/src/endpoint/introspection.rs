//! `/token/introspection`: what a token is, as JSON (RFC 7662) or signed (RFC 9701).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use domain::{oauth_error::OAuthErrorCode, request::RequestContext};

use super::{client_credentials, error::Refusal, never_stored, token};
use crate::{
    AuthServer,
    flow::{
        client_authentication::ClientAuthenticationError,
        introspection::{self, Introspected, IntrospectionError},
    },
    server::Shared,
};

/// What a signed answer is called.
const SIGNED: &str = "application/token-introspection+jwt";

pub(super) async fn introspect(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answered = match answer(&server, &context, &headers, body).await {
        Ok(introspected) => render(&server, &headers, &introspected),
        Err(refusal) => Err(refusal),
    };
    match answered {
        Ok(response) => response,
        Err(refusal) => server.refuse("introspection", &context, refusal).await,
    }
}

async fn answer(
    server: &AuthServer,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Introspected, Refusal> {
    let form = token::form(headers, body)?;
    let shown = client_credentials::shown(headers, &form)?;
    let asker = client_credentials::asker(&shown);
    introspection::introspect(server, shown, form.get("token"), context.network())
        .await
        .map_err(|error| Refusal::from(error).asked_by(asker))
}

fn render(
    server: &AuthServer,
    headers: &HeaderMap,
    introspected: &Introspected,
) -> Result<Response, Refusal> {
    let vary = [(header::VARY, HeaderValue::from_static("Accept"))];
    if !wants_signed(headers) {
        let members = introspected.members(server.settings.base_url.issuer());
        return Ok((never_stored(), vary, Json(members)).into_response());
    }
    let token = introspected
        .signed(server, server.clock.now())
        .map_err(|error| Refusal::new(OAuthErrorCode::ServerError, error))?;
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(SIGNED))];
    let body = token.expose().to_owned();
    Ok((never_stored(), vary, kind, body).into_response())
}

/// Whether `Accept` names the signed form (RFC 9701 §4); ranges such as `*/*` mean JSON.
fn wants_signed(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_signed = parts
                .next()
                .is_some_and(|kind| kind.eq_ignore_ascii_case(SIGNED));
            is_signed && !parts.any(is_refusal)
        })
}

/// A weight of zero: not this one (RFC 9110 §12.4.2).
fn is_refusal(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0_f32)
    })
}

impl From<IntrospectionError> for Refusal {
    fn from(error: IntrospectionError) -> Self {
        match error {
            IntrospectionError::MissingToken => Self::invalid_request(error),
            // RFC 7662 §2.3: who may not ask gets 401.
            IntrospectionError::Client(ClientAuthenticationError::Missing)
            | IntrospectionError::PublicClient
            | IntrospectionError::McpServerSecret => {
                Self::new(OAuthErrorCode::InvalidClient, error)
            }
            IntrospectionError::Client(error) => error.into(),
            IntrospectionError::Unavailable(fault) => fault.into(),
        }
    }
}
