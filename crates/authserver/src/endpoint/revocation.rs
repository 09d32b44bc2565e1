//! `/token/revocation`: a client throws a token away (RFC 7009).

#[cfg(test)]
mod tests;

use axum::{
    Extension,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use domain::request::RequestContext;

use super::{client_credentials, error::Refusal, never_stored, token};
use crate::{
    AuthServer,
    flow::revocation::{self, RevocationError},
    server::Shared,
};

/// Answers 200 whatever the token is: the client can do nothing about it (RFC 7009 §2.2).
pub(super) async fn revoke(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match answer(&server, &context, &headers, body).await {
        Ok(()) => (StatusCode::OK, never_stored()).into_response(),
        Err(refusal) => server.refuse("revocation", &context, refusal).await,
    }
}

async fn answer(
    server: &AuthServer,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), Refusal> {
    let form = token::form(headers, body)?;
    let shown = client_credentials::shown(headers, &form)?;
    let asker = client_credentials::asker(&shown);
    revocation::revoke(server, shown, form.get("token"), context.network())
        .await
        .map_err(|error| Refusal::from(error).asked_by(asker))
}

impl From<RevocationError> for Refusal {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::MissingToken => Self::invalid_request(error),
            RevocationError::Client(error) => error.into(),
            RevocationError::Unavailable(fault) => fault.into(),
        }
    }
}
