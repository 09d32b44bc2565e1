//! Grants, their identity sessions, and who may refresh one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::cmd;
use async_trait::async_trait;
use domain::id::GrantId;

use super::{
    Answer, RedisStore, first_identity, header,
    listening::{Listener, Listening},
    millis,
    offering::Offering,
    scripts::code,
    unreadable,
};
use crate::{
    Ears, GrantStore, Lease, LeaseHolder, OperationId, Replaced, Settled, StoreUnavailable,
    StoredGrant, StoredIdentity, stored::GrantHeader,
};

/// How long the record of leases and tries is kept: longer than any try takes.
const LEASE_RECORD_LIFE: Duration = Duration::from_secs(60);

// === impl RedisStore ===

#[async_trait]
impl GrantStore for RedisStore {
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
            .durable
            .run(
                &self.scripts.open_grant,
                &[&grant_key, &identity_key],
                &[&value, &identity, &millis(ttl)],
            )
            .await?;
        let recent = &self.offering.recent;
        recent.note_grant(grant, &value, Some(&identity), ttl);
        Ok(())
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        let [grant_key, identity, _] = self.grant_keys(grant);
        let (stored, identity): (Option<Vec<u8>>, Option<Vec<u8>>) = self
            .link
            .ask(cmd("MGET").arg(grant_key).arg(identity))
            .await?;
        let Some(stored) = stored else {
            self.offering.absent()?;
            return Ok(None);
        };
        decode_grant(&stored, identity.as_deref()).map(Some)
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
            .durable
            .run(
                &self.scripts.replace_grant,
                &[&grant_key, &identity_key],
                &[&expected.to_be_bytes(), &stamp, &value, &millis(ttl)],
            )
            .await?;
        match (code, stored) {
            (code::DONE, _) => {
                let recent = &self.offering.recent;
                recent.note_grant(grant, &value, None, ttl);
                Ok(Replaced::Done)
            }
            (code::CONFLICT, Some(stored)) => {
                decode_grant(&stored, identity.as_deref()).map(Replaced::Conflict)
            }
            _ => {
                self.offering.absent()?;
                Ok(Replaced::Absent)
            }
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
            .durable
            .run(
                &self.scripts.settle_identity,
                &[&grant_key, &identity_key, &lease],
                &[&expected.to_be_bytes(), &value],
            )
            .await?;
        match (code, identity) {
            (code::DONE, _) => {
                self.offering.recent.note_identity(grant, &value);
                Ok(Settled::Done)
            }
            (code::CONFLICT, Some(stored)) => StoredIdentity::decode(&stored)
                .map(Settled::Newer)
                .ok_or_else(unreadable),
            (code::ABSENT, _) => {
                self.offering.absent()?;
                Ok(Settled::Ended)
            }
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
        let recent = &self.offering.recent;
        let is_held = recent.has_lease(grant, holder);
        // Whoever has it may still be about to say so again.
        if self.offering.is_settling() && !is_held {
            return Ok(Lease::Busy);
        }
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
            // The server was exchanged while this was under way: the new one has answered.
            (code::DONE, _) if self.offering.is_settling() && !is_held => {
                self.release_refresh(grant, holder).await?;
                Ok(Lease::Busy)
            }
            (code::DONE, _) => {
                recent.note_lease(grant, holder);
                Ok(Lease::Taken {
                    earlier: earlier
                        .and_then(|millis| String::from_utf8(millis).ok()?.parse().ok())
                        .map(Duration::from_millis),
                })
            }
            (code::BUSY, _) => Ok(Lease::Busy),
            (code::CONFLICT, Some(stored)) => StoredIdentity::decode(&stored)
                .map(Lease::Newer)
                .ok_or_else(unreadable),
            (code::ABSENT, _) => {
                self.offering.absent()?;
                Ok(Lease::Ended)
            }
            _ => Ok(Lease::Ended),
        }
    }

    async fn release_refresh(
        &self,
        grant: &GrantId,
        holder: &LeaseHolder,
    ) -> Result<(), StoreUnavailable> {
        self.offering.recent.give_up_lease(grant);
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
                ears: Arc::new(Hearing {
                    ears,
                    offering: Arc::clone(&self.offering),
                }),
            })
        });
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let keys = self.keys.ending(grant);
        let channel = self.keys.channel();
        let _: Answer = self
            .durable
            .run(
                &self.scripts.end_grant,
                &keys.each_ref().map(String::as_str),
                &[
                    &millis(tombstone_ttl),
                    channel.as_bytes(),
                    grant.to_string().as_bytes(),
                ],
            )
            .await?;
        self.offering.recent.note_end(grant, tombstone_ttl);
        Ok(())
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
        self.offering.recent.note_holder(holder, grant, ttl);
        Ok(())
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        // One that is left out would not be ended with the others.
        self.offering.absent()?;
        let key = self.keys.holder(holder);
        let names: Vec<String> = self.link.run(&self.scripts.grants_of, &[&key], &[]).await?;
        Ok(names
            .iter()
            .filter_map(|name| GrantId::parse(name))
            .collect())
    }
}

/// Ears, and what this process must not offer any more.
#[derive(Debug)]
struct Hearing {
    ears: Arc<dyn Ears>,
    offering: Arc<Offering>,
}

impl Ears for Hearing {
    fn ended(&self, grant: &GrantId) {
        self.offering.recent.heard_end(grant);
        self.ears.ended(grant);
    }

    fn began(&self) {
        self.ears.began();
    }

    fn confirmed(&self, as_of: Instant) {
        self.ears.confirmed(as_of);
    }

    fn interrupted(&self, is_reached: bool) {
        self.ears.interrupted(is_reached);
    }
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
