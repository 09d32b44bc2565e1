//! How an interaction ends: with what a client gets at its redirect URI, or with a page, where a
//! device asks by itself.

use domain::{oauth_error::OAuthError, redirect_uri::RedirectUri, secret::SecretString};

use super::interaction::Redirect;

/// An authorization response (RFC 6749 §4.1.2), on its way through the browser.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) redirect_uri: RedirectUri,
    state: Option<SecretString>,
    /// What the client is called, for the page that leads to it.
    pub(crate) client_name: String,
    pub(crate) outcome: Outcome,
}

/// The end of an interaction.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The browser takes this to the client.
    Client(Answer),
    /// The device learns of it by itself; the person is told.
    Device {
        /// What the client is called.
        client_name: String,
        outcome: DeviceOutcome,
    },
}

/// What became of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceOutcome {
    Allowed,
    Refused,
    /// The identity provider had no answer; the device may still be allowed.
    StillWaits,
    /// It was decided elsewhere, or waited too long.
    Void,
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

    pub(crate) fn to(client_name: &str, redirect: &Redirect, outcome: Outcome) -> Self {
        Self {
            client_name: client_name.to_owned(),
            ..Self::new(redirect.uri.clone(), redirect.state.as_deref(), outcome)
        }
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
