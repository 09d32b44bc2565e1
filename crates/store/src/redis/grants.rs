//! Grants, their identity sessions, and who may refresh one.

use std::{sync::Arc, time::Duration};

use ::redis::cmd;
use async_trait::async_trait;
use domain::id::GrantId;

use super::{
    Answer, RedisStore, first_identity, header,
    listening::{Listener, Listening},
    millis,
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
