//! `/me`: what is known about the user of an access token (OpenID Connect Core 1.0 §5.3).

#[cfg(test)]
mod tests;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};
use domain::request::RequestContext;
use serde_json::{Map, Value};

use super::{bearer::BearerRealm, error::Refusal, never_stored, parameters::Parameters, token};
use crate::{
    AuthServer,
    flow::userinfo::{self, UserinfoError},
    server::Shared,
};

const REALM: BearerRealm = BearerRealm("userinfo");

/// By GET and by POST, which differ in nothing.
pub(super) async fn userinfo(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match answer(&server, &uri, &headers, body).await {
        Ok(claims) => (never_stored(), Json(claims)).into_response(),
        Err(refusal) => server.refuse("userinfo", &context, refusal).await,
    }
}

async fn answer(
    server: &AuthServer,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Map<String, Value>, Refusal> {
    let query = Parameters::parse(uri.query().unwrap_or_default().as_bytes())?;
    let body = body?;
    let form = if token::is_form(headers) {
        Parameters::parse(&body)?
    } else {
        Parameters::parse(&[])?
    };
    let token = REALM.token(headers, &[&query, &form])?;
    Ok(userinfo::claims(server, token).await?)
}

impl From<UserinfoError> for Refusal {
    fn from(error: UserinfoError) -> Self {
        match error {
            UserinfoError::Token(_) | UserinfoError::RefreshToken => REALM.invalid_token(error),
            UserinfoError::ScopeMissing => REALM.insufficient_scope("openid", error),
            UserinfoError::Unavailable(fault) => fault.into(),
        }
    }
}
