//! The public URL of this proxy, from which every URL we hand out is made.

#[cfg(test)]
mod tests;

use std::fmt;

use url::{Host, Url};

/// The public base of the proxy: scheme, host, optional port, optional path prefix; without a
/// trailing slash, so that it is the issuer in its one spelling (RFC 8414 §2).
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    text: String,
}

/// Why a text cannot be the base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// Not an absolute URL at all.
    #[error("it is not an absolute URL: {0}")]
    Syntax(String),
    /// A scheme other than `https` or `http`.
    #[error("its scheme is `{0}`, but must be `https` (or `http` on a loopback host)")]
    Scheme(String),
    /// Plain http where others could listen.
    #[error("plain `http` is for loopback hosts only; use `https://`")]
    PlainHttp,
    /// A query, fragment or user information.
    #[error("it must not contain a query, a fragment or user information")]
    Extra,
}

impl BaseUrl {
    /// Reads a base URL. One or more trailing slashes are dropped.
    ///
    /// # Errors
    /// If the URL is not `https`, or not `http` on a loopback host, or has more than a path.
    pub fn parse(text: &str) -> Result<Self, InvalidBaseUrl> {
        let url = Url::parse(text.trim().trim_end_matches('/'))
            .map_err(|error| InvalidBaseUrl::Syntax(error.to_string()))?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(InvalidBaseUrl::PlainHttp),
            other => return Err(InvalidBaseUrl::Scheme(other.to_owned())),
        }
        let extra = url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some();
        if extra {
            return Err(InvalidBaseUrl::Extra);
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }

    /// The issuer identifier: this URL without a trailing slash.
    pub fn issuer(&self) -> &str {
        &self.text
    }

    /// The path prefix, `""` or `/prefix`, without a trailing slash.
    pub fn prefix(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// The absolute URL of a path of ours (beginning with `/`), below the prefix.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The web origin: scheme, host and port (RFC 6454 §6.2).
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether people reach us by plain http (only on loopback).
    pub fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// The URL, for its parts.
    pub fn as_url(&self) -> &Url {
        &self.url
    }
}

/// Whether the URL's host is `localhost` or a loopback address (RFC 8252 §7.3).
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.eq_ignore_ascii_case("localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BaseUrl({})", self.text)
    }
}
