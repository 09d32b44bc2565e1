//! The provider's userinfo endpoint (OpenID Connect Core 1.0 §5.3), or what a plain OAuth server
//! has in its place.

use std::time::Duration;

use domain::secret::SecretString;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde_json::{Map, Value};
use url::Url;

use super::LoginError;
use crate::http;

/// Asks who the holder of an access token is.
pub(super) async fn ask(
    http: &reqwest::Client,
    url: &Url,
    access_token: &SecretString,
    limit: Duration,
) -> Result<Map<String, Value>, LoginError> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose()))
        .map_err(|_| LoginError::Invalid("its access token does not fit a header".to_owned()))?;
    bearer.set_sensitive(true);
    let request = http
        .get(url.clone())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, bearer);
    let answer = http::ask(request, limit)
        .await
        .map_err(|fault| LoginError::Unavailable(format!("userinfo: {fault}")))?;
    let status = answer.status;
    if answer.is_passing_fault() {
        return Err(LoginError::Unavailable(format!(
            "userinfo answered {status}"
        )));
    }
    if !status.is_success() {
        return Err(LoginError::Misconfigured(format!(
            "userinfo answered {status} to the token just issued; do the scopes in IDENTITY_SCOPE \
             allow it?"
        )));
    }
    answer.object().ok_or_else(|| {
        LoginError::Invalid(
            "userinfo is no JSON object (signed or encrypted userinfo is not supported)".to_owned(),
        )
    })
}
