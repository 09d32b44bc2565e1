//! Clients that name themselves by the URL of a document which describes them
//! (draft-ietf-oauth-client-id-metadata-document, "the draft").

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value};
use url::Url;

use super::{Client, ClientMetadata, InvalidClientMetadata, parse};
use crate::{base_url::is_loopback, id::ClientId, redirect_uri::AllowedRedirectHosts};

/// A client identifier that is the URL of the client's metadata document (draft §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentUrl {
    text: String,
    url: Url,
}

/// Why a client identifier that looks like a URL is none of a document (draft §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocumentUrl {
    /// Not a URL that every program reads alike.
    #[error("it is not a URL with all special characters percent-encoded")]
    Syntax,
    /// Plain http.
    #[error("it must begin with https://")]
    Scheme,
    /// A user name or password.
    #[error("it must not have user information")]
    UserInformation,
    /// No path at all.
    #[error("it must have a path, such as /client.json")]
    NoPath,
    /// `.` or `..` in the path.
    #[error("its path must not have . or .. segments")]
    DotSegment,
    /// A fragment.
    #[error("it must not have a fragment")]
    Fragment,
}

/// Whose documents are taken: a trust policy of the operator (draft §8.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientDomains {
    /// Only these, if there are any.
    pub allowed: DomainList,
    /// Never these.
    pub denied: DomainList,
}

/// Hosts, and domains with all that is below them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainList(Vec<String>);

// === impl DocumentUrl ===

impl DocumentUrl {
    /// Whether an identifier is meant as the URL of a document, valid or not.
    pub fn is_meant_by(id: &str) -> bool {
        let scheme = id.split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
        })
    }

    /// Reads one. With `allows_loopback`, for development, it may be of this machine and plain
    /// http.
    ///
    /// # Errors
    /// See [`InvalidDocumentUrl`].
    pub fn parse(text: &str, allows_loopback: bool) -> Result<Self, InvalidDocumentUrl> {
        use InvalidDocumentUrl as Invalid;
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte);
        if text.len() > ClientId::MAX_BYTES || !text.bytes().all(fits) {
            return Err(Invalid::Syntax);
        }
        let url = Url::parse(text).map_err(|_| Invalid::Syntax)?;
        let is_local = allows_loopback && url.scheme() == "http" && is_loopback(&url);
        // The URL parser repairs what it can; what it had to repair is refused.
        let rest = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => rest,
            (None, Some(rest)) if is_local => rest,
            _ => return Err(Invalid::Scheme),
        };
        if text.contains('#') {
            return Err(Invalid::Fragment);
        }
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(authority_end);
        if authority.contains('@') {
            return Err(Invalid::UserInformation);
        }
        if authority.is_empty() {
            return Err(Invalid::Syntax);
        }
        let path = rest.split('?').next().unwrap_or_default();
        if path.is_empty() {
            return Err(Invalid::NoPath);
        }
        if path.split('/').any(is_dot_segment) {
            return Err(Invalid::DotSegment);
        }
        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The text as it was written: the client's identifier, compared byte by byte.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the document is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Its host, with the port where that is not the usual one: as a person sees it.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

impl fmt::Display for DocumentUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

// === impl Client ===

impl Client {
    /// The URL of the document that describes it, if it names itself so.
    pub fn document(&self) -> Option<DocumentUrl> {
        DocumentUrl::parse(self.id.as_str(), true).ok()
    }
}

// === impl ClientMetadata ===

impl ClientMetadata {
    /// Reads a metadata document that was fetched from `url` (draft §4).
    ///
    /// # Errors
    /// With the first member that is wrong.
    pub fn parse_document(
        members: &Map<String, Value>,
        url: &DocumentUrl,
        hosts: &AllowedRedirectHosts,
    ) -> Result<Self, InvalidClientMetadata> {
        parse::document(members, url, hosts)
    }
}

// === impl ClientDomains ===

impl ClientDomains {
    /// Whether documents of this one's host are taken.
    pub fn permit(&self, url: &DocumentUrl) -> bool {
        let host = url.url().host_str().unwrap_or_default();
        let host = host.trim_end_matches('.');
        let is_allowed = self.allowed.0.is_empty() || self.allowed.covers(host);
        is_allowed && !self.denied.covers(host)
    }
}

// === impl DomainList ===

impl DomainList {
    /// Reads a list separated by commas or white space: hosts (`claude.ai`), all hosts below a
    /// domain (`*.example.com`).
    ///
    /// # Errors
    /// With the first entry that is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        list.split(|character: char| character.is_whitespace() || character == ',')
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let name = entry.strip_prefix("*.").unwrap_or(entry);
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
                let is_name = !name.is_empty() && !name.starts_with('.') && name.bytes().all(fits);
                if is_name {
                    Ok(entry.to_ascii_lowercase())
                } else {
                    Err(entry.to_owned())
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn covers(&self, host: &str) -> bool {
        self.0.iter().any(|entry| {
            entry
                .strip_prefix('*')
                .map_or(entry == host, |domain| host.ends_with(domain))
        })
    }
}
