//! The predecessor's records on a Redis server.

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{FromRedisValue, cmd};
use async_trait::async_trait;
use domain::secret::SecretString;
use tokio::{sync::Mutex, time::Instant};

use super::{
    RedisSettings, key::Keys, link::Link, offering::Offering, records::escaped, scripts::Scripts,
};
use crate::{
    StoreUnavailable,
    predecessor::{OldKind, OldNames, OldRecord, Predecessor},
};

/// Reads records under a prefix of a server.
pub struct RedisPredecessor {
    link: Arc<Link>,
    prefix: String,
    presence: Mutex<Presence>,
}

/// Whether anything is there. It is looked for a step at a time, at each question, until something
/// is found or all keys have been seen: so no question costs much, and none waits for the rest.
#[derive(Debug)]
enum Presence {
    Looking { cursor: u64 },
    Found { until: Instant },
    Absent { until: Instant },
}

/// What a server calls a key that holds something else than was asked for.
const WRONG_TYPE: &str = "WRONGTYPE";

/// Keys looked at in one step, about.
const STEP: usize = 1000;
/// How long an answer counts. Old processes may still write for a while after the first new one
/// began, and records end.
const FOUND_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const ABSENT_LIFE: Duration = Duration::from_secs(10 * 60);

// === impl RedisPredecessor ===

impl RedisPredecessor {
    /// Connects to a server that the predecessor used, which need not be one that sessions could be
    /// kept on.
    ///
    /// # Errors
    /// If it does not answer, or not us.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, StoreUnavailable> {
        // Nothing is ever written there, so that there is nothing to bring back.
        let keys = Arc::new(Keys::new(&settings.prefix));
        let offering = Arc::new(Offering::new(keys, Arc::new(Scripts::new())));
        let link =
            Link::new(settings, offering).map_err(|error| StoreUnavailable(error.to_string()))?;
        let _: i64 = link.ask(cmd("EXISTS").arg(&settings.prefix)).await?;
        Ok(Self::new(Arc::new(link), &settings.prefix))
    }

    pub(super) fn new(link: Arc<Link>, prefix: &str) -> Self {
        Self {
            link,
            prefix: prefix.to_owned(),
            presence: Mutex::new(Presence::Looking { cursor: 0 }),
        }
    }

    /// A key of another type than expected is a record that cannot be read, not an absent one.
    async fn read<T: FromRedisValue>(
        &self,
        command: &str,
        key: &str,
        fields: &[&str],
    ) -> Result<Option<T>, StoreUnavailable> {
        let mut read = cmd(command);
        read.arg(key).arg(fields);
        match self.link.ask(&read).await {
            Ok(value) => Ok(Some(value)),
            Err(StoreUnavailable(reason)) if reason.contains(WRONG_TYPE) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn scan(&self, cursor: u64) -> Result<(u64, Vec<Vec<u8>>), StoreUnavailable> {
        let mut scan = cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(format!("{}*", escaped(&self.prefix)));
        scan.arg("COUNT").arg(STEP);
        self.link.ask(&scan).await
    }

    fn names_of(&self, keys: &[Vec<u8>]) -> Vec<(OldKind, SecretString)> {
        let name = |key: &Vec<u8>| {
            let key = std::str::from_utf8(key).ok()?;
            let (kind, id) = OldKind::of_key(key.strip_prefix(&self.prefix)?)?;
            Some((kind, SecretString::new(id)))
        };
        keys.iter().filter_map(name).collect()
    }
}

#[async_trait]
impl Predecessor for RedisPredecessor {
    async fn may_be_there(&self) -> Result<bool, StoreUnavailable> {
        let mut presence = self.presence.lock().await;
        let now = Instant::now();
        let cursor = match *presence {
            Presence::Found { until } if now < until => return Ok(true),
            Presence::Absent { until } if now < until => return Ok(false),
            Presence::Looking { cursor } => cursor,
            Presence::Found { .. } | Presence::Absent { .. } => 0,
        };
        let (next, keys) = self.scan(cursor).await?;
        *presence = if !self.names_of(&keys).is_empty() {
            Presence::Found {
                until: now + FOUND_LIFE,
            }
        } else if next == 0 {
            Presence::Absent {
                until: now + ABSENT_LIFE,
            }
        } else {
            Presence::Looking { cursor: next }
        };
        Ok(!matches!(*presence, Presence::Absent { .. }))
    }

    async fn find(&self, kind: OldKind, id: &str) -> Result<Option<OldRecord>, StoreUnavailable> {
        let key = format!("{}{}:{id}", self.prefix, kind.model());
        let (text, consumed) = if kind == OldKind::RefreshToken {
            let fields = ["payload", "consumed"];
            let read: Option<(Option<Vec<u8>>, Option<Vec<u8>>)> =
                self.read("HMGET", &key, &fields).await?;
            match read {
                Some((payload, consumed)) => (Some(payload), consumed),
                None => (None, None),
            }
        } else {
            (self.read("GET", &key, &[]).await?, None)
        };
        let text = match text {
            Some(Some(text)) => text,
            Some(None) => return Ok(None),
            None => Vec::new(),
        };
        Ok(Some(OldRecord {
            text: SecretString::new(String::from_utf8_lossy(&text)),
            consumed: consumed.map(|at| seconds(&at)),
        }))
    }

    async fn names(&self, from: u64) -> Result<OldNames, StoreUnavailable> {
        let (next, keys) = self.scan(from).await?;
        Ok(OldNames {
            names: self.names_of(&keys),
            looked_at: STEP as u64,
            next: (next != 0).then_some(next),
        })
    }

    async fn size(&self) -> Result<u64, StoreUnavailable> {
        self.link.ask(&cmd("DBSIZE")).await
    }
}

impl fmt::Debug for RedisPredecessor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisPredecessor")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A mark that cannot be read was set long ago.
fn seconds(text: &[u8]) -> u64 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
