//! Writes that a session depends on, over connections of their own.
//!
//! Where a server has replicas, such a write is answered once one of them has it, or after 100 ms: a
//! failover then finds it. `WAIT` says so of everything that the connection has written before; it
//! holds up what comes behind on that connection, so those that come meanwhile share the next one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{FromRedisValue, Script, cmd};
use tokio::{sync, time::Instant};

use super::{address::Place, link::Link, server::Server};
use crate::StoreUnavailable;

/// How long a replica may take.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long it is believed how many replicas a server has.
const BELIEVED: Duration = Duration::from_secs(5);
/// How often one write is followed to another server.
const MOST_TRIES: u32 = 3;
/// Pause between two words about writes that no replica has.
const QUIET: Duration = Duration::from_secs(60);

/// Connections for durable writes.
pub(super) struct Durable {
    link: Link,
    gates: Mutex<HashMap<Place, Arc<Gate>>>,
    /// Writes that no replica had in time.
    unacknowledged: AtomicU64,
    said: Mutex<Option<Instant>>,
}

/// The queue of those who wait for the replicas of one server.
#[derive(Default)]
struct Gate {
    /// How many waits have begun.
    begun: AtomicU64,
    last: sync::Mutex<Last>,
}

/// The last wait that came to an end.
#[derive(Default)]
struct Last {
    number: u64,
    is_acknowledged: bool,
    /// Whether there are replicas, and when that was asked.
    has_replicas: Option<(bool, Instant)>,
}

// === impl Durable ===

impl Durable {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            gates: Mutex::default(),
            unacknowledged: AtomicU64::new(0),
            said: Mutex::default(),
        }
    }

    /// Runs a script that writes, and waits for a replica to have it. Where another server took over
    /// meanwhile, what the one before has answered may be lost, and may have been written too late to
    /// be offered to the new one: it is written there again.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, StoreUnavailable> {
        let key = keys.first().copied().unwrap_or_default();
        let mut before = self.link.holder(key).await.ok();
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self.link.run(script, keys, arguments).await?;
            let after = self.acknowledged_by(key).await;
            let is_same = match (&before, &after) {
                (Some(before), Some(after)) => before.place == after.place,
                _ => true,
            };
            if is_same || tries == MOST_TRIES {
                return Ok(answer);
            }
            before = after;
        }
    }

    /// Waits for a replica to have what was written before, and returns who holds the key then. A
    /// replica that has nothing may have taken over: so it is asked anew who that is.
    async fn acknowledged_by(&self, key: &str) -> Option<Arc<Server>> {
        let server = self.link.holder(key).await.ok()?;
        if !self.gate(&server).pass(&self.link, &server).await {
            self.count(&server);
            // Where nobody can be asked, what was true last stays.
            drop(self.link.look().await);
        }
        self.link.holder(key).await.ok()
    }

    /// How many writes no replica had in time, since the start.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.unacknowledged.load(Ordering::Relaxed)
    }

    fn gate(&self, server: &Server) -> Arc<Gate> {
        // Nobody panics with it.
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(server.place.clone()).or_default())
    }

    fn count(&self, server: &Server) {
        let count = self.unacknowledged.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now.duration_since(said) >= QUIET) {
            *said = Some(now);
            tracing::warn!(
                "the replicas of the store at {} are slow or away: {count} writes so far had none of \
                 them within {} ms, and a failover now would lose them until the proxies offer them \
                 again",
                server.place,
                PATIENCE.as_millis()
            );
        }
    }
}

// === impl Gate ===

impl Gate {
    /// Waits until a replica has what was written before; `false` if none had it in time. Where
    /// there are no replicas there is nothing to wait for.
    async fn pass(&self, link: &Link, server: &Arc<Server>) -> bool {
        let earlier = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        // One that began after the write says it of this write too.
        if last.number > earlier {
            return last.is_acknowledged;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let is_acknowledged = !last.has_replicas(link, server).await || wait(link, server).await;
        last.number = number;
        last.is_acknowledged = is_acknowledged;
        is_acknowledged
    }
}

// === impl Last ===

impl Last {
    async fn has_replicas(&mut self, link: &Link, server: &Arc<Server>) -> bool {
        let now = Instant::now();
        if let Some((known, at)) = self.has_replicas
            && now.duration_since(at) < BELIEVED
        {
            return known;
        }
        let mut ask = cmd("INFO");
        ask.arg("replication");
        let found = match link.ask_at::<String>(server, &ask).await {
            Ok(info) => info.lines().any(is_replica),
            Err(_) => return false,
        };
        self.has_replicas = Some((found, now));
        found
    }
}

/// `slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0`. One that is still getting everything
/// acknowledges nothing.
fn is_replica(line: &str) -> bool {
    line.strip_prefix("slave")
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        && line.contains("state=online")
}

async fn wait(link: &Link, server: &Arc<Server>) -> bool {
    let mut wait = cmd("WAIT");
    let patience = u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX);
    wait.arg(1).arg(patience);
    let replicas: Result<u64, _> = link.ask_at(server, &wait).await;
    replicas.is_ok_and(|replicas| replicas > 0)
}
