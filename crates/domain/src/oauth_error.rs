//! OAuth error codes and the error object that clients receive.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};

/// The error codes of the RFCs whose endpoints are served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OAuthErrorCode {
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2: the client is unknown or could not prove itself.
    InvalidClient,
    /// RFC 6749 §5.2: code or refresh token is dead for good. Clients throw it away.
    InvalidGrant,
    /// RFC 6749 §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidScope,
    /// RFC 6749 §4.1.2.1: the person, or the identity provider for them, said no.
    AccessDenied,
    /// RFC 6749 §4.1.2.1.
    ServerError,
    /// RFC 6749 §4.1.2.1: try again later. Clients keep their tokens.
    TemporarilyUnavailable,
    /// RFC 8628 §3.5: nobody has said yes or no yet.
    AuthorizationPending,
    /// RFC 8628 §3.5: nobody has, and the device asks too often.
    SlowDown,
    /// RFC 8628 §3.5: nobody did in time.
    ExpiredToken,
    /// RFC 8707 §2.
    InvalidTarget,
    /// RFC 6750 §3.1: the access token opens nothing (any more).
    InvalidToken,
    /// RFC 6750 §3.1: the access token is good, but not for this.
    InsufficientScope,
    /// RFC 7591 §3.2.2.
    InvalidRedirectUri,
    /// RFC 7591 §3.2.2.
    InvalidClientMetadata,
    /// OpenID Connect Core §3.1.2.6.
    LoginRequired,
    /// OpenID Connect Core §3.1.2.6.
    RequestNotSupported,
    /// OpenID Connect Core §3.1.2.6.
    RequestUriNotSupported,
}

/// The error object of RFC 6749 §5.2: a code for programs, a text for whoever reads the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OAuthError {
    /// The code.
    pub error: OAuthErrorCode,
    /// What happened, why, and what to do: printable ASCII without `"` and `\`.
    pub error_description: Cow<'static, str>,
}

// === impl OAuthErrorCode ===

impl OAuthErrorCode {
    /// The code as it goes over the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
        }
    }

    /// The HTTP status with which an endpoint for machines answers it.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidClient | Self::InvalidToken => 401,
            Self::InsufficientScope => 403,
            Self::ServerError => 500,
            Self::TemporarilyUnavailable => 503,
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::UnsupportedResponseType
            | Self::InvalidScope
            | Self::AccessDenied
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::ExpiredToken
            | Self::InvalidTarget
            | Self::InvalidRedirectUri
            | Self::InvalidClientMetadata
            | Self::LoginRequired
            | Self::RequestNotSupported
            | Self::RequestUriNotSupported => 400,
        }
    }
}

impl fmt::Display for OAuthErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for OAuthErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

// === impl OAuthError ===

impl OAuthError {
    /// An error with its description. Characters that RFC 6749 §5.2 does not allow in a
    /// description are replaced, since parts of it may come from the request.
    pub fn new(error: OAuthErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        let fits =
            |character| matches!(character, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        let error_description = if description.chars().all(fits) {
            description
        } else {
            let clean = |character| match character {
                '"' => '\'',
                other if fits(other) => other,
                _ => '?',
            };
            Cow::Owned(description.chars().map(clean).collect())
        };
        Self {
            error,
            error_description,
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.error, self.error_description)
    }
}

impl std::error::Error for OAuthError {}
