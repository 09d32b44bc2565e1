//! Where a Redis or Valkey is, as its URL says it.

use std::fmt;

use domain::secret::SecretString;
use percent_encoding::percent_decode_str;
use url::{Host, ParseError, Url};

/// Where servers are, how they stand together, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    /// At least one; of a single server that one.
    pub(super) places: Vec<Place>,
    pub(super) arrangement: Arrangement,
    pub(super) login: Login,
    pub(super) is_tls: bool,
}

/// How the servers of an address stand together.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// One server.
    Single { database: u16 },
    /// One master, whom the sentinels at the places name.
    Sentinel(Box<Watch>),
    /// Several masters that share the slots.
    Cluster,
}

/// What sentinels are asked for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Watch {
    /// What they call the master.
    pub(super) master: String,
    pub(super) database: u16,
    /// Who we are at the sentinels themselves.
    pub(super) login: Login,
}

/// Host and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Who we are at a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretString>,
}

/// Why a text is no address. None of these repeats the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisAddress {
    /// Not a URL.
    #[error("it is no URL")]
    NoUrl,
    /// Another scheme.
    #[error(
        "its scheme is none of `redis`, `rediss`, `valkey`, `valkeys`, nor one of these with \
         `-sentinel` or `-cluster` behind"
    )]
    Scheme,
    /// Nowhere to connect to.
    #[error("it names no host; a `/`, `#` or `?` in a password is written %2F, %23 or %3F")]
    NoHost,
    /// What stands behind a colon is no number of a port.
    #[error(
        "one of its ports is no number up to 65535; a `/`, `#` or `?` in a password is written \
         %2F, %23 or %3F"
    )]
    Port,
    /// Several hosts, and no word of how they stand together.
    #[error(
        "it names several hosts: write `redis-sentinel://` where they are sentinels, \
         `redis-cluster://` where they are a cluster"
    )]
    Several,
    /// Sentinels know masters by name.
    #[error(
        "it names no master: end it with `?master=` and the name that the sentinels have for it"
    )]
    NoMaster,
    /// The path is no number.
    #[error("its path is no database number")]
    Database,
    /// Clusters have no databases.
    #[error("it has a database number, and a cluster has only the one database 0")]
    ClusterDatabase,
    /// User or password are not UTF-8 once decoded.
    #[error("its user or password is not percent-encoded UTF-8")]
    Credentials,
    /// Parameters are not read, and might have been meant.
    #[error("it has a query or fragment, which mean nothing here")]
    Trailing,
}

/// Redis' own.
const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;

// === impl RedisAddress ===

impl RedisAddress {
    /// Reads `redis://[user]:[password]@host[:port][/database]`; `rediss` is TLS, `valkey` and
    /// `valkeys` are the same.
    ///
    /// With `-sentinel` behind the scheme the hosts, separated by commas, are sentinels, and
    /// `?master=NAME` is what they call the master; with `-cluster` they are some of a cluster.
    ///
    /// # Errors
    /// See [`InvalidRedisAddress`].
    pub fn parse(text: &str) -> Result<Self, InvalidRedisAddress> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or(InvalidRedisAddress::NoUrl)?;
        let scheme = scheme.to_ascii_lowercase();
        let (base, kind) = match scheme.split_once('-') {
            Some((base, kind)) => (base, Some(kind)),
            None => (scheme.as_str(), None),
        };
        let is_tls = match base {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(InvalidRedisAddress::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Login::parse(login)?, hosts),
            None => (Login::default(), authority),
        };
        let default_port = match kind {
            Some("sentinel") => DEFAULT_SENTINEL_PORT,
            None | Some("cluster") => DEFAULT_PORT,
            Some(_) => return Err(InvalidRedisAddress::Scheme),
        };
        let places: Vec<Place> = hosts
            .split(',')
            .map(|host| Place::parse(host.trim(), default_port))
            .collect::<Result<_, _>>()?;
        let tail = Tail::parse(tail)?;
        let arrangement = match kind {
            Some("sentinel") => tail.sentinel()?,
            Some(_) => tail.cluster()?,
            None if places.len() > 1 => return Err(InvalidRedisAddress::Several),
            None => tail.single()?,
        };
        Ok(Self {
            places,
            arrangement,
            login,
            is_tls,
        })
    }

    /// Who we are at the sentinels themselves; without effect where there are none.
    #[must_use]
    pub fn with_sentinel_login(
        mut self,
        username: Option<String>,
        password: Option<SecretString>,
    ) -> Self {
        if let Arrangement::Sentinel(watch) = &mut self.arrangement {
            watch.login = Login { username, password };
        }
        self
    }

    /// Whether it is spoken to by TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether sentinels say where it is.
    pub fn is_sentinel(&self) -> bool {
        matches!(self.arrangement, Arrangement::Sentinel(_))
    }

    /// The passwords that no message may show.
    pub(super) fn passwords(&self) -> impl Iterator<Item = &SecretString> {
        let of_sentinels = match &self.arrangement {
            Arrangement::Sentinel(watch) => watch.login.password.as_ref(),
            Arrangement::Single { .. } | Arrangement::Cluster => None,
        };
        self.login.password.iter().chain(of_sentinels)
    }
}

/// Hosts, ports, database and master; never who we are there.
impl fmt::Display for RedisAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        let kind = match self.arrangement {
            Arrangement::Single { .. } => "",
            Arrangement::Sentinel(_) => "-sentinel",
            Arrangement::Cluster => "-cluster",
        };
        write!(formatter, "{scheme}{kind}://")?;
        for (index, place) in self.places.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{place}")?;
        }
        match &self.arrangement {
            Arrangement::Single { database } => write!(formatter, "/{database}"),
            Arrangement::Sentinel(watch) => {
                write!(formatter, "/{}?master={}", watch.database, watch.master)
            }
            Arrangement::Cluster => Ok(()),
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisAddress({self})")
    }
}

// === impl Place ===

impl Place {
    fn parse(text: &str, default_port: u16) -> Result<Self, InvalidRedisAddress> {
        let url = Url::parse(&format!("redis://{text}")).map_err(|error| match error {
            ParseError::EmptyHost => InvalidRedisAddress::NoHost,
            ParseError::InvalidPort => InvalidRedisAddress::Port,
            _ => InvalidRedisAddress::NoUrl,
        })?;
        let host = match url.host().ok_or(InvalidRedisAddress::NoHost)? {
            Host::Domain("") => return Err(InvalidRedisAddress::NoHost),
            Host::Domain(name) => decode(name)?,
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(default_port),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

// === impl Login ===

impl Login {
    fn parse(text: &str) -> Result<Self, InvalidRedisAddress> {
        let (username, password) = text.split_once(':').unwrap_or((text, ""));
        let given = |text| Ok(Some(decode(text)?).filter(|text| !text.is_empty()));
        Ok(Self {
            username: given(username)?,
            password: given(password)?.map(SecretString::new),
        })
    }
}

/// What stands behind the hosts.
struct Tail<'a> {
    path: &'a str,
    query: Option<&'a str>,
}

// === impl Tail ===

impl<'a> Tail<'a> {
    fn parse(text: &'a str) -> Result<Self, InvalidRedisAddress> {
        if text.contains('#') {
            return Err(InvalidRedisAddress::Trailing);
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let path = path.trim_matches('/');
        Ok(Self { path, query })
    }

    fn single(&self) -> Result<Arrangement, InvalidRedisAddress> {
        self.ends()?;
        let database = self.database()?;
        Ok(Arrangement::Single { database })
    }

    fn sentinel(&self) -> Result<Arrangement, InvalidRedisAddress> {
        let name = self.query.and_then(|query| query.strip_prefix("master="));
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or(InvalidRedisAddress::NoMaster)?;
        if name.contains('&') {
            return Err(InvalidRedisAddress::Trailing);
        }
        let master = decode(name)?;
        Ok(Arrangement::Sentinel(Box::new(Watch {
            master,
            database: self.database()?,
            login: Login::default(),
        })))
    }

    fn cluster(&self) -> Result<Arrangement, InvalidRedisAddress> {
        self.ends()?;
        match self.path {
            "" => Ok(Arrangement::Cluster),
            _ => Err(InvalidRedisAddress::ClusterDatabase),
        }
    }

    fn ends(&self) -> Result<(), InvalidRedisAddress> {
        match self.query {
            None => Ok(()),
            Some(_) => Err(InvalidRedisAddress::Trailing),
        }
    }

    fn database(&self) -> Result<u16, InvalidRedisAddress> {
        match self.path {
            "" => Ok(0),
            number => number.parse().map_err(|_| InvalidRedisAddress::Database),
        }
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
