//! `/device/auth`: a device without a browser asks for codes (RFC 8628 §3.1).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use domain::{metadata::path, oauth_error::OAuthErrorCode, request::RequestContext};
use grants::DeviceAuthorization;
use serde::Serialize;

use super::{client_credentials, error::Refusal, never_stored, token};
use crate::{
    AuthServer,
    flow::device::{self, DeviceAuthorizationError, DeviceForm},
    server::Shared,
};

/// The successful answer (RFC 8628 §3.2).
#[derive(Serialize)]
struct Codes<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: &'a str,
    expires_in: u64,
    interval: u64,
}

/// Counted against the asker's address whatever comes of it: each one is a code more that guesses
/// can hit.
pub(super) async fn authorize(
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
        Ok(begun) => render(&server, &begun),
        Err(refusal) => AuthServer::refuse_uncounted("device authorization", &context, refusal),
    }
}

async fn answer(
    server: &AuthServer,
    context: &RequestContext,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<DeviceAuthorization, Refusal> {
    let form = token::form(headers, body)?;
    let shown = client_credentials::shown(headers, &form)?;
    let asker = client_credentials::asker(&shown);
    let device_form = DeviceForm {
        scope: form.get("scope"),
        resources: form.resources().collect(),
    };
    device::begin(server, shown, device_form, context.address)
        .await
        .map_err(|error| Refusal::from(error).asked_by(asker))
}

fn render(server: &AuthServer, begun: &DeviceAuthorization) -> Response {
    let user_code = begun.user_code.expose_text();
    let page = server.settings.base_url.join(path::DEVICE);
    let body = Codes {
        device_code: begun.device_code.expose(),
        user_code: &user_code,
        verification_uri: &page,
        verification_uri_complete: &format!("{page}?user_code={user_code}"),
        expires_in: begun.expires_in.as_secs(),
        interval: begun.interval.as_secs(),
    };
    (never_stored(), Json(body)).into_response()
}

impl From<DeviceAuthorizationError> for Refusal {
    fn from(error: DeviceAuthorizationError) -> Self {
        use DeviceAuthorizationError as Error;
        match error {
            Error::Client(error) => error.into(),
            Error::NotRegistered => Self::new(OAuthErrorCode::UnauthorizedClient, error),
            Error::Scope(error) => Self::new(error.error, error.error_description),
            Error::Resource(_) | Error::ResourceMissing => {
                Self::new(OAuthErrorCode::InvalidTarget, error)
            }
            Error::Unavailable(fault) => fault.into(),
        }
    }
}
