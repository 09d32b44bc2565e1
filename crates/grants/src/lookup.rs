//! From a credential to its grant: from memory, else from the store.

use std::sync::Arc;

use domain::{
    credential::{Credential, CredentialKind},
    id::GrantId,
};
use store::{Replaced, StoreUnavailable, StoredGrant, StoredIdentity};
use tokio::{sync::MutexGuard, time::Instant};

use crate::{
    audit::EndReason,
    cache::{Epoch, Overtaken, Refusal, Registry},
    heart::Heart,
    identity::{Binding, IdentitySession},
    keys::{GrantKeys, Root},
    live::{Live, VersionedLine},
    patience::Patience,
    record::{self, Facts, Line, Record},
};

/// Why a credential leads to no grant.
#[derive(Debug)]
pub(crate) enum Closed {
    Refused(Refusal),
    Unavailable(StoreUnavailable),
}

/// A grant where it was found.
pub(crate) enum Found {
    Live(Arc<Live>),
    Stored(Box<StoredRecord>),
}

/// A grant read from the store; no credential has opened it yet.
pub(crate) struct StoredRecord {
    pub(crate) line: VersionedLine,
    pub(crate) facts: Facts,
    identity: Option<StoredIdentity>,
    epoch: Epoch,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// Another write came first; the line held is now that one's.
    Overtaken,
    /// The grant was ended or has run out.
    Gone,
}

impl Heart {
    /// The grant of an access or refresh token. In memory it is not yet known that the token is
    /// its own; one read from the store was opened by it.
    pub(crate) async fn live(
        &self,
        text: &str,
        credential: &Credential,
        patience: &Patience,
    ) -> Result<Arc<Live>, Closed> {
        let now = self.clock.now();
        if let Some(refusal) = self.registry.refusal(text, now) {
            return Err(Closed::Refused(refusal));
        }
        let found = match self.live_or_stored(credential, patience).await {
            Ok(live) => self
                .catch_up(&live, credential, patience)
                .await
                .map(|()| live),
            closed => closed,
        };
        if let Err(Closed::Refused(refusal)) = &found {
            self.registry.refuse(text, *refusal, now);
        }
        found
    }

    /// Reads a grant in memory again where a token of it may have been issued elsewhere since.
    async fn catch_up(
        &self,
        live: &Live,
        credential: &Credential,
        patience: &Patience,
    ) -> Result<(), Closed> {
        if self.store.is_shared()
            && credential.kind == CredentialKind::Access
            && !live.knows_access_pad(credential.pad_number)
        {
            drop(self.hold(live, patience).await?);
        }
        Ok(())
    }

    /// Whether a grant in memory can be used without a look into the store.
    pub(crate) fn is_current(&self, live: &Live) -> bool {
        self.registry.is_current(live)
            // Its end may have been moved elsewhere.
            && (!self.store.is_shared() || live.ends_at() > self.clock.now())
    }

    /// Reads a grant in memory again where it may have changed unheard.
    pub(crate) async fn keep_current(
        &self,
        live: &Live,
        patience: &Patience,
    ) -> Result<(), StoreUnavailable> {
        if self.is_current(live) {
            return Ok(());
        }
        let mut held = patience.lock(&live.line).await?;
        if held.as_of >= patience.began {
            return Ok(());
        }
        match self.read_again(live, &mut held, patience).await {
            // It may have become known only now that the store is away.
            Err(_) if self.is_current(live) => Ok(()),
            read => read,
        }
    }

    /// The line of a grant, to be judged and written by who holds it: as it is in the store where
    /// others write too.
    pub(crate) async fn hold<'a>(
        &self,
        live: &'a Live,
        patience: &Patience,
    ) -> Result<MutexGuard<'a, VersionedLine>, StoreUnavailable> {
        let mut held = patience.lock(&live.line).await?;
        // Those who waited for their turn together need one look.
        if self.store.is_shared() && held.as_of < patience.began {
            self.read_again(live, &mut held, patience).await?;
        }
        Ok(held)
    }

    async fn read_again(
        &self,
        live: &Live,
        held: &mut VersionedLine,
        patience: &Patience,
    ) -> Result<(), StoreUnavailable> {
        let epoch = self.registry.epoch();
        let stored = patience.call(|| self.store.load_grant(&live.id)).await?;
        let (version, body, identity) = match stored {
            Some(StoredGrant::Live {
                version,
                body,
                identity,
            }) => (version, body, identity),
            gone => {
                let reason = match gone {
                    None => EndReason::Expired,
                    Some(_) => EndReason::Elsewhere,
                };
                drop(self.registry.end(&live.id, reason.clone()));
                live.end(reason);
                return Ok(());
            }
        };
        // Also where the version is the same: after a failover that lost writes it may name others.
        let record = Record::decode(&body).map_err(|error| StoreUnavailable(error.to_string()))?;
        live.publish(&record.line);
        held.version = version;
        held.line = record.line;
        held.as_of = epoch.as_of;
        if let Some(stored) = identity
            && stored.version > live.identity().version
            && let Some(identity) = self.open_identity(&live.id, &live.facts, &live.keys, &stored)
        {
            live.renew_identity(identity);
        }
        Registry::note_reading(live, epoch);
        Ok(())
    }

    async fn live_or_stored(
        &self,
        credential: &Credential,
        patience: &Patience,
    ) -> Result<Arc<Live>, Closed> {
        loop {
            match self.find(&credential.grant, patience).await? {
                Found::Live(live) => return Ok(live),
                Found::Stored(stored) => {
                    let keys = self
                        .open(credential, &stored.line.line)
                        .ok_or(Closed::Refused(Refusal::Unknown))?;
                    if let Ok(live) = self.admit(credential.grant, *stored, keys)? {
                        return Ok(live);
                    }
                }
            }
        }
    }

    /// The grant, in memory or in the store.
    pub(crate) async fn find(&self, grant: &GrantId, patience: &Patience) -> Result<Found, Closed> {
        if let Some(live) = self.registry.find(grant) {
            self.keep_current(&live, patience).await?;
            if live.is_ended() {
                return Err(Closed::Refused(Refusal::Ended));
            }
            return Ok(Found::Live(live));
        }
        let epoch = self.registry.epoch();
        let stored = patience
            .call(|| self.store.load_grant(grant))
            .await
            .map_err(Closed::Unavailable)?;
        let (version, body, identity) = match stored {
            None => return Err(Closed::Refused(Refusal::Unknown)),
            Some(StoredGrant::Ended) => return Err(Closed::Refused(Refusal::Ended)),
            Some(StoredGrant::Live {
                version,
                body,
                identity,
            }) => (version, body, identity),
        };
        let record = decode(grant, &body)?;
        Ok(Found::Stored(Box::new(StoredRecord {
            line: VersionedLine {
                version,
                line: record.line,
                as_of: epoch.as_of,
            },
            facts: record.facts,
            identity,
            epoch,
        })))
    }

    /// The keys that a credential opens a record with: first the key must be the record's, then
    /// the MAC must fit.
    fn open(&self, credential: &Credential, line: &Line) -> Option<GrantKeys> {
        let issuer = &self.settings.issuer;
        match credential.kind {
            CredentialKind::Access => {
                let pad = line.access_pads.numbered(credential.pad_number)?;
                let key = credential.half.xor(pad);
                let keys = GrantKeys::derive(key, &credential.grant, issuer);
                (keys.fit(&line.check) && keys.verifies_access(credential, pad)).then_some(keys)
            }
            CredentialKind::Refresh => {
                let pad = line.refresh_pads.numbered(credential.pad_number)?;
                let root = Root::from_half(credential, pad, issuer);
                let keys = root.grant_keys();
                (keys.fit(&line.check) && root.verifies(credential)).then_some(keys)
            }
            // A code has a pad of its own and is only ever redeemed; a device code's half is no
            // half of the root.
            CredentialKind::Code | CredentialKind::Device => None,
        }
    }

    /// Takes a grant that was opened into memory.
    pub(crate) fn admit(
        &self,
        grant: GrantId,
        stored: StoredRecord,
        keys: GrantKeys,
    ) -> Result<Result<Arc<Live>, Overtaken>, Closed> {
        let identity = stored
            .identity
            .as_ref()
            .and_then(|identity| self.open_identity(&grant, &stored.facts, &keys, identity));
        let Some(identity) = identity else {
            // Nothing can be done for it but a new login; it is not erased, so that what happened
            // can still be looked into.
            tracing::error!(
                grant.id = %grant,
                "the identity session of a grant is lost or cannot be opened; its user must log in again"
            );
            return Err(Closed::Refused(Refusal::Ended));
        };
        let refresher = self.providers.get(&stored.facts.issuer).cloned();
        let live = Live::new(
            grant,
            stored.facts,
            keys,
            stored.line,
            identity,
            refresher,
            Arc::downgrade(&self.registry),
        );
        Ok(self.registry.admit(live, stored.epoch))
    }

    pub(crate) fn open_identity(
        &self,
        grant: &GrantId,
        facts: &Facts,
        keys: &GrantKeys,
        stored: &StoredIdentity,
    ) -> Option<IdentitySession> {
        let binding = Binding {
            grant,
            issuer: &self.settings.issuer,
            facts,
        };
        IdentitySession::open(&keys.seal, &binding, stored.version, &stored.sealed)
    }

    /// Writes a changed line over the version held; the line held is up to date afterwards.
    pub(crate) async fn write_line(
        &self,
        live: &Live,
        held: &mut VersionedLine,
        changed: Line,
        patience: &Patience,
    ) -> Result<Written, StoreUnavailable> {
        let body = record::encode(&changed, &live.facts);
        let operation = self.random.bytes();
        let remaining = changed.remaining(self.clock.now());
        let replaced = patience
            .call(|| {
                let body = body.clone();
                self.store
                    .replace_grant(&live.id, held.version, body, operation, remaining)
            })
            .await?;
        match replaced {
            Replaced::Done => {
                live.publish(&changed);
                held.version += 1;
                held.line = changed;
                held.as_of = Instant::now();
                Ok(Written::Done)
            }
            Replaced::Conflict(StoredGrant::Live { version, body, .. }) => {
                let record =
                    Record::decode(&body).map_err(|error| StoreUnavailable(error.to_string()))?;
                live.publish(&record.line);
                held.version = version;
                held.line = record.line;
                held.as_of = Instant::now();
                Ok(Written::Overtaken)
            }
            Replaced::Conflict(StoredGrant::Ended) => {
                self.registry.end(&live.id, EndReason::Elsewhere);
                Ok(Written::Gone)
            }
            Replaced::Absent => {
                self.registry.end(&live.id, EndReason::Expired);
                Ok(Written::Gone)
            }
        }
    }

    /// Ends a grant in the store, then in memory.
    pub(crate) async fn end_grant(
        &self,
        grant: &GrantId,
        facts: Option<&Facts>,
        reason: EndReason,
        patience: &Patience,
    ) -> Result<(), StoreUnavailable> {
        patience
            .call(|| self.store.end_grant(grant, TOMBSTONE_LIFE))
            .await?;
        crate::audit::ended(grant, facts, &reason);
        drop(self.registry.end(grant, reason));
        Ok(())
    }
}

/// How long the fact that a grant was ended is kept.
const TOMBSTONE_LIFE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

impl From<StoreUnavailable> for Closed {
    fn from(error: StoreUnavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// A record that cannot be read is the store's fault (a newer release wrote it), never a
/// reason to send somebody away for good.
fn decode(grant: &GrantId, body: &[u8]) -> Result<Record, Closed> {
    Record::decode(body).map_err(|error| {
        tracing::error!(grant.id = %grant, cause = %error, "a grant cannot be read");
        Closed::Unavailable(StoreUnavailable(error.to_string()))
    })
}
