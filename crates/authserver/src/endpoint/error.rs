//! Refusals for machines: the error object of the RFCs, never stored by anybody; one log line.

use std::{fmt, time::Duration};

use axum::{
    Json,
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    oauth_error::{OAuthError, OAuthErrorCode},
    request::RequestContext,
};
use grants::Grants;
use store::StoreUnavailable;

use crate::{
    AuthServer,
    clients::documents::DocumentFault,
    endpoint::{
        bearer::Challenge,
        client_credentials::Asker,
        never_stored,
        parameters::{DuplicateParameter, InvalidParameters},
        retry_after,
    },
    limits::TooMany,
};

/// How clients prove themselves, beside each 401 (RFC 9110 §15.5.2), whichever way they tried.
const CLIENT_CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"token endpoint\", charset=\"UTF-8\"");

/// Why a machine's request is refused, with all that its answer needs.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: OAuthError,
    retry_after: Option<Duration>,
    /// For the operator only.
    cause: Option<String>,
    asker: Asker,
    /// Where a bearer token is asked for.
    challenge: Option<Box<Challenge>>,
}

// === impl Refusal ===

impl Refusal {
    /// A refusal with the status that belongs to the code.
    pub(crate) fn new(code: OAuthErrorCode, description: impl fmt::Display) -> Self {
        Self {
            status: StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST),
            error: OAuthError::new(code, description.to_string()),
            retry_after: None,
            cause: None,
            asker: Asker::default(),
            challenge: None,
        }
    }

    /// A request that breaks the rules of its endpoint.
    pub(crate) fn invalid_request(description: impl fmt::Display) -> Self {
        Self::new(OAuthErrorCode::InvalidRequest, description)
    }

    /// A body above the bound.
    pub(crate) fn too_large() -> Self {
        let description = format_args!(
            "the request body is larger than {} bytes",
            super::MAX_BODY_BYTES
        );
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::invalid_request(description)
        }
    }

    /// Says who asked, for the log.
    #[must_use]
    pub(crate) fn asked_by(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// Says which bearer token is asked for (RFC 6750 §3).
    #[must_use]
    pub(crate) fn challenged(self, challenge: Challenge) -> Self {
        Self {
            challenge: Some(Box::new(challenge)),
            ..self
        }
    }

    fn is_fault_of_asker(&self) -> bool {
        // A device that waits does no wrong, and a 429 would make it give up (RFC 8628 §3.5).
        let waits = matches!(
            self.error.error,
            OAuthErrorCode::AuthorizationPending | OAuthErrorCode::SlowDown
        );
        self.status.is_client_error() && self.status != StatusCode::TOO_MANY_REQUESTS && !waits
    }
}

impl From<StoreUnavailable> for Refusal {
    fn from(fault: StoreUnavailable) -> Self {
        const DESCRIPTION: &str =
            "the server cannot reach its store right now; nothing is lost, try again shortly";
        Self {
            retry_after: Some(Grants::RETRY_AFTER),
            cause: Some(fault.to_string()),
            ..Self::new(OAuthErrorCode::TemporarilyUnavailable, DESCRIPTION)
        }
    }
}

/// A client whose document cannot be had right now is not unknown: it must keep its tokens.
impl From<DocumentFault> for Refusal {
    fn from(fault: DocumentFault) -> Self {
        if fault.is_passing() {
            Self {
                retry_after: Some(Grants::RETRY_AFTER),
                ..Self::new(OAuthErrorCode::TemporarilyUnavailable, fault)
            }
        } else {
            Self::new(OAuthErrorCode::InvalidClient, fault)
        }
    }
}

/// A 429 carries the code on which clients keep their tokens.
impl From<TooMany> for Refusal {
    fn from(too_many: TooMany) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(too_many.retry_after),
            ..Self::new(OAuthErrorCode::TemporarilyUnavailable, too_many)
        }
    }
}

impl From<InvalidParameters> for Refusal {
    fn from(invalid: InvalidParameters) -> Self {
        Self::invalid_request(invalid)
    }
}

impl From<DuplicateParameter> for Refusal {
    fn from(duplicate: DuplicateParameter) -> Self {
        Self::invalid_request(duplicate)
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::too_large()
        } else {
            Self::invalid_request("the request body could not be read to its end")
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = if self
            .challenge
            .as_ref()
            .is_some_and(|challenge| challenge.is_first())
        {
            self.status.into_response()
        } else {
            (self.status, Json(&self.error)).into_response()
        };
        let headers = response.headers_mut();
        headers.extend(never_stored());
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, retry_after(wait));
        }
        if let Some(challenge) = &self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.header(&self.error));
        } else if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, CLIENT_CHALLENGE);
        }
        response
    }
}

// === impl AuthServer ===

impl AuthServer {
    /// Answers a refused request: logs it, and counts it against the asker where the fault is
    /// theirs. Who has used up their budget gets 429 in place of the reason.
    pub(crate) async fn refuse(
        &self,
        endpoint: &'static str,
        context: &RequestContext,
        refusal: Refusal,
    ) -> Response {
        let refusal = if refusal.is_fault_of_asker() {
            match self.limits.charge(context).await {
                Ok(()) => refusal,
                Err(too_many) => Refusal {
                    cause: Some(refusal.error.to_string()),
                    asker: refusal.asker,
                    ..Refusal::from(too_many)
                },
            }
        } else {
            refusal
        };
        Self::refuse_uncounted(endpoint, context, refusal)
    }

    /// Answers a refused request that was counted already, or is not to be.
    pub(crate) fn refuse_uncounted(
        endpoint: &'static str,
        context: &RequestContext,
        refusal: Refusal,
    ) -> Response {
        log(endpoint, context, &refusal);
        refusal.into_response()
    }
}

fn log(endpoint: &'static str, context: &RequestContext, refusal: &Refusal) {
    let status = refusal.status.as_u16();
    let code = refusal.error.error;
    let reason: &str = &refusal.error.error_description;
    let cause = refusal.cause.as_deref();
    let client = refusal.asker.client.as_deref();
    if refusal.status.is_server_error() {
        tracing::error!(
            request.id = %context.id, client.network = %context.network(), client.id = client,
            endpoint, status, error = %code, reason, cause, "request could not be answered",
        );
    } else {
        tracing::info!(
            request.id = %context.id, client.network = %context.network(), client.id = client,
            endpoint, status, error = %code, reason, cause, "request refused",
        );
    }
}

/// What is served nowhere.
pub(crate) async fn not_found() -> Response {
    not_served("nothing is served at this path")
}

/// A 404 in JSON, since clients probe paths and parse what they get.
pub(crate) fn not_served(description: &'static str) -> Response {
    let refusal = Refusal::invalid_request(description);
    Refusal {
        status: StatusCode::NOT_FOUND,
        ..refusal
    }
    .into_response()
}

/// A path that is served, asked with another method. The router adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    let refusal = Refusal::invalid_request("this path is not served for that method; see Allow");
    Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        ..refusal
    }
    .into_response()
}
