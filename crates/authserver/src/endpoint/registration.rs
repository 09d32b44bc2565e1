//! `/reg`: clients register themselves (RFC 7591).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use domain::{
    client::{ClientMetadata, GrantType, InvalidClientMetadata},
    metadata::path,
    oauth_error::OAuthErrorCode,
    request::RequestContext,
    secret::{SecretBytes, SecretString},
};
use serde::Serialize;
use serde_json::{Map, Value};
use store::seal::sha256;

use super::{bearer::BearerRealm, error::Refusal, never_stored};
use crate::{
    AuthServer,
    flow::registration::{self, Registered, RegistrationError},
    server::Shared,
};

/// Where bearer tokens stand for the right to register, or to change a registration.
pub(super) const REALM: BearerRealm = BearerRealm("registration");

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
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_access_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_client_uri: Option<String>,
    #[serde(flatten)]
    metadata: &'a ClientMetadata,
    /// Those that belong to the grant types (RFC 7591 §2.1).
    response_types: &'static [&'static str],
}

/// The content type is not looked at: some clients send none, and the body speaks for itself.
pub(super) async fn register(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = match server.limits.charge(&context).await {
        Ok(()) => answer(&server, &headers, body).await,
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
            render(&server, StatusCode::CREATED, &registered)
        }
        Err(refusal) => AuthServer::refuse_uncounted("registration", &context, refusal),
    }
}

async fn answer(
    server: &AuthServer,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Registered, Refusal> {
    if let Some(needed) = &server.settings.registration.initial_token {
        let hash = |text: &str| SecretBytes::new(sha256(text.as_bytes()));
        if hash(REALM.token(headers, &[])?) != hash(needed.expose()) {
            return Err(REALM.invalid_token(
                "this is not the initial access token that the operator of this server gives out",
            ));
        }
    }
    Ok(registration::register(server, &members(body)?).await?)
}

/// The one JSON object of a body.
pub(super) fn members(body: Result<Bytes, BytesRejection>) -> Result<Map<String, Value>, Refusal> {
    let Ok(Value::Object(members)) = serde_json::from_slice(&body?) else {
        return Err(Refusal::new(
            OAuthErrorCode::InvalidClientMetadata,
            "the request body must be one JSON object",
        ));
    };
    Ok(members)
}

pub(super) fn render(server: &AuthServer, status: StatusCode, registered: &Registered) -> Response {
    let token = registered.management_token.as_ref();
    let client = &registered.client;
    let secret = registered.secret.as_ref();
    let body = ClientInformation {
        client_id: client.id.as_str(),
        client_id_issued_at: client.issued_at.as_unix(),
        client_secret: secret.map(SecretString::expose),
        client_secret_expires_at: client.secret_hash.map(|_| 0),
        registration_access_token: token.map(SecretString::expose),
        registration_client_uri: token.map(|_| {
            let below = format!("{}/{}", path::REGISTRATION, client.id);
            server.settings.base_url.join(&below)
        }),
        metadata: &client.metadata,
        response_types: if client.may_use(GrantType::AuthorizationCode) {
            &["code"]
        } else {
            &[]
        },
    };
    (status, never_stored(), Json(body)).into_response()
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
