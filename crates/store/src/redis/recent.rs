//! What this process has written of late, kept for a server that loses it.
//!
//! A server that is killed, or replaced by one that lagged behind, may lose what it has answered.
//! So the last writes are kept here, the newest of each record, and offered again: see
//! `offering.rs`. They are as sealed as in the store.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::id::{ClientId, GrantId};
use tokio::time::Instant;

use crate::{LeaseHolder, stored::GrantHeader};

/// How long a write is kept. While there are no others, because the server is away, longer.
const KEPT: Duration = Duration::from_secs(60);
/// What is older is not offered: what was forgotten meanwhile has its traces for so long.
pub(super) const OFFERED: Duration = Duration::from_secs(60 * 60);
/// How much is kept; the oldest goes first. A million sessions whose access tokens last an hour
/// write about so much in 60 s.
const BOUND_BYTES: usize = 32 << 20;
/// What an entry costs beside its values.
const ENTRY_BYTES: usize = 256;
/// How long an end is offered of which only its announcement is known.
const END_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long somebody who refreshes keeps its lease without a sign.
const LEASE_KEPT: Duration = Duration::from_secs(60);
/// At so many leases those that are over are looked for.
const MANY_LEASES: usize = 1024;

/// The last writes of this process.
pub(super) struct Recent {
    kept: Mutex<Kept>,
    leases: Mutex<HashMap<GrantId, (LeaseHolder, Instant)>>,
    /// The shared signing keys as last read or written; they have no end.
    signing_keys: Mutex<Option<Arc<[u8]>>>,
    bound: usize,
}

#[derive(Default)]
struct Kept {
    writes: HashMap<Subject, Write>,
    /// In the order of writing. An entry that was written again leaves its older places behind.
    order: VecDeque<(Instant, Subject)>,
    bytes: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Grant(GrantId),
    Client(ClientId),
    Holder([u8; 32], GrantId),
}

struct Write {
    at: Instant,
    bytes: usize,
    offer: Offer,
}

/// A record with its end.
#[derive(Clone)]
pub(super) struct Timed {
    pub(super) value: Arc<[u8]>,
    pub(super) until: Instant,
}

/// What was written about one subject, newest versions.
#[derive(Clone)]
pub(super) enum Offer {
    /// A grant, its identity session and the device that waited for it.
    Grant {
        grant: Option<Timed>,
        identity: Option<Arc<[u8]>>,
        device: Option<Timed>,
    },
    /// The end of a grant, remembered until then.
    End { until: Instant },
    /// A registration.
    Client(Timed),
    /// That a grant belongs to a holder.
    Holder { until: Instant },
}

/// An offer with the name of what it is about.
pub(super) enum Named {
    Grant(GrantId, Offer),
    Client(ClientId, Timed),
    Holder([u8; 32], GrantId, Instant),
    /// In the place of none.
    SigningKeys(Arc<[u8]>),
}

// === impl Timed ===

impl Timed {
    fn new(value: &[u8], life: Duration) -> Self {
        Self {
            value: value.into(),
            until: end_of(life),
        }
    }

    /// Version of a grant or device.
    fn version(&self) -> u64 {
        GrantHeader::decode(&self.value).map_or(0, |(header, _)| header.version)
    }
}

// === impl Recent ===

impl Recent {
    pub(super) fn new() -> Self {
        Self::bounded(BOUND_BYTES)
    }

    fn bounded(bound: usize) -> Self {
        Self {
            kept: Mutex::default(),
            leases: Mutex::default(),
            signing_keys: Mutex::default(),
            bound,
        }
    }

    /// A grant was written; with its identity session where that was written too.
    pub(super) fn note_grant(
        &self,
        id: &GrantId,
        value: &[u8],
        identity: Option<&[u8]>,
        life: Duration,
    ) {
        let written = Offer::Grant {
            grant: Some(Timed::new(value, life)),
            identity: identity.map(Into::into),
            device: None,
        };
        self.note(Subject::Grant(*id), written);
    }

    /// An identity session was settled.
    pub(super) fn note_identity(&self, id: &GrantId, value: &[u8]) {
        let written = Offer::Grant {
            grant: None,
            identity: Some(value.into()),
            device: None,
        };
        self.note(Subject::Grant(*id), written);
        self.give_up_lease(id);
    }

    /// A device was approved; its record lives as long as the grant that waits for it.
    pub(super) fn note_approval(
        &self,
        id: &GrantId,
        device: &[u8],
        grant: &[u8],
        identity: &[u8],
        life: Duration,
    ) {
        let written = Offer::Grant {
            grant: Some(Timed::new(grant, life)),
            identity: Some(identity.into()),
            device: Some(Timed::new(device, life)),
        };
        self.note(Subject::Grant(*id), written);
    }

    /// A grant was ended here.
    pub(super) fn note_end(&self, id: &GrantId, tombstone_life: Duration) {
        let until = end_of(tombstone_life);
        self.note(Subject::Grant(*id), Offer::End { until });
        self.give_up_lease(id);
    }

    /// A grant was ended by somebody: nobody who heard of it offers it as living.
    pub(super) fn heard_end(&self, id: &GrantId) {
        self.note_end(id, END_LIFE);
    }

    /// A registration was written.
    pub(super) fn note_client(&self, client: &ClientId, value: &[u8], life: Duration) {
        let written = Offer::Client(Timed::new(value, life));
        self.note(Subject::Client(client.clone()), written);
    }

    /// What a registration says was replaced behind its header; known is its life only where it
    /// was written of late.
    pub(super) fn renew_client(&self, client: &ClientId, header_bytes: usize, body: &[u8]) {
        let subject = Subject::Client(client.clone());
        let renewed = match self.kept().writes.get(&subject).map(|write| &write.offer) {
            Some(Offer::Client(stood)) => stood.value.get(..header_bytes).map(|header| Timed {
                value: [header, body].concat().into(),
                until: stood.until,
            }),
            _ => None,
        };
        if let Some(renewed) = renewed {
            self.note(subject, Offer::Client(renewed));
        }
    }

    /// A registration was forgotten.
    pub(super) fn drop_client(&self, client: &ClientId) {
        self.kept().remove(&Subject::Client(client.clone()));
    }

    /// What all processes share as signing keys.
    pub(super) fn note_signing_keys(&self, sealed: &[u8]) {
        *self.signing_keys() = Some(sealed.into());
    }

    /// A grant was noted for its holder.
    pub(super) fn note_holder(&self, holder: &[u8; 32], id: &GrantId, life: Duration) {
        let until = end_of(life);
        self.note(Subject::Holder(*holder, *id), Offer::Holder { until });
    }

    /// The right to refresh was granted to somebody here.
    pub(super) fn note_lease(&self, id: &GrantId, holder: &LeaseHolder) {
        let now = Instant::now();
        let mut leases = self.leases();
        if leases.len() >= MANY_LEASES {
            leases.retain(|_, (_, at)| now.duration_since(*at) < LEASE_KEPT);
        }
        leases.insert(*id, (*holder, now));
    }

    pub(super) fn give_up_lease(&self, id: &GrantId) {
        self.leases().remove(id);
    }

    /// Whether the right to refresh is with this one, as far as is known.
    pub(super) fn has_lease(&self, id: &GrantId, holder: &LeaseHolder) -> bool {
        let leases = self.leases();
        leases.get(id).is_some_and(|(known, _)| known == holder)
    }

    /// Everything that is to be offered, in the order of writing.
    pub(super) fn offers(&self) -> Vec<Named> {
        let now = Instant::now();
        let kept = self.kept();
        let mut writes: Vec<_> = kept
            .writes
            .iter()
            .filter(|(_, write)| now.duration_since(write.at) < OFFERED)
            .collect();
        writes.sort_by_key(|(_, write)| write.at);
        let keys = self.signing_keys().clone().map(Named::SigningKeys);
        let writes =
            writes
                .into_iter()
                .filter_map(|(subject, write)| match (subject, &write.offer) {
                    (Subject::Client(client), Offer::Client(timed)) => {
                        Some(Named::Client(client.clone(), timed.clone()))
                    }
                    (Subject::Holder(holder, grant), Offer::Holder { until }) => {
                        Some(Named::Holder(*holder, *grant, *until))
                    }
                    (Subject::Grant(grant), offer) => Some(Named::Grant(*grant, offer.clone())),
                    _ => None,
                });
        keys.into_iter().chain(writes).collect()
    }

    fn note(&self, subject: Subject, written: Offer) {
        let mut kept = self.kept();
        let offer = match kept.remove(&subject) {
            Some(stood) => newest(stood, written),
            None => written,
        };
        kept.insert(subject, offer);
        kept.tidy(self.bound);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nobody panics with it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signing_keys(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.signing_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<GrantId, (LeaseHolder, Instant)>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn insert(&mut self, subject: Subject, offer: Offer) {
        let (at, bytes) = (Instant::now(), offer.bytes());
        self.bytes += bytes;
        self.order.push_back((at, subject.clone()));
        self.writes.insert(subject, Write { at, bytes, offer });
    }

    fn remove(&mut self, subject: &Subject) -> Option<Offer> {
        let write = self.writes.remove(subject)?;
        self.bytes -= write.bytes;
        Some(write.offer)
    }

    /// Lets go what is too old or too much.
    fn tidy(&mut self, bound: usize) {
        let now = Instant::now();
        while let Some((at, subject)) = self.order.front() {
            if now.duration_since(*at) < KEPT && self.bytes <= bound {
                break;
            }
            let is_current = (self.writes.get(subject)).is_some_and(|write| write.at == *at);
            if let Some((_, subject)) = self.order.pop_front()
                && is_current
            {
                self.remove(&subject);
            }
        }
    }
}

// === impl Offer ===

impl Offer {
    fn bytes(&self) -> usize {
        let of = |timed: &Option<Timed>| timed.as_ref().map_or(0, |timed| timed.value.len());
        let values = match self {
            Self::Grant {
                grant,
                identity,
                device,
            } => of(grant) + of(device) + identity.as_ref().map_or(0, |value| value.len()),
            Self::Client(timed) => timed.value.len(),
            Self::End { .. } | Self::Holder { .. } => 0,
        };
        ENTRY_BYTES + values
    }
}

/// What is left of two writes about one subject: of each record the newer one, and over all the
/// end. Answers may overtake each other.
fn newest(stood: Offer, written: Offer) -> Offer {
    match (stood, written) {
        (
            Offer::Grant {
                grant,
                identity,
                device,
            },
            Offer::Grant {
                grant: new_grant,
                identity: new_identity,
                device: new_device,
            },
        ) => Offer::Grant {
            grant: newer(grant, new_grant, Timed::version),
            identity: newer(identity, new_identity, |value| identity_version(value)),
            device: newer(device, new_device, Timed::version),
        },
        (Offer::End { until }, Offer::End { until: again }) => Offer::End {
            until: until.max(again),
        },
        (end @ Offer::End { .. }, _) => end,
        (_, written) => written,
    }
}

fn newer<T>(stood: Option<T>, written: Option<T>, version: impl Fn(&T) -> u64) -> Option<T> {
    match (stood, written) {
        (Some(stood), Some(written)) if version(&stood) > version(&written) => Some(stood),
        (stood, None) => stood,
        (_, written) => written,
    }
}

fn identity_version(value: &[u8]) -> u64 {
    let version = value.first_chunk::<8>();
    version.map_or(0, |version| u64::from_be_bytes(*version))
}

fn end_of(life: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(life).unwrap_or(now + OFFERED)
}
