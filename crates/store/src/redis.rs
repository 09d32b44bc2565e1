//! The engine for several machines: a Redis (7.0 or newer) or Valkey (7.2 or newer) server.
//!
//! Every step is one command or one script, so that it happens whole or not at all. A command is
//! sent again after the connection broke; each is made so that the second time changes nothing.
//! Records expire by the server's clock. A write that was answered is as durable as the server is
//! configured to make it: `start` looks at that.

mod address;
mod key;
mod link;
mod listening;
mod scripts;
mod start;
mod tls;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ::redis::{Cmd, cmd};
use async_trait::async_trait;
use domain::{
    id::{ClientId, GrantId},
    random::Random,
    time::Clock,
};

use self::{
    key::{Keys, hex, unhex},
    link::Link,
    listening::{Listener, Listening},
    scripts::{Scripts, code},
};
use crate::{
    Bounds, DeviceApproval, DeviceReplaced, Ears, Lease, LeaseHolder, OperationId, Replaced,
    Settled, Store, StoreUnavailable, StoredDevice, StoredGrant, StoredIdentity,
    stored::GrantHeader,
};

pub use self::{
    address::{InvalidRedisAddress, RedisAddress},
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
    keys: Keys,
    scripts: Scripts,
    bounds: Bounds,
    random: Arc<dyn Random>,
    listening: OnceLock<Listening>,
}

/// What a step answers: a code, and where it is asked for the record and its identity session.
type Answer = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// How long what was taken is kept for whoever took it and did not hear the answer.
const TAKEN_LIFE: Duration = Duration::from_secs(10);

/// How long the record of leases and tries is kept: longer than any try takes.
const LEASE_RECORD_LIFE: Duration = Duration::from_secs(60);

/// Format of a registration's record.
const CLIENT_FORMAT: u8 = 1;
/// Format, and whether it led to a login.
const CLIENT_HEADER_BYTES: usize = 2;

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
        let link = start::connect(settings, clock).await?;
        Ok(Self {
            address: settings.address.clone(),
            link: Arc::new(link),
            keys: Keys::new(&settings.prefix),
            scripts: Scripts::new(),
            bounds,
            random,
            listening: OnceLock::new(),
        })
    }

    /// The signing keys that all processes share, as somebody has sealed them.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn shared_keys(&self) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.read(self.keys.signing_keys()).await
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
        Ok(shared.unwrap_or_default())
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

    async fn write_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: &[u8],
        opened: Option<[&[u8]; 3]>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let device = self.keys.device(grant);
        let [grant_key, identity, _] = self.grant_keys(grant);
        let next = header(expected + 1, operation);
        let value = next.encode(body);
        let (expected, stamp) = (expected.to_be_bytes(), next.stamp());
        let mut arguments: Vec<&[u8]> = vec![&expected, &stamp, &value];
        arguments.extend(opened.iter().flatten());
        let (code, stored, _): Answer = self
            .link
            .run(
                &self.scripts.replace_device,
                &[&device, &grant_key, &identity],
                &arguments,
            )
            .await?;
        match (code, stored) {
            (code::DONE, _) => Ok(DeviceReplaced::Done),
            (code::CONFLICT, Some(stored)) => decode_device(&stored).map(DeviceReplaced::Conflict),
            _ => Ok(DeviceReplaced::Absent),
        }
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

#[async_trait]
impl Store for RedisStore {
    fn is_shared(&self) -> bool {
        true
    }

    /// The list is written first, so that it names at least those there are.
    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let list = self.keys.unused_clients();
        let (name, bound) = (client.as_str().as_bytes(), self.bounds.unused_clients);
        let gone = self.enter(&list, name, unused_ttl, bound, "made").await?;
        for name in gone {
            let Ok(gone) = ClientId::parse(name) else {
                continue;
            };
            let key = self.keys.client(&gone);
            let _: Answer = self
                .link
                .run(&self.scripts.forget_unused_client, &[&key], &[])
                .await?;
        }
        let mut value = vec![CLIENT_FORMAT, 0];
        value.extend(registration);
        self.put(self.keys.client(client), &value, unused_ttl).await
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let stored = self.read(self.keys.client(client)).await?;
        stored
            .map(
                |stored| match stored.split_at_checked(CLIENT_HEADER_BYTES) {
                    Some(([CLIENT_FORMAT, _], registration)) => Ok(registration.to_vec()),
                    _ => Err(unreadable()),
                },
            )
            .transpose()
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.client(client);
        let (code, _, _): Answer = self
            .link
            .run(&self.scripts.extend_client, &[&key], &[&millis(ttl)])
            .await?;
        self.leave(&self.keys.unused_clients(), client.as_str())
            .await;
        Ok(code == code::DONE)
    }

    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.client(client);
        let (code, _, _): Answer = self
            .link
            .run(&self.scripts.replace_client, &[&key], &[&registration])
            .await?;
        Ok(code == code::DONE)
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        self.remove(self.keys.client(client)).await?;
        self.leave(&self.keys.unused_clients(), client.as_str())
            .await;
        Ok(())
    }

    async fn put_interaction(
        &self,
        uid: &[u8; 16],
        interaction: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let (list, name) = (self.keys.interactions(), hex(uid));
        let bound = self.bounds.interactions;
        let gone = self
            .enter(&list, name.as_bytes(), ttl, bound, "end")
            .await?;
        for gone in gone.iter().filter_map(|gone| unhex(gone)) {
            self.remove(self.keys.interaction(&gone)).await?;
        }
        self.put(self.keys.interaction(uid), &interaction, ttl)
            .await
    }

    async fn load_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.read(self.keys.interaction(uid)).await
    }

    async fn take_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let taken = self.take(self.keys.interaction(uid), uid).await?;
        if taken.is_some() {
            self.leave(&self.keys.interactions(), &hex(uid)).await;
        }
        Ok(taken)
    }

    async fn put_state(
        &self,
        state: &[u8; 32],
        uid: &[u8; 16],
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.put(self.keys.state(state), uid, ttl).await
    }

    async fn take_state(&self, state: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        let uid = self.take(self.keys.state(state), state).await?;
        Ok(uid.and_then(|uid| uid.try_into().ok()))
    }

    async fn drop_state(&self, state: &[u8; 32]) -> Result<(), StoreUnavailable> {
        self.remove(self.keys.state(state)).await
    }

    /// The value is the operation, so that a repeat knows its own mark.
    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable> {
        let operation: OperationId = self.random.bytes();
        let mut command = set(&self.keys.mark(mark), &operation, ttl);
        let stood: Option<Vec<u8>> = self.link.ask(command.arg("NX").arg("GET")).await?;
        Ok(stood.is_none_or(|stood| stood == operation))
    }

    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let [grant_key, identity_key, _] = self.grant_keys(grant);
        let value = header(1, operation).encode(&body);
        let identity = first_identity(identity);
        let _: Answer = self
            .link
            .run(
                &self.scripts.open_grant,
                &[&grant_key, &identity_key],
                &[&value, &identity, &millis(ttl)],
            )
            .await?;
        Ok(())
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        let [grant_key, identity, _] = self.grant_keys(grant);
        let (stored, identity): (Option<Vec<u8>>, Option<Vec<u8>>) = self
            .link
            .ask(cmd("MGET").arg(grant_key).arg(identity))
            .await?;
        stored
            .map(|stored| decode_grant(&stored, identity.as_deref()))
            .transpose()
    }

    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable> {
        let [grant_key, identity_key, _] = self.grant_keys(grant);
        let next = header(expected + 1, operation);
        let (value, stamp) = (next.encode(&body), next.stamp());
        let (code, stored, identity): Answer = self
            .link
            .run(
                &self.scripts.replace_grant,
                &[&grant_key, &identity_key],
                &[&expected.to_be_bytes(), &stamp, &value, &millis(ttl)],
            )
            .await?;
        match (code, stored) {
            (code::DONE, _) => Ok(Replaced::Done),
            (code::CONFLICT, Some(stored)) => {
                decode_grant(&stored, identity.as_deref()).map(Replaced::Conflict)
            }
            _ => Ok(Replaced::Absent),
        }
    }

    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable> {
        let [grant_key, identity_key, lease] = self.grant_keys(grant);
        let value = StoredIdentity {
            version: expected + 1,
            sealed,
        }
        .encode();
        let (code, _, identity): Answer = self
            .link
            .run(
                &self.scripts.settle_identity,
                &[&grant_key, &identity_key, &lease],
                &[&expected.to_be_bytes(), &value],
            )
            .await?;
        match (code, identity) {
            (code::DONE, _) => Ok(Settled::Done),
            (code::CONFLICT, Some(stored)) => StoredIdentity::decode(&stored)
                .map(Settled::Newer)
                .ok_or_else(unreadable),
            _ => Ok(Settled::Ended),
        }
    }

    async fn lease_refresh(
        &self,
        grant: &GrantId,
        expected: u64,
        holder: &LeaseHolder,
        life: Duration,
    ) -> Result<Lease, StoreUnavailable> {
        let [grant_key, identity_key, lease] = self.grant_keys(grant);
        let (code, earlier, identity): Answer = self
            .link
            .run(
                &self.scripts.lease_refresh,
                &[&grant_key, &identity_key, &lease],
                &[
                    &expected.to_be_bytes(),
                    holder,
                    &millis(life),
                    &millis(LEASE_RECORD_LIFE),
                ],
            )
            .await?;
        match (code, identity) {
            (code::DONE, _) => Ok(Lease::Taken {
                earlier: earlier
                    .and_then(|millis| String::from_utf8(millis).ok()?.parse().ok())
                    .map(Duration::from_millis),
            }),
            (code::BUSY, _) => Ok(Lease::Busy),
            (code::CONFLICT, Some(stored)) => StoredIdentity::decode(&stored)
                .map(Lease::Newer)
                .ok_or_else(unreadable),
            _ => Ok(Lease::Ended),
        }
    }

    async fn release_refresh(
        &self,
        grant: &GrantId,
        holder: &LeaseHolder,
    ) -> Result<(), StoreUnavailable> {
        let lease = self.keys.lease(grant);
        let _: Answer = self
            .link
            .run(&self.scripts.release_refresh, &[&lease], &[holder])
            .await?;
        Ok(())
    }

    fn listen(&self, ears: Arc<dyn Ears>) {
        self.listening.get_or_init(|| {
            let process: OperationId = self.random.bytes();
            Listening::start(Listener {
                link: Arc::clone(&self.link),
                channel: self.keys.channel(),
                process: self.keys.process(&process),
                ears,
            })
        });
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let [grant_key, identity, lease] = self.grant_keys(grant);
        let channel = self.keys.channel();
        let _: Answer = self
            .link
            .run(
                &self.scripts.end_grant,
                &[&grant_key, &identity, &lease],
                &[
                    &millis(tombstone_ttl),
                    channel.as_bytes(),
                    grant.to_string().as_bytes(),
                ],
            )
            .await?;
        Ok(())
    }

    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.user_code(user_code);
        let (code, _, _): Answer = self
            .link
            .run(
                &self.scripts.name_device,
                &[&key],
                &[grant.as_bytes(), &millis(ttl)],
            )
            .await?;
        Ok(code == code::DONE)
    }

    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        let grant = self.read(self.keys.user_code(user_code)).await?;
        Ok(grant.and_then(|grant| grant.try_into().ok().map(GrantId::from_bytes)))
    }

    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable> {
        self.remove(self.keys.user_code(user_code)).await
    }

    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let (key, value) = (self.keys.device(grant), header(1, operation).encode(&body));
        let _: Answer = self
            .link
            .run(&self.scripts.put_device, &[&key], &[&value, &millis(ttl)])
            .await?;
        Ok(())
    }

    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        let stored = self.read(self.keys.device(grant)).await?;
        stored.map(|stored| decode_device(&stored)).transpose()
    }

    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.write_device(grant, expected, &body, None, operation)
            .await
    }

    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let value = header(1, operation).encode(&approval.grant);
        let identity = first_identity(approval.identity);
        let ttl = millis(approval.grant_ttl);
        let opened: [&[u8]; 3] = [&value, &identity, &ttl];
        let (expected, device) = (approval.expected, approval.device);
        self.write_device(grant, expected, &device, Some(opened), operation)
            .await
    }

    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let key = self.keys.holder(holder);
        let name = grant.to_string();
        let _: Answer = self
            .link
            .run(
                &self.scripts.index_grant,
                &[&key],
                &[name.as_bytes(), &millis(ttl)],
            )
            .await?;
        Ok(())
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        let key = self.keys.holder(holder);
        let names: Vec<String> = self.link.run(&self.scripts.grants_of, &[&key], &[]).await?;
        Ok(names
            .iter()
            .filter_map(|name| GrantId::parse(name))
            .collect())
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

fn decode_grant(stored: &[u8], identity: Option<&[u8]>) -> Result<StoredGrant, StoreUnavailable> {
    let (header, body) = GrantHeader::decode(stored).ok_or_else(unreadable)?;
    if !header.live {
        return Ok(StoredGrant::Ended);
    }
    Ok(StoredGrant::Live {
        version: header.version,
        body: body.to_vec(),
        identity: identity.and_then(StoredIdentity::decode),
    })
}

fn decode_device(stored: &[u8]) -> Result<StoredDevice, StoreUnavailable> {
    let (header, body) = GrantHeader::decode(stored).ok_or_else(unreadable)?;
    Ok(StoredDevice {
        version: header.version,
        body: body.to_vec(),
    })
}

fn unreadable() -> StoreUnavailable {
    StoreUnavailable("a record has a format that this release cannot read".to_owned())
}

#[cfg(test)]
mod tests;
