//! A grant in memory: one object per grant and process, however many requests hold it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};

use domain::{
    address::ClientNetwork, credential::Credential, id::GrantId, secret::SecretBytes,
    time::Timestamp,
};
use idp::provider::IdentityRefresher;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::EndReason,
    cache::Registry,
    hearing::LastReading,
    identity::IdentitySession,
    keys::GrantKeys,
    record::{Facts, Line, Pads},
    refresh::RefreshState,
};

/// A grant whose key is known, because a credential opened it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: GrantId,
    pub(crate) facts: Facts,
    pub(crate) keys: GrantKeys,
    /// Who can refresh its identity tokens; absent where the provider is no longer configured.
    pub(crate) refresher: Option<Arc<dyn IdentityRefresher>>,
    /// The record; whoever changes it holds it until the store has answered.
    pub(crate) line: tokio::sync::Mutex<VersionedLine>,
    /// What each call needs of the record.
    hot: RwLock<Hot>,
    identity: RwLock<Arc<IdentitySession>>,
    refresh: Mutex<RefreshState>,
    notes: Mutex<Notes>,
    ended: CancellationToken,
    end_reason: Mutex<Option<EndReason>>,
    /// Where others write to the store too: when its record was last read.
    pub(crate) last_reading: LastReading,
    weight: u64,
    registry: Weak<Registry>,
}

/// A line as of a version of its record.
#[derive(Clone, Debug)]
pub(crate) struct VersionedLine {
    pub(crate) version: u64,
    pub(crate) line: Line,
    /// When the store held it.
    pub(crate) as_of: Instant,
}

#[derive(Debug)]
struct Hot {
    ends_at: Timestamp,
    access_pads: Pads,
}

/// What this process has already passed on, so that it does so once.
#[derive(Debug, Default)]
struct Notes {
    seen: Vec<(u32, ClientNetwork)>,
    late: Vec<(u32, ClientNetwork)>,
}

/// Most networks marked for one generation.
const NETWORKS_PER_GENERATION: usize = 4;
/// How far back generations are told apart.
const GENERATIONS_NOTED: u32 = 16;
/// Most late uses remembered as reported.
const MAX_LATE_NOTES: usize = 64;
/// Everything of a grant in memory beside its texts: the object, its keys, its place in the maps.
const BASE_WEIGHT: usize = size_of::<Live>() + 512;

// === impl Live ===

impl Live {
    pub(crate) fn new(
        id: GrantId,
        facts: Facts,
        keys: GrantKeys,
        line: VersionedLine,
        identity: IdentitySession,
        refresher: Option<Arc<dyn IdentityRefresher>>,
        registry: Weak<Registry>,
    ) -> Self {
        let texts = facts.client.as_str().len()
            + facts.subject.as_str().len()
            + facts.issuer.len()
            + facts.resource.as_str().len()
            + facts.scopes.to_string().len() * 2;
        let weight = BASE_WEIGHT + texts + identity.weight();
        Self {
            id,
            facts,
            keys,
            refresher,
            hot: RwLock::new(Hot {
                ends_at: line.line.ends_at,
                access_pads: line.line.access_pads.clone(),
            }),
            line: tokio::sync::Mutex::new(line),
            identity: RwLock::new(Arc::new(identity)),
            refresh: Mutex::new(RefreshState::default()),
            notes: Mutex::new(Notes::default()),
            ended: CancellationToken::new(),
            end_reason: Mutex::new(None),
            last_reading: LastReading::default(),
            weight: weight as u64,
            registry,
        }
    }

    /// About how many bytes it takes; as it was when it was made, since the cache asks for a
    /// weight that does not change.
    pub(crate) const fn weight(&self) -> u64 {
        self.weight
    }

    /// Whether an access token is this grant's.
    pub(crate) fn verifies_access(&self, credential: &Credential) -> bool {
        let hot = self.hot();
        hot.access_pads
            .numbered(credential.pad_number)
            .is_some_and(|pad| self.keys.verifies_access(credential, pad))
    }

    /// Whether this is the grant's key, by constant-time comparison.
    pub(crate) fn is_key(&self, key: &SecretBytes<32>) -> bool {
        self.keys.is_key(key)
    }

    /// When the grant can no longer be used: its own end, or that of an identity token which
    /// nothing can refresh.
    pub(crate) fn end_of(&self, line: &Line) -> Timestamp {
        let tokens = &self.identity().tokens;
        match (tokens.expires_at, &self.refresher) {
            (Some(end), Some(refresher)) if !refresher.can_refresh(tokens) => line.ends_at.min(end),
            _ => line.ends_at,
        }
    }

    pub(crate) fn ends_at(&self) -> Timestamp {
        self.hot().ends_at
    }

    /// Makes what a write has settled visible to calls.
    pub(crate) fn publish(&self, line: &Line) {
        let mut hot = write(&self.hot);
        hot.ends_at = line.ends_at;
        hot.access_pads = line.access_pads.clone();
    }

    pub(crate) fn identity(&self) -> Arc<IdentitySession> {
        Arc::clone(&read(&self.identity))
    }

    /// Puts a stored identity session in the place of an older one.
    pub(crate) fn renew_identity(&self, identity: IdentitySession) {
        let mut held = write(&self.identity);
        if identity.version > held.version {
            *held = Arc::new(identity);
        }
    }

    pub(crate) fn refresh_state(&self) -> MutexGuard<'_, RefreshState> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it for everybody who holds it. The first reason counts; but our own end may be heard
    /// as an announcement before it is answered.
    pub(crate) fn end(&self, reason: EndReason) {
        let mut slot = self.end_reason_slot();
        if matches!(*slot, None | Some(EndReason::Elsewhere)) {
            *slot = Some(reason);
        }
        drop(slot);
        self.ended.cancel();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.end_reason_slot().clone()
    }

    /// Whether the pad of an access token is one of those in memory; a token of later ones may have
    /// been issued elsewhere.
    pub(crate) fn knows_access_pad(&self, number: u16) -> bool {
        self.hot().access_pads.numbered(number).is_some()
    }

    /// Waits until it is ended (not: until its time is over).
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether a call with this generation from this network is to be marked: the first of the
    /// generation, and of at most four networks in it.
    pub(crate) fn is_first_use(&self, generation: u32, network: ClientNetwork) -> bool {
        let mut notes = self.notes();
        if notes.seen.contains(&(generation, network)) {
            return false;
        }
        let newest = notes.seen.iter().map(|(noted, _)| *noted).max();
        let oldest_kept = newest
            .unwrap_or(generation)
            .saturating_sub(GENERATIONS_NOTED);
        if generation < oldest_kept {
            return false;
        }
        let of_generation = notes.seen.iter().filter(|(noted, _)| *noted == generation);
        if of_generation.count() >= NETWORKS_PER_GENERATION {
            return false;
        }
        let oldest_kept = oldest_kept.max(generation.saturating_sub(GENERATIONS_NOTED));
        notes.seen.retain(|(noted, _)| *noted >= oldest_kept);
        notes.seen.push((generation, network));
        true
    }

    /// Whether a late use of this generation from this network is to be reported.
    pub(crate) fn is_first_late_use(&self, generation: u32, network: ClientNetwork) -> bool {
        let mut notes = self.notes();
        if notes.late.contains(&(generation, network)) || notes.late.len() >= MAX_LATE_NOTES {
            return false;
        }
        notes.late.push((generation, network));
        true
    }

    fn end_reason_slot(&self) -> MutexGuard<'_, Option<EndReason>> {
        self.end_reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn hot(&self) -> RwLockReadGuard<'_, Hot> {
        read(&self.hot)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.forget(&self.id);
        }
    }
}

/// A panic elsewhere leaves values that were replaced as a whole, so they are still good.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
