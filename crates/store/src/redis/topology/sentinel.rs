//! Asking sentinels for the master.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind, cmd};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{ASK, Map, Shard};
use crate::redis::{
    address::Place,
    server::{Manner, Server, Wire},
};

/// The sentinels of an address.
pub(super) struct Sentinels {
    wires: Vec<Arc<Wire>>,
    name: Arc<str>,
    masters: Manner,
}

/// What one sentinel says.
struct Answer {
    epoch: u64,
    master: Place,
}

/// How long the others are waited for once one has answered.
const LINGER: Duration = Duration::from_millis(100);

// === impl Sentinels ===

impl Sentinels {
    pub(super) fn new(sentinels: Vec<Arc<Server>>, name: &str, masters: Manner) -> Self {
        let wires = sentinels
            .into_iter()
            .map(|server| Arc::new(Wire::new(server)));
        Self {
            wires: wires.collect(),
            name: name.into(),
            masters,
        }
    }

    /// The master, as the sentinel says that knows of the latest failover: one that was cut off may
    /// still name the master before.
    pub(super) async fn find(
        &self,
        known: Option<&Map>,
        is_doubted: bool,
    ) -> Result<Map, RedisError> {
        let answer = self.ask().await?;
        let current = known.and_then(|map| Some((map.epoch, &map.shards.first()?.server)));
        let (epoch, server) = match current {
            // All who know better are out of reach.
            Some((epoch, server)) if epoch > answer.epoch && !is_doubted => {
                (epoch, Arc::clone(server))
            }
            Some((_, server)) if server.place == answer.master => {
                (answer.epoch, Arc::clone(server))
            }
            before => {
                if before.is_some() {
                    tracing::warn!("the sentinels name another master: {}", answer.master);
                }
                (answer.epoch, self.masters.server(answer.master)?)
            }
        };
        Ok(Map {
            shards: vec![Shard::whole(server)],
            epoch,
        })
    }

    async fn ask(&self) -> Result<Answer, RedisError> {
        let mut asked = JoinSet::new();
        for wire in &self.wires {
            let (wire, name) = (Arc::clone(wire), Arc::clone(&self.name));
            asked.spawn(async move {
                let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
                let answer = timeout(ASK, ask(&wire, &name)).await;
                answer.unwrap_or_else(|_| Err(late()))
            });
        }
        let mut best: Option<Answer> = None;
        let mut failure: Option<RedisError> = None;
        let mut until = Instant::now() + ASK * 2;
        while let Ok(Some(joined)) = timeout_at(until, asked.join_next()).await {
            match joined {
                Ok(Ok(answer)) => {
                    if best.is_none() {
                        until = Instant::now() + LINGER;
                    }
                    if best.as_ref().is_none_or(|best| best.epoch < answer.epoch) {
                        best = Some(answer);
                    }
                }
                // One who refuses says more than one who is silent.
                Ok(Err(error)) if failure.as_ref().is_none_or(RedisError::is_io_error) => {
                    failure = Some(error);
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
        best.ok_or_else(|| {
            let silent = (ErrorKind::Io, "no sentinel answers");
            failure.unwrap_or_else(|| silent.into())
        })
    }
}

async fn ask(wire: &Wire, name: &str) -> Result<Answer, RedisError> {
    // In the middle of a failover the sentinel that leads it knows the new address, and its number,
    // before the record of the master says so.
    let mut command = cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let address: Option<(String, u16)> = query(wire, &command).await?;
    let Some((host, port)) = address else {
        let unknown = ErrorKind::MasterNameNotFoundBySentinel;
        return Err((unknown, "the sentinels know no master of that name").into());
    };
    let mut command = cmd("SENTINEL");
    command.arg("MASTER").arg(name);
    let epoch = match query::<HashMap<String, String>>(wire, &command).await {
        Ok(record) => record
            .get("config-epoch")
            .and_then(|epoch| epoch.parse().ok()),
        // Who may not ask for it believes the first sentinel.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => None,
        Err(error) => return Err(error),
    };
    Ok(Answer {
        epoch: epoch.unwrap_or_default(),
        master: Place { host, port },
    })
}

async fn query<T: FromRedisValue>(wire: &Wire, command: &Cmd) -> Result<T, RedisError> {
    let mut held = wire.hold().await?;
    let answer = command.query_async(&mut held.connection).await;
    if matches!(&answer, Err(error) if error.is_io_error()) {
        wire.let_go(&held).await;
    }
    answer
}
