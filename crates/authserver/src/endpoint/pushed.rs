//! `/request`: a client pushes its authorization request (RFC 9126).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use domain::{oauth_error::OAuthErrorCode, request::RequestContext, secret::SecretString};
use serde::Serialize;

use super::{
    authorize::asked, client_credentials, error::Refusal, never_stored, parameters::RESOURCE, token,
};
use crate::{
    AuthServer,
    flow::{
        authorize::Unusable,
        pushed::{self, PUSHED_LIFE, PushError},
    },
    server::Shared,
};

/// What is kept of a form besides the client's id, and nothing by which the client proves itself.
const KEPT: [&str; 12] = [
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    RESOURCE,
];

/// The successful answer (RFC 9126 §2.2).
#[derive(Serialize)]
struct Pushed<'a> {
    request_uri: &'a str,
    expires_in: u64,
}

pub(super) async fn push(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = match server.limits.charge(&context).await {
        Ok(()) => answer(&server, &context, &headers, body).await,
        Err(too_many) => Err(too_many.into()),
    };
    match answer {
        Ok(request_uri) => {
            let body = Pushed {
                request_uri: request_uri.expose(),
                expires_in: PUSHED_LIFE.as_secs(),
            };
            (StatusCode::CREATED, never_stored(), Json(body)).into_response()
        }
        Err(refusal) => AuthServer::refuse_uncounted("pushed authorization", &context, refusal),
    }
}

async fn answer(
    server: &AuthServer,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<SecretString, Refusal> {
    let form = token::form(headers, body)?;
    let shown = client_credentials::shown(headers, &form)?;
    let asker = client_credentials::asker(&shown);
    let network = context.network();
    let parameters = form.encode_only(&KEPT);
    pushed::push(server, shown, asked(&form), &parameters, network)
        .await
        .map_err(|error| Refusal::from(error).asked_by(asker))
}

impl From<PushError> for Refusal {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Client(error) => error.into(),
            PushError::OtherClient | PushError::RequestUri => Self::invalid_request(error),
            PushError::Target(unusable) => target(&unusable),
            PushError::Request(error) => Self::new(error.error, error.error_description),
            PushError::Unavailable(fault) => fault.into(),
        }
    }
}

/// RFC 9126 §2.3 has `invalid_request` for a redirect URI that is not valid.
fn target(unusable: &Unusable) -> Refusal {
    match unusable {
        Unusable::Document(fault) => fault.clone().into(),
        Unusable::UnknownClient { .. } | Unusable::MetadataDocument(_) => {
            Refusal::new(OAuthErrorCode::InvalidClient, unusable)
        }
        Unusable::ClientIdMissing
        | Unusable::Ambiguous
        | Unusable::NoRedirectUri(_)
        | Unusable::RedirectUriMissing(_)
        | Unusable::RedirectUriInvalid(..)
        | Unusable::RedirectUriUnregistered(..)
        | Unusable::RedirectHostForbidden(..)
        | Unusable::Unavailable(_) => Refusal::invalid_request(unusable),
    }
}
