//! Asking a cluster which master holds which slots.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
};

use ::redis::{ErrorKind, RedisError, Value, cmd, from_redis_value};
use tokio::time::timeout;

use super::{ASK, Map, Shard};
use crate::redis::{
    address::Place,
    server::{Manner, Server, Wire},
};

/// A cluster, of which some servers are named.
pub(super) struct Cluster {
    seeds: Vec<Place>,
    nodes: Manner,
    /// The one who was asked last.
    asked: Mutex<Option<Arc<Wire>>>,
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(seeds: Vec<Place>, nodes: Manner) -> Self {
        Self {
            seeds,
            nodes,
            asked: Mutex::default(),
        }
    }

    /// A server of the cluster, which may be known already.
    pub(super) fn server(
        &self,
        known: Option<&Map>,
        place: Place,
    ) -> Result<Arc<Server>, RedisError> {
        match known.and_then(|map| map.find(&place)) {
            Some(server) => Ok(Arc::clone(server)),
            None => self.nodes.server(place),
        }
    }

    /// Who holds what, as one of the servers says; where there is doubt another one than last.
    pub(super) async fn find(
        &self,
        known: Option<&Map>,
        is_doubted: bool,
    ) -> Result<Map, RedisError> {
        let last = self.asked().clone();
        let mut failure = None;
        for place in self.candidates(known, last.as_deref(), is_doubted) {
            let wire = match &last {
                Some(wire) if wire.server().place == place => Arc::clone(wire),
                _ => Arc::new(Wire::new(self.nodes.server(place.clone())?)),
            };
            let answer = match timeout(ASK, ask(&wire)).await {
                Ok(answer) => answer,
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            };
            match answer.and_then(|slots| self.map(&slots, known, &place)) {
                Ok(map) => {
                    *self.asked() = Some(wire);
                    return Ok(map);
                }
                // One who refuses says more than one who is silent.
                Err(error) if failure.as_ref().is_none_or(RedisError::is_io_error) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or_else(|| (ErrorKind::Client, "the cluster has no servers").into()))
    }

    fn candidates(&self, known: Option<&Map>, last: Option<&Wire>, is_doubted: bool) -> Vec<Place> {
        let last = last.map(|wire| wire.server().place.clone());
        let (first, latest) = if is_doubted {
            (None, last)
        } else {
            (last, None)
        };
        let shards = known.iter().flat_map(|map| &map.shards);
        let masters = shards.map(|shard| shard.server.place.clone());
        let mut places: Vec<Place> = Vec::new();
        for place in first
            .into_iter()
            .chain(masters)
            .chain(self.seeds.iter().cloned())
        {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        if let Some(latest) = latest {
            places.retain(|place| *place != latest);
            places.push(latest);
        }
        places
    }

    /// Reads the answer to `CLUSTER SLOTS`.
    fn map(
        &self,
        slots: &[Vec<Value>],
        known: Option<&Map>,
        asked: &Place,
    ) -> Result<Map, RedisError> {
        let mut shards: Vec<Shard> = Vec::new();
        for range in slots {
            let (range, place) = read(range, asked).ok_or_else(|| {
                RedisError::from((ErrorKind::Parse, "`CLUSTER SLOTS` answers otherwise"))
            })?;
            if let Some(shard) = shards.iter_mut().find(|shard| shard.server.place == place) {
                shard.slots.push(range);
                continue;
            }
            let server = match known.and_then(|map| map.find(&place)) {
                Some(server) => Arc::clone(server),
                None => self.nodes.server(place)?,
            };
            shards.push(Shard {
                server,
                slots: vec![range],
            });
        }
        if shards.is_empty() {
            return Err((ErrorKind::Client, "the cluster has no slots yet").into());
        }
        Ok(Map { shards, epoch: 0 })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Option<Arc<Wire>>> {
        // Nobody panics with it.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(wire: &Wire) -> Result<Vec<Vec<Value>>, RedisError> {
    let mut held = wire.hold().await?;
    let answer = cmd("CLUSTER")
        .arg("SLOTS")
        .query_async(&mut held.connection)
        .await;
    if matches!(&answer, Err(error) if error.is_io_error()) {
        wire.let_go(&held).await;
    }
    answer
}

/// First slot, last slot, master, replicas. A server that does not know its own address leaves it
/// out: it is the one that was asked.
fn read(range: &[Value], asked: &Place) -> Option<(RangeInclusive<u16>, Place)> {
    let [first, last, Value::Array(master), ..] = range else {
        return None;
    };
    let number = |value: &Value| from_redis_value::<u16>(value.clone()).ok();
    let [host, port, ..] = master.as_slice() else {
        return None;
    };
    let host: Option<String> = from_redis_value(host.clone()).ok()?;
    let host = host.filter(|host| !host.is_empty() && host != "?");
    let place = Place {
        host: host.unwrap_or_else(|| asked.host.clone()),
        port: number(port)?,
    };
    Some((number(first)?..=number(last)?, place))
}
