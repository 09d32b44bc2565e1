//! What is looked at before a server is used.

use std::{collections::HashMap, time::Duration};

use ::redis::{ErrorKind, RedisError, ServerErrorKind, cmd};
use domain::time::{Clock, Timestamp};
use tokio::time::{Instant, sleep};

use super::{RedisSettings, address::RedisAddress, link::Link};

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
    /// Not a server to write to.
    #[error("the store at {address} is {what}; name {instead}")]
    Unfit {
        /// Where it is.
        address: String,
        /// What it is.
        what: &'static str,
        /// What to name instead.
        instead: &'static str,
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
    clock: &dyn Clock,
) -> Result<Link, ConnectError> {
    let address = &settings.address;
    let unreachable = |reason| ConnectError::Unreachable {
        address: address.to_string(),
        reason,
    };
    let link = Link::new(settings).map_err(|error| unreachable(error.to_string()))?;
    let give_up = Instant::now() + PATIENCE;
    let info = loop {
        let error = match link.try_ask::<String>(&cmd("INFO")).await {
            Ok(info) => break Info::parse(&info),
            Err(error) => error,
        };
        if is_refusal(&error) {
            return Err(ConnectError::Refused {
                address: address.to_string(),
                reason: link.describe(&error),
            });
        }
        if is_distrust(&error) {
            return Err(ConnectError::Untrusted {
                address: address.to_string(),
                reason: link.describe(&error),
            });
        }
        if Instant::now() >= give_up {
            return Err(unreachable(link.describe(&error)));
        }
        sleep(PAUSE).await;
    };
    info.judge(address)?;
    for fault in info.faults(clock.now()) {
        tracing::error!("the store at {address} {fault}");
    }
    tracing::info!(
        "sessions are kept in {} at {address}",
        info.server_version()
    );
    Ok(link)
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
        if self.text("role") == "slave" {
            return Err(unfit("a replica, which takes no writes", "its master"));
        }
        if self.text("cluster_enabled") == "1" {
            return Err(unfit(
                "part of a cluster, which this release does not use",
                "a single server",
            ));
        }
        Ok(())
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
        let theirs = Timestamp::from_unix(self.number("server_time_usec") / 1_000_000);
        let apart = theirs.since(now).max(now.since(theirs));
        if theirs.as_unix() > 0 && apart >= CLOCKS_APART {
            faults.push(format!(
                "has a clock that is {} s apart from ours: machines that disagree about the time \
                 end sessions early or late; let both follow a time server",
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
