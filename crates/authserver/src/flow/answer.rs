//! What a client gets at its redirect URI.

use domain::{
    oauth_error::{OAuthError, OAuthErrorCode},
    redirect_uri::RedirectUri,
    secret::SecretString,
};

use super::interaction::AuthorizationRequest;

/// An authorization response (RFC 6749 §4.1.2), on its way through the browser.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) redirect_uri: RedirectUri,
    state: Option<SecretString>,
    /// What the client is called, for the page that leads to it.
    pub(crate) client_name: String,
    pub(crate) outcome: Outcome,
}

/// Yes or no.
#[derive(Debug)]
pub(crate) enum Outcome {
    Code(SecretString),
    Error(OAuthError),
}

// === impl Answer ===

impl Answer {
    pub(crate) fn new(redirect_uri: RedirectUri, state: Option<&str>, outcome: Outcome) -> Self {
        Self {
            redirect_uri,
            state: state.map(SecretString::new),
            client_name: "the client".to_owned(),
            outcome,
        }
    }

    pub(crate) fn to(request: &AuthorizationRequest, outcome: Outcome) -> Self {
        Self {
            client_name: request.client_name.clone(),
            ..Self::new(
                request.redirect_uri.clone(),
                request.state.as_deref(),
                outcome,
            )
        }
    }

    pub(crate) fn refusal(
        request: &AuthorizationRequest,
        code: OAuthErrorCode,
        description: &'static str,
    ) -> Self {
        Self::to(request, Outcome::Error(OAuthError::new(code, description)))
    }

    /// The redirect URI with the response, the issuer included (RFC 9207).
    pub(crate) fn url(&self, issuer: &str) -> SecretString {
        let mut parameters = match &self.outcome {
            Outcome::Code(code) => vec![("code", code.expose())],
            Outcome::Error(error) => vec![
                ("error", error.error.as_str()),
                ("error_description", error.error_description.as_ref()),
            ],
        };
        if let Some(state) = &self.state {
            parameters.push(("state", state.expose()));
        }
        parameters.push(("iss", issuer));
        SecretString::new(self.redirect_uri.with_parameters(&parameters))
    }
}
