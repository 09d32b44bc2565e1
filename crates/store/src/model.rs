//! What every engine must do, said plainly: maps whose entries have an end. The engines are measured
//! against it, and simulations use it for a store.
//!
//! Each method is the step of a store that bears its name, without the ways in which a store can
//! fail.

mod devices;
mod grants;

use std::{collections::BTreeMap, time::Duration};

use domain::id::{ClientId, GrantId};

use self::grants::{GrantRecord, LeaseRecord};
use crate::{StoredDevice, StoredIdentity};

/// A store as maps.
#[derive(Clone, Debug)]
pub struct Model {
    now: Duration,
    max_unused_clients: usize,
    max_interactions: usize,
    /// How many registrations there were so far.
    registrations: u64,
    clients: Shelf<ClientId, Registration>,
    interactions: Shelf<[u8; 16], Vec<u8>>,
    states: Shelf<[u8; 32], [u8; 16]>,
    marks: Shelf<[u8; 32], ()>,
    grants: Shelf<GrantId, GrantRecord>,
    identities: Shelf<GrantId, StoredIdentity>,
    leases: BTreeMap<GrantId, LeaseRecord>,
    holders: Shelf<([u8; 32], GrantId), ()>,
    user_codes: Shelf<[u8; 16], GrantId>,
    devices: Shelf<GrantId, DeviceRecord>,
}

#[derive(Clone, Debug)]
struct Registration {
    /// Its place among those that never led to a login.
    unused: Option<u64>,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct DeviceRecord {
    stored: StoredDevice,
    operation: crate::OperationId,
}

/// Values with their ends.
#[derive(Clone, Debug)]
struct Shelf<K, V>(BTreeMap<K, (Duration, V)>);

// === impl Model ===

impl Model {
    /// An empty store that keeps at most so many unused registrations and interactions.
    pub fn new(max_unused_clients: usize, max_interactions: usize) -> Self {
        Self {
            now: Duration::ZERO,
            max_unused_clients,
            max_interactions,
            registrations: 0,
            clients: Shelf::new(),
            interactions: Shelf::new(),
            states: Shelf::new(),
            marks: Shelf::new(),
            grants: Shelf::new(),
            identities: Shelf::new(),
            leases: BTreeMap::new(),
            holders: Shelf::new(),
            user_codes: Shelf::new(),
            devices: Shelf::new(),
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    // --- registrations

    /// A registration that is there already is put in its place, as the newest.
    pub fn register_client(&mut self, client: &ClientId, bytes: Vec<u8>, unused_ttl: Duration) {
        self.registrations += 1;
        let registration = Registration {
            unused: Some(self.registrations),
            bytes,
        };
        let end = self.now + unused_ttl;
        self.clients.put(client.clone(), registration, end);
        self.clients.expire(self.now);
        loop {
            let unused = self.clients.0.iter().filter_map(|(client, (_, kept))| {
                let place = kept.unused?;
                Some((place, client))
            });
            let (count, oldest) = (unused.clone().count(), unused.min());
            match oldest.map(|(_, client)| client.clone()) {
                Some(oldest) if count > self.max_unused_clients => drop(self.clients.take(&oldest)),
                _ => return,
            }
        }
    }

    /// What a client has registered.
    pub fn load_client(&self, client: &ClientId) -> Option<Vec<u8>> {
        let (_, registration) = self.clients.find(client, self.now)?;
        Some(registration.bytes.clone())
    }

    /// An end that is later stays.
    pub fn extend_client(&mut self, client: &ClientId, ttl: Duration) -> bool {
        let least = self.now + ttl;
        let Some((end, registration)) = self.clients.find_mut(client, self.now) else {
            return false;
        };
        registration.unused = None;
        *end = least.max(*end);
        true
    }

    /// Its end stays, and so does its place.
    pub fn replace_client(&mut self, client: &ClientId, bytes: Vec<u8>) -> bool {
        let Some((_, registration)) = self.clients.find_mut(client, self.now) else {
            return false;
        };
        registration.bytes = bytes;
        true
    }

    /// Forgets a registration.
    pub fn forget_client(&mut self, client: &ClientId) {
        self.clients.take(client);
    }

    // --- interactions

    /// Where there are too many, those that end first go.
    pub fn put_interaction(&mut self, uid: &[u8; 16], bytes: Vec<u8>, ttl: Duration) {
        self.interactions.put(*uid, bytes, self.now + ttl);
        self.interactions.expire(self.now);
        while self.interactions.0.len() > self.max_interactions {
            let ends = self.interactions.0.iter().map(|(uid, (end, _))| (end, uid));
            if let Some(first) = ends.min().map(|(_, uid)| *uid) {
                self.interactions.take(&first);
            }
        }
    }

    /// Reads an interaction.
    pub fn load_interaction(&self, uid: &[u8; 16]) -> Option<Vec<u8>> {
        let (_, bytes) = self.interactions.find(uid, self.now)?;
        Some(bytes.clone())
    }

    /// Reads and forgets an interaction.
    pub fn take_interaction(&mut self, uid: &[u8; 16]) -> Option<Vec<u8>> {
        self.interactions.expire(self.now);
        self.interactions.take(uid)
    }

    /// Remembers a state.
    pub fn put_state(&mut self, state: &[u8; 32], uid: &[u8; 16], ttl: Duration) {
        self.states.put(*state, *uid, self.now + ttl);
    }

    /// Reads and forgets a state.
    pub fn take_state(&mut self, state: &[u8; 32]) -> Option<[u8; 16]> {
        self.states.expire(self.now);
        self.states.take(state)
    }

    /// Forgets a state.
    pub fn drop_state(&mut self, state: &[u8; 32]) {
        self.states.take(state);
    }

    /// Whether it is the first to do so.
    pub fn mark_once(&mut self, mark: &[u8; 32], ttl: Duration) -> bool {
        let is_first = self.marks.find(mark, self.now).is_none();
        if is_first {
            self.marks.put(*mark, (), self.now + ttl);
        }
        is_first
    }
}

// === impl Shelf ===

impl<K: Ord, V> Shelf<K, V> {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn put(&mut self, key: K, value: V, end: Duration) {
        self.0.insert(key, (end, value));
    }

    /// What has not ended, with its end.
    fn find(&self, key: &K, now: Duration) -> Option<&(Duration, V)> {
        self.0.get(key).filter(|(end, _)| *end > now)
    }

    fn find_mut(&mut self, key: &K, now: Duration) -> Option<&mut (Duration, V)> {
        self.0.get_mut(key).filter(|(end, _)| *end > now)
    }

    fn take(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(|(_, value)| value)
    }

    fn expire(&mut self, now: Duration) {
        self.0.retain(|_, (end, _)| *end > now);
    }
}
