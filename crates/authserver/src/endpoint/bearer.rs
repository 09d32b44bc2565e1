//! The bearer of a request (RFC 6750): only the `Authorization` header carries one. A token in
//! query or form is none, since those end up in logs.

#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use axum::http::{HeaderMap, HeaderValue, header};
use domain::oauth_error::{OAuthError, OAuthErrorCode};

use super::{error::Refusal, parameters::Parameters};

/// What `WWW-Authenticate` says beside an error (RFC 6750 §3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Challenge {
    realm: &'static str,
    /// The scope that is needed, where that is what is lacking.
    scope: Option<&'static str>,
    /// Nobody was named: then nothing is wrong, and no error is told.
    is_first: bool,
}

/// Reads bearers for the endpoints of one realm.
#[derive(Clone, Copy, Debug)]
pub(super) struct BearerRealm(pub(super) &'static str);

// === impl BearerRealm ===

impl BearerRealm {
    /// The token, as it was shown. `parameters` are those of query and form.
    pub(super) fn token<'a>(
        self,
        headers: &'a HeaderMap,
        parameters: &[&Parameters],
    ) -> Result<&'a str, Refusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Err(self.nothing_shown());
        };
        if values.next().is_some() {
            return Err(self.invalid_request("there is more than one Authorization header"));
        }
        let read = domain::bearer::token(value.as_bytes());
        if matches!(read, Ok(None)) {
            return Err(self.nothing_shown());
        }
        if parameters
            .iter()
            .any(|parameters| parameters.contains("access_token"))
        {
            return Err(self.invalid_request(
                "access_token stands beside an Authorization header; send the header only",
            ));
        }
        match read {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(self.nothing_shown()),
            Err(malformed) => Err(self.invalid_request(malformed)),
        }
    }

    /// A token that opens nothing.
    pub(super) fn invalid_token(self, reason: impl fmt::Display) -> Refusal {
        Refusal::new(OAuthErrorCode::InvalidToken, reason).challenged(self.challenge())
    }

    /// A token that is good, but lacks a scope.
    pub(super) fn insufficient_scope(
        self,
        scope: &'static str,
        reason: impl fmt::Display,
    ) -> Refusal {
        Refusal::new(OAuthErrorCode::InsufficientScope, reason).challenged(Challenge {
            scope: Some(scope),
            ..self.challenge()
        })
    }

    fn nothing_shown(self) -> Refusal {
        const REASON: &str = "there is no bearer token in the Authorization header";
        Refusal::new(OAuthErrorCode::InvalidToken, REASON).challenged(Challenge {
            is_first: true,
            ..self.challenge()
        })
    }

    fn invalid_request(self, reason: impl fmt::Display) -> Refusal {
        Refusal::invalid_request(reason).challenged(self.challenge())
    }

    const fn challenge(self) -> Challenge {
        Challenge {
            realm: self.0,
            scope: None,
            is_first: false,
        }
    }
}

// === impl Challenge ===

impl Challenge {
    /// Whether the answer says nothing but how to begin (RFC 6750 §3.1: a request without any
    /// authentication is told no error).
    pub(super) const fn is_first(self) -> bool {
        self.is_first
    }

    /// The value of `WWW-Authenticate`. A description of [`OAuthError`] needs no quoting.
    pub(super) fn header(self, error: &OAuthError) -> HeaderValue {
        let mut text = format!("Bearer realm=\"{}\"", self.realm);
        if !self.is_first {
            let (code, reason) = (error.error, &error.error_description);
            // Writing to a string does not fail.
            let _ = write!(text, ", error=\"{code}\", error_description=\"{reason}\"");
        }
        if let Some(scope) = self.scope {
            let _ = write!(text, ", scope=\"{scope}\"");
        }
        // Only printable ASCII went in.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}
