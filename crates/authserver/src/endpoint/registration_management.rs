//! `/reg/{client_id}`: a client looks at its registration, changes it, takes it back (RFC 7592).

#[cfg(test)]
mod tests;

use axum::{
    Extension,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use domain::{oauth_error::OAuthErrorCode, request::RequestContext};

use super::{
    Segment,
    error::Refusal,
    never_stored,
    registration::{REALM, members, render},
};
use crate::{
    AuthServer,
    flow::registration_management::{ManagementError, Manager},
    server::Shared,
};

/// All methods of the endpoint.
pub(super) fn methods() -> MethodRouter<Shared> {
    get(read).put(replace).delete(forget)
}

async fn read(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    Segment(client_id): Segment,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let registered = manager(&server, &client_id, &headers)?.read().await?;
        Ok(render(&server, StatusCode::OK, &registered))
    };
    rendered(&server, &context, answer.await).await
}

async fn replace(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    Segment(client_id): Segment,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let answer = async {
        let manager = manager(&server, &client_id, &headers)?;
        let registered = manager.replace(&members(body)?).await?;
        tracing::info!(
            request.id = %context.id, client.network = %context.network(),
            client.id = %registered.client.id, "a client changed its registration",
        );
        Ok(render(&server, StatusCode::OK, &registered))
    };
    rendered(&server, &context, answer.await).await
}

async fn forget(
    State(server): State<Shared>,
    Extension(context): Extension<RequestContext>,
    Segment(client_id): Segment,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        manager(&server, &client_id, &headers)?.forget().await?;
        tracing::info!(
            request.id = %context.id, client.network = %context.network(),
            client.id = %client_id, "a client took its registration back",
        );
        Ok((StatusCode::NO_CONTENT, never_stored()).into_response())
    };
    rendered(&server, &context, answer.await).await
}

fn manager<'a>(
    server: &'a AuthServer,
    client_id: &'a str,
    headers: &'a HeaderMap,
) -> Result<Manager<'a>, Refusal> {
    Ok(Manager {
        server,
        client_id,
        token: REALM.token(headers, &[])?,
    })
}

async fn rendered(
    server: &AuthServer,
    context: &RequestContext,
    answer: Result<Response, Refusal>,
) -> Response {
    match answer {
        Ok(response) => response,
        Err(refusal) => {
            server
                .refuse("registration management", context, refusal)
                .await
        }
    }
}

impl From<ManagementError> for Refusal {
    fn from(error: ManagementError) -> Self {
        match error {
            ManagementError::Unauthorized => REALM.invalid_token(error),
            ManagementError::NotYours(_)
            | ManagementError::OtherClient
            | ManagementError::OtherSecret => {
                Self::new(OAuthErrorCode::InvalidClientMetadata, error)
            }
            ManagementError::Registration(error) => error.into(),
            ManagementError::Unavailable(fault) => fault.into(),
        }
    }
}
