//! Plain HTTP for stories: no redirect is followed, nothing is hidden, and a router that ends TLS
//! can be played.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use reqwest::RequestBuilder;
use serde_json::Value;
use url::Url;

/// Sends requests, directly or as a router would that stands before the server.
#[derive(Clone, Debug)]
pub struct Http {
    inner: reqwest::Client,
    router: Option<Router>,
}

/// A router that ends TLS: what goes to `public` is sent to `actual` with `X-Forwarded-*`.
#[derive(Clone, Debug)]
pub struct Router {
    /// What clients believe to speak to, e.g. `https://mcp.example`.
    pub public: Url,
    /// Where the server listens.
    pub actual: Url,
    /// The client's address, as the router saw it.
    pub client: IpAddr,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

// === impl Http ===

impl Http {
    /// Sends directly.
    ///
    /// # Errors
    /// If the client cannot be built.
    pub fn direct() -> Result<Self> {
        Ok(Self {
            inner: builder().build()?,
            router: None,
        })
    }

    /// Sends directly, and trusts a certificate (PEM) that nobody else has signed.
    ///
    /// # Errors
    /// If the client cannot be built, or the certificate is none.
    pub fn trusting(certificate: &str) -> Result<Self> {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes())?;
        Ok(Self {
            inner: builder().add_root_certificate(certificate).build()?,
            router: None,
        })
    }

    /// Sends through a router.
    ///
    /// # Errors
    /// If the client cannot be built.
    pub fn through(router: Router) -> Result<Self> {
        Ok(Self {
            router: Some(router),
            ..Self::direct()?
        })
    }

    /// The same, from another client address. Without a router there is only one address.
    #[must_use]
    pub fn from(&self, client: IpAddr) -> Self {
        Self {
            inner: self.inner.clone(),
            router: self
                .router
                .clone()
                .map(|router| Router { client, ..router }),
        }
    }

    /// A request about to be sent.
    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        match &self.router {
            Some(router) if router.public.origin() == url.origin() => {
                let mut actual = router.actual.clone();
                actual.set_path(url.path());
                actual.set_query(url.query());
                let host = router.public.host_str().unwrap_or_default();
                self.inner
                    .request(method, actual)
                    .header("host", host)
                    .header("x-forwarded-host", host)
                    .header("x-forwarded-proto", router.public.scheme())
                    .header("x-forwarded-for", router.client.to_string())
            }
            _ => self.inner.request(method, url.clone()),
        }
    }

    /// A GET about to be sent.
    pub fn get(&self, url: &Url) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A POST about to be sent.
    pub fn post(&self, url: &Url) -> RequestBuilder {
        self.request(Method::POST, url)
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(40))
}

// === impl Reply ===

impl Reply {
    /// Sends a request and takes the whole answer.
    ///
    /// # Errors
    /// If there is none.
    pub async fn to(request: RequestBuilder) -> Result<Self> {
        let response = request.send().await?;
        Ok(Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// The first header of a name, `""` where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{} without JSON: {}", self.status, self.text()))
    }

    /// The OAuth error code in the body (RFC 6749 §5.2), `""` where there is none.
    pub fn error(&self) -> String {
        self.json()
            .ok()
            .and_then(|json| Some(json.get("error")?.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}
