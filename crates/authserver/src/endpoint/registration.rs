//! `/reg`: clients register themselves (RFC 7591).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    client::{ClientMetadata, GrantType, InvalidClientMetadata},
    oauth_error::OAuthErrorCode,
    request::RequestContext,
    secret::SecretString,
};
use serde::Serialize;
use serde_json::Value;

use super::{error::Refusal, never_stored};
use crate::{
    AuthServer,
    flow::registration::{self, Registered, RegistrationError},
    server::Shared,
};

/// The client information response (RFC 7591 §3.2.1): all that was registered.
#[derive(Serialize)]
struct ClientInformation<'a> {
    client_id: &'a str,
    client_id_issued_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    /// Needed where there is a secret; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u64>,
    #[serde(flatten)]
    metadata: &'a ClientMetadata,
    /// Those that belong to the grant types (RFC 7591 §2.1).
    response_types: &'static [&'static str],
}

/// The content type is not looked at: some clients send none, and the body speaks for itself.
pub(super) async fn register(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = match server.limits.charge(context.network()) {
        Ok(()) => answer(&server, body).await,
        Err(too_many) => Err(too_many.into()),
    };
    match answer {
        Ok(registered) => {
            let client = &registered.client;
            tracing::info!(
                request.id = %context.id, client.network = %context.network(),
                client.id = %client.id, client.name = client.metadata.client_name,
                "a client registered",
            );
            render(&registered)
        }
        Err(refusal) => AuthServer::refuse_uncounted("registration", &context, refusal),
    }
}

async fn answer(
    server: &AuthServer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Registered, Refusal> {
    let Ok(Value::Object(members)) = serde_json::from_slice(&body?) else {
        return Err(Refusal::new(
            OAuthErrorCode::InvalidClientMetadata,
            "the request body must be one JSON object",
        ));
    };
    Ok(registration::register(server, &members).await?)
}

fn render(registered: &Registered) -> Response {
    let client = &registered.client;
    let secret = registered.secret.as_ref();
    let body = ClientInformation {
        client_id: client.id.as_str(),
        client_id_issued_at: client.issued_at.as_unix(),
        client_secret: secret.map(SecretString::expose),
        client_secret_expires_at: secret.map(|_| 0),
        metadata: &client.metadata,
        response_types: if client.may_use(GrantType::AuthorizationCode) {
            &["code"]
        } else {
            &[]
        },
    };
    (StatusCode::CREATED, never_stored(), Json(body)).into_response()
}

impl From<RegistrationError> for Refusal {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Metadata(invalid) => Self::new(metadata_code(&invalid), invalid),
            RegistrationError::TooLarge => Self::new(OAuthErrorCode::InvalidClientMetadata, error),
            RegistrationError::Unavailable(fault) => fault.into(),
        }
    }
}

fn metadata_code(invalid: &InvalidClientMetadata) -> OAuthErrorCode {
    match invalid {
        InvalidClientMetadata::RedirectUri { .. }
        | InvalidClientMetadata::RedirectHost { .. }
        | InvalidClientMetadata::NoRedirectUri => OAuthErrorCode::InvalidRedirectUri,
        InvalidClientMetadata::Member { .. } => OAuthErrorCode::InvalidClientMetadata,
    }
}
