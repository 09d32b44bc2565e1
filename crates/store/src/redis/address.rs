//! Where a Redis or Valkey is, as its URL says it.

use std::fmt;

use domain::secret::SecretString;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// A single server: host, port, database, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: i64,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretString>,
    pub(super) is_tls: bool,
}

/// Why a text is no address. None of these repeats the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisAddress {
    /// Not a URL.
    #[error("it is no URL")]
    NoUrl,
    /// Sentinel or cluster.
    #[error("sentinel and cluster are not supported in this release, only a single server")]
    NotSingle,
    /// Another scheme.
    #[error("its scheme is none of `redis`, `rediss`, `valkey`, `valkeys`")]
    Scheme,
    /// Nowhere to connect to.
    #[error("it names no host; a `/`, `#` or `?` in a password is written %2F, %23 or %3F")]
    NoHost,
    /// The path is no number.
    #[error("its path is no database number")]
    Database,
    /// User or password are not UTF-8 once decoded.
    #[error("its user or password is not percent-encoded UTF-8")]
    Credentials,
    /// Parameters are not read, and might have been meant.
    #[error("it has a query or fragment, which mean nothing here")]
    Trailing,
}

/// Redis' own.
const DEFAULT_PORT: u16 = 6379;

// === impl RedisAddress ===

impl RedisAddress {
    /// Reads `redis://[user]:[password]@host[:port][/database]`; `rediss` is TLS, `valkey` and
    /// `valkeys` are the same.
    ///
    /// # Errors
    /// See [`InvalidRedisAddress`].
    pub fn parse(text: &str) -> Result<Self, InvalidRedisAddress> {
        let url = Url::parse(text.trim()).map_err(|error| match error {
            url::ParseError::EmptyHost => InvalidRedisAddress::NoHost,
            _ => InvalidRedisAddress::NoUrl,
        })?;
        let is_tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            "redis-sentinel" | "rediss-sentinel" | "redis-cluster" | "rediss-cluster" => {
                return Err(InvalidRedisAddress::NotSingle);
            }
            _ => return Err(InvalidRedisAddress::Scheme),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidRedisAddress::Trailing);
        }
        let host = match url.host().ok_or(InvalidRedisAddress::NoHost)? {
            Host::Domain("") => return Err(InvalidRedisAddress::NoHost),
            Host::Domain(name) => decode(name)?,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number
                .parse::<u16>()
                .map_err(|_| InvalidRedisAddress::Database)?,
        };
        let username = Some(decode(url.username())?).filter(|name| !name.is_empty());
        let password = url.password().map(decode).transpose()?;
        Ok(Self {
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
            database: i64::from(database),
            username,
            password: password
                .filter(|password| !password.is_empty())
                .map(SecretString::new),
            is_tls,
        })
    }

    /// Whether it is spoken to by TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}

/// Host, port and database; never who we are there.
impl fmt::Display for RedisAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        let host = &self.host;
        if host.contains(':') {
            write!(formatter, "{scheme}://[{host}]:{}", self.port)?;
        } else {
            write!(formatter, "{scheme}://{host}:{}", self.port)?;
        }
        write!(formatter, "/{}", self.database)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisAddress({self})")
    }
}

fn decode(text: &str) -> Result<String, InvalidRedisAddress> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded
        .map_err(|_| InvalidRedisAddress::Credentials)?
        .into_owned())
}

#[cfg(test)]
mod tests;
