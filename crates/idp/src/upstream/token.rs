//! The provider's token endpoint (RFC 6749 §3.2), and what providers of real life answer there.

mod answer;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::secret::SecretString;
use reqwest::{
    RequestBuilder,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

pub(super) use self::answer::TokenAnswer;
use super::metadata::ClientAuthentication;
use crate::{
    http::{self, Answer},
    text,
};

/// Where tokens are asked for, and as whom.
#[derive(Debug)]
pub(super) struct TokenEndpoint {
    pub(super) url: Url,
    pub(super) authentication: ClientAuthentication,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    /// Bound for one request, body included.
    pub(super) limit: Duration,
}

/// Why the token endpoint gave no tokens: whose fault it is decides what happens to a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenFailure {
    /// The grant shown (code or refresh token) is refused for good.
    Refused(String),
    /// We are refused, or what we ask: our configuration is wrong.
    Misconfigured(String),
    /// Nothing is known: no answer, a fault, an answer that cannot be read.
    Unavailable(String),
}

/// Error codes that mean: this grant will not do any more, only a new login helps.
///
/// Beside RFC 6749's `invalid_grant`: what OpenID providers answer when the refresh token alone is
/// not enough any more and the person must act (Entra does), and GitHub's own names.
const DEFINITE: [&str; 6] = [
    "invalid_grant",
    "interaction_required",
    "login_required",
    "consent_required",
    "bad_refresh_token",
    "bad_verification_code",
];

/// Error codes that providers use for their own trouble.
const PASSING: [&str; 4] = [
    "temporarily_unavailable",
    "server_error",
    "slow_down",
    "rate_limit_exceeded",
];

// === impl TokenFailure ===

impl TokenFailure {
    /// The text alone, where whose fault it is decides nothing.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::Refused(reason) | Self::Misconfigured(reason) | Self::Unavailable(reason) => {
                reason
            }
        }
    }
}

// === impl TokenEndpoint ===

impl TokenEndpoint {
    /// Another endpoint at which the same client shows itself.
    pub(super) fn at(&self, url: Url, authentication: ClientAuthentication) -> Self {
        Self {
            url,
            authentication,
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            limit: self.limit,
        }
    }

    /// Tells something once; any success is one, whatever its body. `secrets` as for
    /// [`TokenEndpoint::ask`].
    pub(super) async fn tell(
        &self,
        http: &reqwest::Client,
        form: &[(&str, &str)],
        secrets: &[&str],
    ) -> Result<(), TokenFailure> {
        let answer = http::ask(self.request(http, form)?, self.limit)
            .await
            .map_err(TokenFailure::Unavailable)?;
        if answer.status.is_success() {
            return Ok(());
        }
        let mut secrets = secrets.to_vec();
        secrets.push(self.client_secret.expose());
        match judge(&answer, &secrets) {
            Err(failure) => Err(failure),
            Ok(_) => Err(TokenFailure::Unavailable(format!(
                "it answered {}",
                answer.status
            ))),
        }
    }

    /// Asks once. `secrets` are the values in `form` that no error text may repeat.
    pub(super) async fn ask(
        &self,
        http: &reqwest::Client,
        form: &[(&str, &str)],
        secrets: &[&str],
    ) -> Result<TokenAnswer, TokenFailure> {
        let answer = http::ask(self.request(http, form)?, self.limit)
            .await
            .map_err(TokenFailure::Unavailable)?;
        let mut secrets = secrets.to_vec();
        secrets.push(self.client_secret.expose());
        judge(&answer, &secrets)
    }

    fn request(
        &self,
        http: &reqwest::Client,
        form: &[(&str, &str)],
    ) -> Result<RequestBuilder, TokenFailure> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let mut request = http
            .post(self.url.clone())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match self.authentication {
            ClientAuthentication::Basic => {
                request = request.header(AUTHORIZATION, self.basic()?);
            }
            ClientAuthentication::Post => {
                body.append_pair("client_id", &self.client_id);
                body.append_pair("client_secret", self.client_secret.expose());
            }
        }
        Ok(request.body(body.finish()))
    }

    /// Id and secret are form-encoded before they are joined (RFC 6749 §2.3.1), so that a colon in
    /// the id does no harm.
    fn basic(&self) -> Result<HeaderValue, TokenFailure> {
        let encode =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let pair = format!(
            "{}:{}",
            encode(&self.client_id),
            encode(self.client_secret.expose())
        );
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|_| {
                TokenFailure::Misconfigured("the client secret does not fit a header".to_owned())
            })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Tells tokens, refusals and faults apart. A fault of the server is a fault whatever its body
/// says; `error` counts at any other status, since some providers send it with 200.
fn judge(answer: &Answer, secrets: &[&str]) -> Result<TokenAnswer, TokenFailure> {
    let status = answer.status;
    if answer.is_passing_fault() {
        return Err(TokenFailure::Unavailable(format!(
            "its token endpoint answered {status}"
        )));
    }
    let Some(members) = answer.object() else {
        return Err(TokenFailure::Unavailable(format!(
            "its token endpoint answered {status} with something that is no JSON object"
        )));
    };
    if let Some(code) = members.get("error").and_then(Value::as_str) {
        return Err(classify(code, &members, secrets));
    }
    if !status.is_success() {
        return Err(TokenFailure::Unavailable(format!(
            "its token endpoint answered {status} without an OAuth error"
        )));
    }
    TokenAnswer::read(members).ok_or_else(|| {
        TokenFailure::Unavailable("its token endpoint answered without access token".to_owned())
    })
}

fn classify(code: &str, members: &Map<String, Value>, secrets: &[&str]) -> TokenFailure {
    let description = members.get("error_description").and_then(Value::as_str);
    let quoted = text::quote(code, description, secrets);
    if DEFINITE.contains(&code) {
        TokenFailure::Refused(quoted)
    } else if PASSING.contains(&code) {
        TokenFailure::Unavailable(quoted)
    } else {
        TokenFailure::Misconfigured(quoted)
    }
}
