//! Which server holds which keys, now.
//!
//! A single server holds all. Behind sentinels it is the master that they name; in a cluster each
//! master holds some slots. Both change without a word to us: so whoever meets a failure that may
//! come of it raises a doubt, and the next one asks anew.

mod cluster;
mod sentinel;

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::{sync, time::Instant};

use self::{cluster::Cluster, sentinel::Sentinels};
use super::{
    RedisSettings,
    address::{Arrangement, Place},
    server::{Manner, Server, Tls},
    slot::{SLOTS, slot_of},
};

/// What is known of where keys are.
pub(super) struct Topology {
    finder: Finder,
    known: Mutex<Known>,
    /// The last look. It is locked while one looks, so that others share it.
    look: sync::Mutex<Option<Look>>,
}

enum Finder {
    Fixed(Arc<Map>),
    Sentinel(Sentinels),
    Cluster(Cluster),
}

#[derive(Default)]
struct Known {
    map: Option<Arc<Map>>,
    is_doubted: bool,
}

struct Look {
    began: Instant,
    outcome: Result<Arc<Map>, RedisError>,
}

/// Who holds what.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) shards: Vec<Shard>,
    /// How often the sentinels have exchanged the master; 0 where there are none.
    epoch: u64,
}

/// A master and its slots.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) server: Arc<Server>,
    slots: Vec<RangeInclusive<u16>>,
}

/// How long a command is sent again after the connection broke. Whoever asked waits longer if it
/// can: this only bridges a connection that was closed while idle, and a quick restart.
const RETRIES: Duration = Duration::from_secs(1);
/// The same where another server takes over, which takes seconds.
const FAILOVER_RETRIES: Duration = Duration::from_secs(8);

/// How long one server may take to say who holds what.
const ASK: Duration = Duration::from_secs(1);

// === impl Topology ===

impl Topology {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, RedisError> {
        let address = &settings.address;
        let tls = address.is_tls.then(|| Tls::new(&settings.tls));
        let manner = |database, only_masters| Manner {
            login: address.login.clone(),
            database,
            only_masters,
            tls: tls.clone(),
        };
        let places = address.places.iter().cloned();
        let finder = match &address.arrangement {
            Arrangement::Single { database } => {
                let manner = manner(*database, false);
                let servers = places.map(|place| manner.server(place));
                let shards = servers.map(|server| server.map(Shard::whole));
                Finder::Fixed(Arc::new(Map {
                    shards: shards.collect::<Result<_, _>>()?,
                    epoch: 0,
                }))
            }
            Arrangement::Sentinel(watch) => {
                let of_sentinels = Manner {
                    login: watch.login.clone(),
                    database: 0,
                    only_masters: false,
                    tls: tls.clone(),
                };
                let sentinels = places.map(|place| of_sentinels.server(place));
                let sentinels = sentinels.collect::<Result<_, _>>()?;
                let masters = manner(watch.database, true);
                Finder::Sentinel(Sentinels::new(sentinels, &watch.master, masters))
            }
            Arrangement::Cluster => {
                Finder::Cluster(Cluster::new(places.collect(), manner(0, false)))
            }
        };
        Ok(Self {
            finder,
            known: Mutex::default(),
            look: sync::Mutex::default(),
        })
    }

    /// How long a command is tried.
    pub(super) fn patience(&self) -> Duration {
        if self.may_fail_over() {
            FAILOVER_RETRIES
        } else {
            RETRIES
        }
    }

    /// Whether another server may take the place of one.
    pub(super) fn may_fail_over(&self) -> bool {
        !matches!(self.finder, Finder::Fixed(_))
    }

    /// Who holds what, as far as is known; looks where there is doubt.
    pub(super) async fn map(&self) -> Result<Arc<Map>, RedisError> {
        if let Finder::Fixed(map) = &self.finder {
            return Ok(Arc::clone(map));
        }
        {
            let known = self.known();
            if let (Some(map), false) = (&known.map, known.is_doubted) {
                return Ok(Arc::clone(map));
            }
        }
        self.look().await
    }

    /// Looks who holds what. Those who ask at once share one look.
    pub(super) async fn look(&self) -> Result<Arc<Map>, RedisError> {
        if let Finder::Fixed(map) = &self.finder {
            return Ok(Arc::clone(map));
        }
        let asked = Instant::now();
        let mut last = self.look.lock().await;
        if let Some(look) = &*last
            && look.began >= asked
        {
            return look.outcome.clone();
        }
        let began = Instant::now();
        let outcome = self.find().await;
        let outcome = last.insert(Look { began, outcome }).outcome.clone();
        drop(last);
        outcome
    }

    /// A server that somebody was sent on to.
    pub(super) fn server(&self, place: Place) -> Result<Arc<Server>, RedisError> {
        match &self.finder {
            Finder::Cluster(cluster) => cluster.server(self.known().map.as_deref(), place),
            Finder::Fixed(_) | Finder::Sentinel(_) => Err((
                ErrorKind::Client,
                "only a cluster sends on to another server",
            )
                .into()),
        }
    }

    /// Says that what was done by this map failed in a way that may come of the map.
    pub(super) fn doubt(&self, map: &Arc<Map>) {
        let mut known = self.known();
        if known
            .map
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, map))
        {
            known.is_doubted = true;
        }
    }

    /// Whether a server is one of those that hold keys.
    pub(super) fn is_known(&self, place: &Place) -> bool {
        match &self.finder {
            Finder::Fixed(_) => true,
            Finder::Sentinel(_) | Finder::Cluster(_) => {
                let known = self.known();
                known
                    .map
                    .as_ref()
                    .is_some_and(|map| map.find(place).is_some())
            }
        }
    }

    /// Where the slot of a key matters, that slot.
    pub(super) fn slot_of(&self, key: &[u8]) -> Option<u16> {
        matches!(self.finder, Finder::Cluster(_)).then(|| slot_of(key))
    }

    async fn find(&self) -> Result<Arc<Map>, RedisError> {
        let (map, is_doubted) = {
            let known = self.known();
            (known.map.clone(), known.is_doubted)
        };
        let found = match &self.finder {
            Finder::Fixed(map) => return Ok(Arc::clone(map)),
            Finder::Sentinel(sentinels) => sentinels.find(map.as_deref(), is_doubted).await,
            Finder::Cluster(cluster) => cluster.find(map.as_deref(), is_doubted).await,
        };
        match (found, map) {
            (Ok(found), _) => {
                let found = Arc::new(found);
                *self.known() = Known {
                    map: Some(Arc::clone(&found)),
                    is_doubted: false,
                };
                Ok(found)
            }
            // Nobody can be asked. What was true last may still be.
            (Err(_), Some(map)) => Ok(map),
            (Err(failure), None) => Err(failure),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Nobody panics with it; a map that is whole is whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Topology")
            .field("map", &self.known().map)
            .finish_non_exhaustive()
    }
}

// === impl Map ===

impl Map {
    /// Who holds a slot; without one, anybody.
    pub(super) fn holder(&self, slot: Option<u16>) -> Result<&Arc<Server>, RedisError> {
        let holds = |shard: &&Shard| slot.is_none_or(|slot| shard.holds(slot));
        let shard = self.shards.iter().find(holds).ok_or_else(|| {
            let kind = ErrorKind::Server(ServerErrorKind::ClusterDown);
            RedisError::from((kind, "no server of the cluster holds the slot"))
        })?;
        Ok(&shard.server)
    }

    /// Whether each slot has its master.
    pub(super) fn is_complete(&self) -> bool {
        let slots = self.shards.iter().flat_map(|shard| &shard.slots);
        slots.map(ExactSizeIterator::len).sum::<usize>() == usize::from(SLOTS)
    }

    fn find(&self, place: &Place) -> Option<&Arc<Server>> {
        let mut servers = self.shards.iter().map(|shard| &shard.server);
        servers.find(|server| server.place == *place)
    }
}

// === impl Shard ===

impl Shard {
    fn whole(server: Arc<Server>) -> Self {
        Self {
            server,
            slots: vec![0..=SLOTS - 1],
        }
    }

    fn holds(&self, slot: u16) -> bool {
        self.slots.iter().any(|slots| slots.contains(&slot))
    }

    /// Whether a key lies here.
    pub(super) fn holds_key(&self, key: &str) -> bool {
        self.is_whole() || self.holds(slot_of(key.as_bytes()))
    }

    /// A key that lies here: the one that is given, which ends in a tag in braces, or one with
    /// more in its tag.
    pub(super) fn key_here(&self, key: &str) -> Option<String> {
        if self.holds_key(key) {
            return Some(key.to_owned());
        }
        let open = key.strip_suffix('}')?;
        // So many that one is found even for a master of a single slot.
        (0..u32::from(SLOTS) * 64)
            .map(|number| format!("{open}.{number}}}"))
            .find(|key| self.holds_key(key))
    }

    fn is_whole(&self) -> bool {
        matches!(self.slots.as_slice(), [slots] if slots.len() == usize::from(SLOTS))
    }
}
