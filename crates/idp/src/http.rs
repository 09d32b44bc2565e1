//! The HTTP client towards identity providers, and bounded answers.

#[cfg(test)]
mod tests;

use std::{error::Error as _, time::Duration};

use reqwest::{Certificate, Client, RequestBuilder, StatusCode, redirect};
use serde_json::{Map, Value};

/// The longest body that is read, in bytes.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// Time to connect to a provider, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for one whole exchange.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(10);
/// A connection that idled longer may be dead without our knowing; a refresh sent over it has an
/// unknown outcome, which a provider that rotates refresh tokens does not forgive.
const IDLE: Duration = Duration::from_secs(5);

/// Why no HTTP client could be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// One of the given root certificates cannot be read.
    #[error("the root certificates number {0} (counted from 0) are not PEM: {1}")]
    Certificate(usize, String),
    /// The TLS stack refused.
    #[error("no TLS client could be made: {0}")]
    Tls(String),
}

/// An answer whose body was read within the bound.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// Makes the client for calls to identity providers. `ca_certificates` are PEM files with roots
/// that are trusted beside the system's; where the system has none, Mozilla's are used.
///
/// It follows no redirect (an authorization code or a refresh token must not wander), uses no
/// proxy from the environment, sends nothing twice, and keeps no connection idle for more than
/// 5 s.
///
/// # Errors
/// If a certificate cannot be read, or TLS cannot be set up.
pub fn http_client(ca_certificates: &[Vec<u8>]) -> Result<reqwest::Client, HttpClientError> {
    let mut roots = Vec::new();
    for (index, pem) in ca_certificates.iter().enumerate() {
        let found = Certificate::from_pem_bundle(pem)
            .map_err(|error| HttpClientError::Certificate(index, describe(&error)))?;
        if found.is_empty() {
            let reason = "there is no certificate in it".to_owned();
            return Err(HttpClientError::Certificate(index, reason));
        }
        roots.extend(found);
    }
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        roots.extend(
            webpki_root_certs::TLS_SERVER_ROOT_CERTS
                .iter()
                .filter_map(|der| Certificate::from_der(der).ok()),
        );
    }
    Client::builder()
        .user_agent(concat!("mcp-auth-proxy/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(ATTEMPT)
        .pool_idle_timeout(IDLE)
        .tls_certs_merge(roots)
        .build()
        .map_err(|error| HttpClientError::Tls(describe(&error)))
}

/// Sends a request and reads the answer, both within `limit`. The error text says what went
/// wrong, never where to: the caller knows, and a URL may carry what is not for the log.
pub(crate) async fn ask(request: RequestBuilder, limit: Duration) -> Result<Answer, String> {
    let exchange = async {
        let response = request.send().await.map_err(|error| describe(&error))?;
        read(response).await
    };
    tokio::time::timeout(limit, exchange)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f32())))
}

async fn read(mut response: reqwest::Response) -> Result<Answer, String> {
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(format!("its answer is longer than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// The cause at the bottom of an error, without its URL.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause = error.source();
    let mut text = None;
    while let Some(deeper) = cause {
        text = Some(deeper.to_string());
        cause = deeper.source();
    }
    let what = if error.is_connect() {
        "no connection"
    } else {
        "the exchange failed"
    };
    match text {
        Some(text) => format!("{what}: {}", crate::text::plain(&text, 200)),
        None => what.to_owned(),
    }
}

// === impl Answer ===

impl Answer {
    /// The body as a JSON object.
    pub(crate) fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the same question may be answered otherwise a little later.
    pub(crate) fn is_passing_fault(&self) -> bool {
        self.status.is_server_error()
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
    }
}
