//! Grants, their identity sessions, the leases of their refreshes, and who holds them.

use std::{collections::BTreeMap, time::Duration};

use domain::id::GrantId;

use super::Model;
use crate::{Lease, LeaseHolder, OperationId, Replaced, Settled, StoredGrant, StoredIdentity};

#[derive(Clone, Debug)]
pub(super) struct GrantRecord {
    is_live: bool,
    version: u64,
    operation: OperationId,
    body: Vec<u8>,
}

/// Who refreshes a version, and who has tried to.
#[derive(Clone, Debug)]
pub(super) struct LeaseRecord {
    version: u64,
    /// With the end of the lease.
    holder: Option<(LeaseHolder, Duration)>,
    /// When each was last known to try.
    tries: BTreeMap<LeaseHolder, Duration>,
    end: Duration,
}

/// How long leases and tries are on record.
const LEASE_RECORD_LIFE: Duration = Duration::from_secs(60);

// === impl Model ===

impl Model {
    /// Changes nothing where there is one, ended or not: it is this very step that came before.
    pub fn open_grant(
        &mut self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) {
        if self.grants.find(grant, self.now).is_some() {
            return;
        }
        let end = self.now + ttl;
        let record = GrantRecord {
            is_live: true,
            version: 1,
            operation,
            body,
        };
        self.grants.put(*grant, record, end);
        let identity = StoredIdentity {
            version: 1,
            sealed: identity,
        };
        self.identities.put(*grant, identity, end);
    }

    /// Reads a grant and its identity session.
    pub fn load_grant(&self, grant: &GrantId) -> Option<StoredGrant> {
        let (_, record) = self.grants.find(grant, self.now)?;
        if !record.is_live {
            return Some(StoredGrant::Ended);
        }
        Some(StoredGrant::Live {
            version: record.version,
            body: record.body.clone(),
            identity: self.identity(grant),
        })
    }

    /// Replaces a version, once.
    pub fn replace_grant(
        &mut self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Replaced {
        let Some((_, record)) = self.grants.find(grant, self.now) else {
            return Replaced::Absent;
        };
        let is_ours = record.version == expected + 1 && record.operation == operation;
        if record.is_live && is_ours {
            return Replaced::Done;
        }
        if !record.is_live || record.version != expected {
            let stored = self.load_grant(grant);
            return stored.map_or(Replaced::Absent, Replaced::Conflict);
        }
        let end = self.now + ttl;
        let record = GrantRecord {
            is_live: true,
            version: expected + 1,
            operation,
            body,
        };
        self.grants.put(*grant, record, end);
        if let Some((identity_end, _)) = self.identities.find_mut(grant, self.now) {
            *identity_end = end;
        }
        Replaced::Done
    }

    /// Replaces a version of the identity session, or an older one, once.
    pub fn settle_identity(&mut self, grant: &GrantId, expected: u64, sealed: Vec<u8>) -> Settled {
        let Some(end) = self.live_until(grant) else {
            return Settled::Ended;
        };
        match self.identity(grant) {
            Some(stored) if stored.version > expected => Settled::Newer(stored),
            _ => {
                let identity = StoredIdentity {
                    version: expected + 1,
                    sealed,
                };
                self.identities.put(*grant, identity, end);
                self.leases.remove(grant);
                Settled::Done
            }
        }
    }

    /// Leaves a tombstone, and no identity session.
    pub fn end_grant(&mut self, grant: &GrantId, tombstone_ttl: Duration) {
        if let Some((end, record)) = self.grants.find_mut(grant, self.now)
            && record.is_live
        {
            record.is_live = false;
            record.body.clear();
            *end = self.now + tombstone_ttl;
        }
        self.identities.take(grant);
        self.leases.remove(grant);
    }

    /// Gives the lease to one at a time, and says what others have tried.
    pub fn lease_refresh(
        &mut self,
        grant: &GrantId,
        expected: u64,
        holder: &LeaseHolder,
        life: Duration,
    ) -> Lease {
        if self.live_until(grant).is_none() {
            return Lease::Ended;
        }
        if let Some(stored) = self.identity(grant).filter(|it| it.version != expected) {
            return Lease::Newer(stored);
        }
        let now = self.now;
        self.leases
            .retain(|id, record| id != grant || (record.end > now && record.version == expected));
        let record = self.leases.entry(*grant).or_insert(LeaseRecord {
            version: expected,
            holder: None,
            tries: BTreeMap::new(),
            end: now,
        });
        if record
            .holder
            .is_some_and(|(other, end)| other != *holder && end > now)
        {
            return Lease::Busy;
        }
        let others = record.tries.iter().filter(|(other, _)| *other != holder);
        let earlier = others.map(|(_, at)| now.saturating_sub(*at)).min();
        record.holder = Some((*holder, now + life));
        record.tries.insert(*holder, now);
        record.end = now + LEASE_RECORD_LIFE;
        Lease::Taken { earlier }
    }

    /// Frees the lease of this holder.
    pub fn release_refresh(&mut self, grant: &GrantId, holder: &LeaseHolder) {
        if let Some(record) = self.leases.get_mut(grant)
            && record.holder.is_some_and(|(other, _)| other == *holder)
        {
            record.holder = None;
        }
    }

    /// Notes whose a grant is.
    pub fn index_grant(&mut self, holder: &[u8; 32], grant: &GrantId, ttl: Duration) {
        self.holders.put((*holder, *grant), (), self.now + ttl);
    }

    /// The grants noted for a holder, by their id.
    pub fn grants_of(&self, holder: &[u8; 32]) -> Vec<GrantId> {
        let noted = self.holders.0.iter();
        noted
            .filter(|((other, _), (end, ()))| other == holder && *end > self.now)
            .map(|((_, grant), _)| *grant)
            .collect()
    }

    fn identity(&self, grant: &GrantId) -> Option<StoredIdentity> {
        let (_, identity) = self.identities.find(grant, self.now)?;
        Some(identity.clone())
    }

    fn live_until(&self, grant: &GrantId) -> Option<Duration> {
        let (end, record) = self.grants.find(grant, self.now)?;
        record.is_live.then_some(*end)
    }
}
