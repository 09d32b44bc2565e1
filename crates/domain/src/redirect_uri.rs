//! Redirect URIs: which ones a client may register, and when two name the same place.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use crate::base_url::is_loopback;

/// A redirect URI that a client may have: `https`, `http` on a loopback host, or a private-use
/// scheme. Kept as it was written, since it is compared as text (RFC 9700 §2.1).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectUri(String);

/// Where a redirect URI leads, in what a person can judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectTarget {
    /// A web site, by its host.
    Web(String),
    /// A program on the person's own computer, by its host without the port.
    Loopback(String),
    /// Whatever program has claimed the scheme.
    PrivateUse(String),
}

/// Hosts that clients may redirect to; loopback always may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedRedirectHosts(Option<Vec<String>>);

/// Why a text cannot be a redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirectUri {
    /// Longer than [`RedirectUri::MAX_BYTES`].
    #[error("it is longer than {} bytes", RedirectUri::MAX_BYTES)]
    TooLong,
    /// White space, control characters, backslashes or characters outside of ASCII: programs
    /// read those differently, so that what is shown might not be where the browser goes.
    #[error("it contains a character that must be percent-encoded")]
    Character,
    /// Not an absolute URI.
    #[error("it is not an absolute URI")]
    Syntax,
    /// A fragment (RFC 6749 §3.1.2).
    #[error("it must not have a fragment")]
    Fragment,
    /// A user name or password, which are there to make a host look like another.
    #[error("it must not have user information")]
    UserInformation,
    /// Plain http to a host that is not this computer.
    #[error("plain `http` is for loopback hosts only (RFC 8252 section 7.3)")]
    PlainHttp,
    /// A scheme that a browser or system acts on, instead of handing it to an app.
    #[error("its scheme is neither https, loopback http nor a private-use scheme")]
    Scheme,
    /// A private-use scheme without a path (RFC 8252 §7.1).
    #[error("a private-use scheme needs a `/` after the colon")]
    Opaque,
}

/// Schemes with a meaning of their own: a browser would run, show or fetch them, a system would
/// hand them to a program that is no OAuth client.
const REFUSED_SCHEMES: &[&str] = &[
    "about",
    "acap",
    "afp",
    "app-settings",
    "blob",
    "chrome",
    "chrome-extension",
    "chrome-search",
    "cid",
    "content",
    "data",
    "dav",
    "dict",
    "dns",
    "edge",
    "facetime",
    "feed",
    "file",
    "filesystem",
    "finger",
    "ftp",
    "ftps",
    "geo",
    "git",
    "gopher",
    "help",
    "http",
    "https",
    "imap",
    "imaps",
    "info",
    "intent",
    "irc",
    "ircs",
    "jar",
    "javascript",
    "jdbc",
    "ldap",
    "ldaps",
    "livescript",
    "magnet",
    "mailto",
    "maps",
    "market",
    "mhtml",
    "mid",
    "mms",
    "mocha",
    "moz-extension",
    "ms-appinstaller",
    "ms-msdt",
    "ms-settings",
    "news",
    "nfs",
    "nntp",
    "oid",
    "pop",
    "res",
    "resource",
    "rsync",
    "rtmp",
    "rtsp",
    "safari-web-extension",
    "search",
    "search-ms",
    "sftp",
    "shell",
    "sip",
    "sips",
    "smb",
    "sms",
    "smsto",
    "snews",
    "ssh",
    "stun",
    "tel",
    "telnet",
    "tftp",
    "turn",
    "turns",
    "urn",
    "vbscript",
    "view-source",
    "wais",
    "webcal",
    "ws",
    "wss",
    "wyciwyg",
    "x-javascript",
    "xmpp",
];

// === impl RedirectUri ===

impl RedirectUri {
    /// The longest redirect URI accepted, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// Reads a redirect URI.
    ///
    /// # Errors
    /// If clients may not have it; see [`InvalidRedirectUri`].
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidRedirectUri::TooLong);
        }
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte);
        if !text.bytes().all(fits) {
            return Err(InvalidRedirectUri::Character);
        }
        let url = Url::parse(text).map_err(|_| InvalidRedirectUri::Syntax)?;
        if text.contains('#') {
            return Err(InvalidRedirectUri::Fragment);
        }
        let rest = text.split_once(':').map_or("", |(_, rest)| rest);
        match url.scheme() {
            // The URL parser repairs `https:example.com` and `https:///example.com`; we do not.
            "https" | "http" if !rest.starts_with("//") || rest.starts_with("///") => {
                return Err(InvalidRedirectUri::Syntax);
            }
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(InvalidRedirectUri::PlainHttp),
            scheme if REFUSED_SCHEMES.contains(&scheme) => return Err(InvalidRedirectUri::Scheme),
            _ if !rest.starts_with('/') => return Err(InvalidRedirectUri::Opaque),
            _ => {}
        }
        let authority = rest
            .strip_prefix("//")
            .and_then(|rest| rest.split(['/', '?']).next());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(InvalidRedirectUri::UserInformation);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it leads.
    pub fn target(&self) -> RedirectTarget {
        match Url::parse(&self.0) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {
                let host = url.host_str().unwrap_or_default().to_owned();
                if is_loopback(&url) {
                    RedirectTarget::Loopback(host)
                } else {
                    RedirectTarget::Web(host)
                }
            }
            Ok(url) => RedirectTarget::PrivateUse(url.scheme().to_owned()),
            // Cannot be: `parse` has read it. The text itself is what a person may judge.
            Err(_) => RedirectTarget::PrivateUse(self.0.clone()),
        }
    }

    /// Whether this registered URI covers `asked`: the same text, or, on a loopback host, the
    /// same but for the port (RFC 8252 §7.3; native apps choose one at each start).
    pub fn covers(&self, asked: &Self) -> bool {
        self == asked
            || match (self.loopback_parts(), asked.loopback_parts()) {
                (Some(registered), Some(asked)) => registered == asked,
                _ => false,
            }
    }

    /// This URI with parameters added to its query, form-encoded (RFC 6749 §4.1.2).
    pub fn with_parameters(&self, parameters: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let joint = match self.0.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        format!("{}{joint}{}", self.0, query.finish())
    }

    /// Scheme, host, path and query of a loopback URI: all but the port.
    fn loopback_parts(&self) -> Option<(String, String, String, Option<String>)> {
        let url = Url::parse(&self.0).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !is_loopback(&url) {
            return None;
        }
        let host = url.host_str()?.trim_end_matches('.').to_owned();
        let query = url.query().map(str::to_owned);
        Some((url.scheme().to_owned(), host, url.path().to_owned(), query))
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = InvalidRedirectUri;

    fn try_from(text: String) -> Result<Self, InvalidRedirectUri> {
        Self::parse(&text)
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedirectUri({})", self.0)
    }
}

// === impl RedirectTarget ===

impl RedirectTarget {
    /// The host or scheme, as it is shown.
    pub fn name(&self) -> &str {
        match self {
            Self::Web(name) | Self::Loopback(name) | Self::PrivateUse(name) => name,
        }
    }
}

// === impl AllowedRedirectHosts ===

impl AllowedRedirectHosts {
    /// Every host is allowed.
    pub const fn all() -> Self {
        Self(None)
    }

    /// Reads a list separated by commas or white space: hosts (`claude.ai`), all hosts below a
    /// domain (`*.example.com`), private-use schemes with their colon (`cursor:`).
    ///
    /// # Errors
    /// With the first entry that is none of these.
    pub fn parse(list: &str) -> Result<Self, String> {
        let entries = list
            .split(|character: char| character.is_whitespace() || character == ',')
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let name = entry.strip_suffix("//").unwrap_or(entry);
                let body = name.strip_suffix(':').unwrap_or(name);
                let body = body.strip_prefix("*.").unwrap_or(body);
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+[]".contains(&byte);
                if body.is_empty() || !body.bytes().all(fits) {
                    return Err(entry.to_owned());
                }
                Ok(name.to_ascii_lowercase())
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(if entries.is_empty() {
            Self(None)
        } else {
            Self(Some(entries))
        })
    }

    /// Whether a browser may be taken there without its person's doing: where it meets a program
    /// of their own, or a web site that the operator has named. Any other site may be anybody's,
    /// since clients register themselves (RFC 9700 §4.11.2).
    pub fn trusts(&self, uri: &RedirectUri) -> bool {
        match uri.target() {
            RedirectTarget::Loopback(_) | RedirectTarget::PrivateUse(_) => true,
            RedirectTarget::Web(_) => self.0.is_some() && self.permits(uri),
        }
    }

    /// Whether a client may redirect there.
    pub fn permits(&self, uri: &RedirectUri) -> bool {
        let Some(entries) = &self.0 else { return true };
        match uri.target() {
            RedirectTarget::Loopback(_) => true,
            RedirectTarget::PrivateUse(scheme) => entries
                .iter()
                .any(|entry| entry.strip_suffix(':') == Some(scheme.as_str())),
            RedirectTarget::Web(host) => entries.iter().any(|entry| {
                entry
                    .strip_prefix('*')
                    .map_or(*entry == host, |domain| host.ends_with(domain))
            }),
        }
    }
}
