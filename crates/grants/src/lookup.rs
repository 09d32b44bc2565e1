//! From a credential to its grant: from memory, else from the store.

use std::sync::Arc;

use domain::{
    credential::{Credential, CredentialKind},
    id::GrantId,
};
use store::{Replaced, StoreUnavailable, StoredGrant, StoredIdentity};

use crate::{
    audit::EndReason,
    cache::{Epoch, Overtaken, Refusal},
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
        let found = self.live_or_stored(credential, patience).await;
        if let Err(Closed::Refused(refusal)) = &found {
            self.registry.refuse(text, *refusal, now);
        }
        found
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
                Ok(Written::Done)
            }
            Replaced::Conflict(StoredGrant::Live { version, body, .. }) => {
                let record =
                    Record::decode(&body).map_err(|error| StoreUnavailable(error.to_string()))?;
                live.publish(&record.line);
                held.version = version;
                held.line = record.line;
                Ok(Written::Overtaken)
            }
            Replaced::Conflict(StoredGrant::Ended) => {
                self.registry.end(&live.id, EndReason::Ended);
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
