//! What is looked at before a server is used.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::redis::{ErrorKind, RedisError, ServerErrorKind, cmd};
use domain::time::{Clock, Timestamp};
use tokio::time::{Instant, sleep};

use super::{
    RedisSettings,
    address::{Arrangement, Place, RedisAddress},
    link::Link,
    offering::Offering,
};

/// Why a server cannot be used. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It does not answer.
    #[error(
        "the store at {address} does not answer: {reason}; see that the server runs and that \
         MCP_AUTH_PROXY_REDIS_URL names it"
    )]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What the system or the client says.
        reason: String,
    },
    /// It does not let us in, or not do what is needed.
    #[error(
        "the store at {address} refuses us: {reason}; see user and password in \
         MCP_AUTH_PROXY_REDIS_URL (the user needs `+@all`, the keys and channels of our prefix)"
    )]
    Refused {
        /// Where it is.
        address: String,
        /// What it says.
        reason: String,
    },
    /// One of the two does not trust the other.
    #[error(
        "the store at {address} and we do not trust each other: {reason}; name its authority in \
         MCP_AUTH_PROXY_REDIS_CA, or set MCP_AUTH_PROXY_REDIS_TLS=insecure where its certificate \
         is self-signed and the network yours; MCP_AUTH_PROXY_REDIS_CERT and _KEY prove us"
    )]
    Untrusted {
        /// Where it is.
        address: String,
        /// What TLS says.
        reason: String,
    },
    /// Too old.
    #[error(
        "the store at {address} is {found}; needed is Redis 7.0 or newer, or Valkey 7.2 or newer"
    )]
    TooOld {
        /// Where it is.
        address: String,
        /// What it says it is.
        found: String,
    },
    /// Not a server to write to, or not one of those that the address speaks of.
    #[error("the store at {address} is {what}; name {instead}")]
    Unfit {
        /// Where it is.
        address: String,
        /// What it is.
        what: &'static str,
        /// What to name instead.
        instead: &'static str,
    },
    /// The sentinels do not let us in.
    #[error(
        "a sentinel at {address} refuses us: {reason}; see MCP_AUTH_PROXY_SENTINEL_USERNAME and \
         MCP_AUTH_PROXY_SENTINEL_PASSWORD (user and password in the URL are for the master)"
    )]
    SentinelRefused {
        /// Where they are.
        address: String,
        /// What it says.
        reason: String,
    },
    /// The sentinels watch over others.
    #[error(
        "the sentinels at {address} know no master of that name; see `sentinel monitor NAME …` in \
         their configuration"
    )]
    UnknownMaster {
        /// Where they are, and the name.
        address: String,
    },
    /// All keys would lie on one server.
    #[error(
        "MCP_AUTH_PROXY_REDIS_PREFIX contains a `{{`, which puts all records into one slot of the \
         cluster at {address}; choose a prefix without"
    )]
    Prefix {
        /// Where the cluster is.
        address: String,
    },
}

/// How long a server that does not answer is asked again at the start.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// Share of its memory that a server may use before it is said, in percent.
const MEMORY_PERCENT: u64 = 80;
/// How far its clock may be from ours before that is said.
const CLOCKS_APART: Duration = Duration::from_secs(2);

pub(super) async fn connect(
    settings: &RedisSettings,
    offering: Arc<Offering>,
    clock: &dyn Clock,
) -> Result<Link, ConnectError> {
    let address = &settings.address;
    if matches!(address.arrangement, Arrangement::Cluster) && settings.prefix.contains('{') {
        return Err(ConnectError::Prefix {
            address: address.to_string(),
        });
    }
    let link = Link::new(settings, offering).map_err(|error| ConnectError::Unreachable {
        address: address.to_string(),
        reason: error.to_string(),
    })?;
    let give_up = Instant::now() + PATIENCE;
    let masters = loop {
        let error = match masters(&link).await {
            Ok(masters) => break masters,
            Err(error) => error,
        };
        let is_last = Instant::now() >= give_up;
        if let Some(error) = judge_failure(&link, address, &error, is_last) {
            return Err(error);
        }
        sleep(PAUSE).await;
    };
    for (_, info) in &masters {
        info.judge(address)?;
    }
    for (place, info) in &masters {
        let faults = info.faults(clock.now());
        for fault in faults.into_iter().chain(info.cannot_be_replaced(address)) {
            match address.arrangement {
                Arrangement::Single { .. } => tracing::error!("the store at {address} {fault}"),
                Arrangement::Sentinel(_) | Arrangement::Cluster => {
                    tracing::error!("the master {place} of the store at {address} {fault}");
                }
            }
        }
    }
    if let Some((_, info)) = masters.first() {
        let version = info.server_version();
        match masters.len() {
            1 => tracing::info!("sessions are kept in {version} at {address}"),
            many => {
                tracing::info!("sessions are kept in {version} at {address}, on {many} masters");
            }
        }
    }
    Ok(link)
}

/// A step of the start that failed.
struct Failure {
    /// At which master; none where it was about who they are.
    master: Option<Place>,
    error: RedisError,
}

/// What each master says of itself.
async fn masters(link: &Link) -> Result<Vec<(Place, Info)>, Failure> {
    let failure = |master: Option<Place>| move |error| Failure { master, error };
    let map = link.look().await.map_err(failure(None))?;
    if !map.is_complete() {
        let kind = ErrorKind::Server(ServerErrorKind::ClusterDown);
        let error = RedisError::from((kind, "some slots of the cluster have no master"));
        return Err(failure(None)(error));
    }
    let mut masters = Vec::new();
    for shard in &map.shards {
        let place = shard.server.place.clone();
        let info = link.ask_at::<String>(&shard.server, &cmd("INFO")).await;
        let info = info.map_err(failure(Some(place.clone())))?;
        masters.push((place, Info::parse(&info)));
    }
    Ok(masters)
}

/// What a failure means; `None` where it may pass.
fn judge_failure(
    link: &Link,
    address: &RedisAddress,
    failure: &Failure,
    is_last: bool,
) -> Option<ConnectError> {
    let Failure { master, error } = failure;
    let is_look = master.is_none();
    let reason = match (master, &address.arrangement) {
        (Some(master), Arrangement::Sentinel(_)) => {
            format!(
                "{} at {master}, whom they name as the master",
                link.describe(error)
            )
        }
        (Some(master), Arrangement::Cluster) => {
            format!(
                "{} at {master}, a master of the cluster",
                link.describe(error)
            )
        }
        _ => link.describe(error),
    };
    let unfit = |what, instead| ConnectError::Unfit {
        address: address.to_string(),
        what,
        instead,
    };
    let named = address.to_string();
    if error.kind() == ErrorKind::MasterNameNotFoundBySentinel {
        return is_last.then_some(ConnectError::UnknownMaster { address: named });
    }
    if is_refusal(error) {
        return Some(if is_look && address.is_sentinel() {
            ConnectError::SentinelRefused {
                address: named,
                reason,
            }
        } else {
            ConnectError::Refused {
                address: named,
                reason,
            }
        });
    }
    if is_distrust(error) {
        return Some(ConnectError::Untrusted {
            address: named,
            reason,
        });
    }
    if is_look && error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) {
        // `unknown command 'SENTINEL'`, `This instance has cluster support disabled`
        if address.is_sentinel() && reason.to_ascii_lowercase().contains("unknown command") {
            return Some(unfit(
                "no sentinel",
                "the sentinels (their port is 26379 by default), or a single server by `redis://`",
            ));
        }
        if reason.contains("cluster support disabled") {
            return Some(unfit("no part of a cluster", "it by `redis://`"));
        }
    }
    is_last.then_some(ConnectError::Unreachable {
        address: named,
        reason,
    })
}

fn is_refusal(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed | ErrorKind::Server(ServerErrorKind::NoPerm)
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// The client wraps what TLS says so deep that only the text is left: `invalid peer certificate: …`,
/// `received fatal alert: CertificateRequired`.
fn is_distrust(error: &RedisError) -> bool {
    error.is_io_error()
        && error
            .to_string()
            .to_ascii_lowercase()
            .contains("certificate")
}

/// What a server says of itself.
struct Info(HashMap<String, String>);

// === impl Info ===

impl Info {
    fn parse(text: &str) -> Self {
        let entries = text.lines().filter_map(|line| line.split_once(':'));
        Self(
            entries
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn server_version(&self) -> String {
        match self.text("valkey_version") {
            "" => format!("Redis {}", self.text("redis_version")),
            valkey => format!("Valkey {valkey}"),
        }
    }

    fn is_new_enough(&self) -> bool {
        let (version, least) = match self.text("valkey_version") {
            "" => (self.text("redis_version"), (7, 0)),
            valkey => (valkey, (7, 2)),
        };
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
        let found = (
            numbers.next().flatten().unwrap_or_default(),
            numbers.next().flatten().unwrap_or_default(),
        );
        found >= least
    }

    fn judge(&self, address: &RedisAddress) -> Result<(), ConnectError> {
        let unfit = |what, instead| ConnectError::Unfit {
            address: address.to_string(),
            what,
            instead,
        };
        if !self.is_new_enough() {
            return Err(ConnectError::TooOld {
                address: address.to_string(),
                found: self.server_version(),
            });
        }
        if self.text("redis_mode") == "sentinel" {
            return Err(unfit(
                "a sentinel",
                "it by `redis-sentinel://`, with `?master=` and the name of the master",
            ));
        }
        if self.text("role") == "slave" {
            return Err(unfit("a replica, which takes no writes", "its master"));
        }
        let is_cluster = matches!(address.arrangement, Arrangement::Cluster);
        if self.text("cluster_enabled") == "1" && !is_cluster {
            return Err(unfit("part of a cluster", "it by `redis-cluster://`"));
        }
        Ok(())
    }

    /// Why nothing could take its place, where the address says that something should.
    fn cannot_be_replaced(&self, address: &RedisAddress) -> Option<String> {
        let should = !matches!(address.arrangement, Arrangement::Single { .. });
        (should && self.number("connected_slaves") == 0)
            .then(|| "has no replica: nothing takes its place when it fails. Add two".to_owned())
    }

    /// What loses sessions sooner or later, and what to do about it.
    fn faults(&self, now: Timestamp) -> Vec<String> {
        let mut faults = Vec::new();
        let policy = self.text("maxmemory_policy");
        if !matches!(policy, "" | "noeviction") {
            faults.push(format!(
                "has maxmemory-policy `{policy}` and will throw sessions away when its memory is \
                 full: set it to `noeviction`"
            ));
        }
        let replicas = self.number("connected_slaves");
        if self.text("aof_enabled") == "0" && replicas == 0 {
            faults.push(
                "has neither an append-only file nor a replica: its next restart forgets \
                 sessions. Set `appendonly yes`, or add a replica"
                    .to_owned(),
            );
        }
        // It is told only where `min-replicas-to-write` is set.
        if replicas > 0 && self.text("min_slaves_good_slaves").is_empty() {
            faults.push(
                "has replicas and takes writes without them: cut off from them it goes on, and what \
                 it took is lost when one of them is made the master. Set `min-replicas-to-write 1` \
                 (with two replicas, so that one may be away)"
                    .to_owned(),
            );
        }
        let theirs = Timestamp::from_unix(self.number("server_time_usec") / 1_000_000);
        let apart = theirs.since(now).max(now.since(theirs));
        if theirs.as_unix() > 0 && apart >= CLOCKS_APART {
            faults.push(format!(
                "has a clock that is {} s apart from ours: sessions are judged by its time, not by \
                 this machine's; let both follow a time server",
                apart.as_secs()
            ));
        }
        let (used, most) = (self.number("used_memory"), self.number("maxmemory"));
        if most > 0 && used.saturating_mul(100) / most > MEMORY_PERCENT {
            faults.push(format!(
                "uses more than {MEMORY_PERCENT} % of its memory; with `noeviction` a full one \
                 takes no logins: give it more"
            ));
        }
        faults
    }
}

#[cfg(test)]
mod tests;
