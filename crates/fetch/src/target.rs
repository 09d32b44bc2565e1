//! Which URLs are fetched at all, and what may stand behind their hosts.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use url::{Host, Url};

use crate::{error::FetchError, guard};

/// A URL that may be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// What the request line names.
    pub(crate) path_and_query: String,
    /// What the `Host` header says.
    pub(crate) authority: String,
    /// Its host is this machine, which is allowed.
    is_loopback: bool,
}

// === impl Target ===

impl Target {
    /// Reads a URL. `allows_loopback` is for development: then URLs that say themselves that they
    /// lead to this machine are fetched, by plain http too.
    pub(crate) fn new(url: &Url, allows_loopback: bool) -> Result<Self, FetchError> {
        let host = url
            .host()
            .ok_or(FetchError::Url("it names no host"))?
            .to_owned();
        let is_loopback = allows_loopback && is_loopback_host(&host);
        match url.scheme() {
            "https" => {}
            "http" if is_loopback => {}
            _ => return Err(FetchError::Url("it must begin with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Url("it must not have user information"));
        }
        let port = url
            .port_or_known_default()
            .ok_or(FetchError::Url("it names no port"))?;
        let path = url.path();
        let path_and_query = url
            .query()
            .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let authority = url
            .port()
            .map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Ok(Self {
            host,
            port,
            is_tls: url.scheme() == "https",
            path_and_query,
            authority,
            is_loopback,
        })
    }

    /// Whether this address may stand behind the host. A loopback host leads to this machine and
    /// nowhere else; any other leads to the public internet and nowhere else.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        if self.is_loopback {
            address.to_canonical().is_loopback()
        } else {
            guard::is_public(address)
        }
    }
}

fn is_loopback_host(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
