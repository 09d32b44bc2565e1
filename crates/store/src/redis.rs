//! The engine for several machines: a Redis (7.0 or newer) or Valkey (7.2 or newer) server.
//!
//! Every step is one command or one script, so that it happens whole or not at all. A command is
//! sent again after the connection broke; each is made so that the second time changes nothing.
//! Records expire by the server's clock. A write that was answered is as durable as the server is
//! configured to make it, which `start` looks at; what a server loses all the same it is offered
//! again.

mod address;
mod budgets;
mod clients;
mod devices;
mod durable;
mod grants;
mod imported;
mod interactions;
mod key;
mod link;
mod listening;
mod offering;
mod predecessor;
mod processes;
mod recent;
mod records;
mod scripts;
mod server;
mod slot;
mod start;
mod tls;
mod topology;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::redis::{Cmd, cmd};
use domain::{id::GrantId, random::Random, time::Clock};

use self::{
    durable::Durable, key::Keys, link::Link, listening::Listening, offering::Offering,
    scripts::Scripts,
};
use crate::{Bounds, OperationId, Store, StoreUnavailable, StoredIdentity, stored::GrantHeader};

pub use self::{
    address::{InvalidRedisAddress, RedisAddress},
    predecessor::RedisPredecessor,
    processes::Process,
    start::ConnectError,
    tls::RedisTls,
};

/// Which server, and how it is used.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where it is.
    pub address: RedisAddress,
    /// How it proves itself, where its address asks for TLS.
    pub tls: RedisTls,
    /// What the names of all our records begin with.
    pub prefix: String,
}

/// A store on a server that other processes use too.
pub struct RedisStore {
    address: RedisAddress,
    link: Arc<Link>,
    /// For what must not be lost.
    durable: Durable,
    offering: Arc<Offering>,
    keys: Arc<Keys>,
    scripts: Arc<Scripts>,
    bounds: Bounds,
    random: Arc<dyn Random>,
    listening: OnceLock<Listening>,
}

/// What a step answers: a code, and where it is asked for the record and its identity session.
type Answer = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// How long what was taken is kept for whoever took it and did not hear the answer.
const TAKEN_LIFE: Duration = Duration::from_secs(10);

// === impl RedisStore ===

impl RedisStore {
    /// Connects and looks whether the server can be used; what is only unwise is logged.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(
        settings: &RedisSettings,
        random: Arc<dyn Random>,
        clock: &dyn Clock,
    ) -> Result<Self, ConnectError> {
        Self::connect_bounded(settings, random, clock, Bounds::DEFAULT).await
    }

    async fn connect_bounded(
        settings: &RedisSettings,
        random: Arc<dyn Random>,
        clock: &dyn Clock,
        bounds: Bounds,
    ) -> Result<Self, ConnectError> {
        let keys = Arc::new(Keys::new(&settings.prefix));
        let scripts = Arc::new(Scripts::new());
        let offering = Arc::new(Offering::new(Arc::clone(&keys), Arc::clone(&scripts)));
        let link = start::connect(settings, Arc::clone(&offering), clock).await?;
        offering.begin();
        Ok(Self {
            address: settings.address.clone(),
            durable: Durable::new(link.beside()),
            link: Arc::new(link),
            offering,
            keys,
            scripts,
            bounds,
            random,
            listening: OnceLock::new(),
        })
    }

    /// How many writes that sessions depend on had no replica within 100 ms, since the start.
    pub fn unacknowledged_writes(&self) -> u64 {
        self.durable.unacknowledged()
    }

    /// The records that the predecessor left on the same server under the same prefix.
    pub fn predecessor(&self) -> RedisPredecessor {
        RedisPredecessor::new(Arc::clone(&self.link), self.keys.outer_prefix())
    }

    /// The signing keys that all processes share, as somebody has sealed them.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn shared_keys(&self) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let shared = self.read(self.keys.signing_keys()).await?;
        match &shared {
            Some(shared) => self.offering.recent.note_signing_keys(shared),
            None => self.offering.absent()?,
        }
        Ok(shared)
    }

    /// Shares signing keys in the place of those that were read (or of none); returns those shared
    /// now, which are another's if that one was faster.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn share_keys(
        &self,
        sealed: &[u8],
        replaces: Option<&[u8]>,
    ) -> Result<Vec<u8>, StoreUnavailable> {
        let key = self.keys.signing_keys();
        let (_, shared, _): Answer = self
            .link
            .run(
                &self.scripts.share_keys,
                &[&key],
                &[sealed, replaces.unwrap_or_default()],
            )
            .await?;
        let shared = shared.unwrap_or_default();
        self.offering.recent.note_signing_keys(&shared);
        Ok(shared)
    }

    async fn read(&self, key: String) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.link.ask(cmd("GET").arg(key)).await
    }

    async fn put(&self, key: String, value: &[u8], ttl: Duration) -> Result<(), StoreUnavailable> {
        self.link.ask(&set(&key, value, ttl)).await
    }

    async fn remove(&self, key: String) -> Result<(), StoreUnavailable> {
        self.link.ask(cmd("DEL").arg(key)).await
    }

    /// Reads and forgets; only one caller gets it.
    async fn take(&self, key: String, name: &[u8]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let operation: OperationId = self.random.bytes();
        let memo = self.keys.taken(name);
        let (_, value, _): Answer = self
            .link
            .run(
                &self.scripts.take,
                &[&key, &memo],
                &[&operation, &millis(TAKEN_LIFE)],
            )
            .await?;
        Ok(value)
    }

    /// Enters a name into a bounded list; answers those that have to go for it.
    async fn enter(
        &self,
        list: &str,
        name: &[u8],
        life: Duration,
        bound: u64,
        order: &str,
    ) -> Result<Vec<String>, StoreUnavailable> {
        let bound = bound.to_string();
        let arguments = [name, &millis(life), bound.as_bytes(), order.as_bytes()];
        self.link
            .run(&self.scripts.enter, &[list], &arguments)
            .await
    }

    /// Takes a name out of a list. If that fails the list says too much until the entry's end.
    async fn leave(&self, list: &str, name: &str) {
        let left: Result<(), _> = self.link.ask(cmd("ZREM").arg(list).arg(name)).await;
        if let Err(fault) = left {
            tracing::debug!(cause = %fault, "an entry of a list was not removed; it ends by itself");
        }
    }

    fn grant_keys(&self, grant: &GrantId) -> [String; 3] {
        [
            self.keys.grant(grant),
            self.keys.identity(grant),
            self.keys.lease(grant),
        ]
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisStore")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Store for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }
}

fn set(key: &str, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = cmd("SET");
    command.arg(key).arg(value).arg("PX").arg(millis(ttl));
    command
}

/// A life as the server takes it: never zero, which it refuses.
fn millis(ttl: Duration) -> Vec<u8> {
    ttl.as_millis().max(1).to_string().into_bytes()
}

fn header(version: u64, operation: OperationId) -> GrantHeader {
    GrantHeader {
        live: true,
        version,
        operation,
    }
}

fn first_identity(sealed: Vec<u8>) -> Vec<u8> {
    StoredIdentity { version: 1, sealed }.encode()
}

fn unreadable() -> StoreUnavailable {
    StoreUnavailable("a record has a format that this release cannot read".to_owned())
}

#[cfg(test)]
mod tests;
