//! A person finds the device that waits for them, and says yes or no.

use domain::{id::GrantId, secret::SecretBytes, user_code::UserCode};
use idp::provider::Identity;
use store::{DeviceApproval, DeviceReplaced, StoreUnavailable, StoredDevice};

use super::{
    COLLECTING_TIME, DecideError, SLACK, WaitingDevice,
    keys::{UserCodeKeys, seal_root},
    record::{DeviceRecord, DeviceState},
};
use crate::{
    audit,
    heart::Heart,
    identity::{Binding, IdentitySession},
    keys::Root,
    open::holder,
    patience::Patience,
    record::{self, CodeState, Facts},
};

/// Most polls in between that one decision gives way to.
const ATTEMPTS: usize = 8;

/// A device and the version that was read.
pub(super) struct Versioned {
    pub(super) version: u64,
    pub(super) record: DeviceRecord,
}

/// A grant ready to be written.
struct Prepared {
    facts: Facts,
    approval: DeviceApproval,
    /// Its identity token cannot be refreshed.
    ends_with_its_token: bool,
}

impl Heart {
    pub(crate) async fn find_device(
        &self,
        user_code: &UserCode,
        secrets: &[&SecretBytes<32>],
    ) -> Result<Option<WaitingDevice>, StoreUnavailable> {
        let patience = self.patience();
        for secret in secrets {
            let keys = UserCodeKeys::derive(user_code, secret, &self.settings.issuer);
            let found = patience.call(|| self.store.find_device(&keys.hash)).await?;
            let Some(grant) = found else { continue };
            let Some(Versioned { record, .. }) = self.load_device(&grant, &patience).await? else {
                continue;
            };
            if !record.is_waiting(self.clock.now()) {
                continue;
            }
            let Some(asked_from) = keys.open_origin(&grant, &record.origin) else {
                continue;
            };
            return Ok(Some(WaitingDevice {
                grant,
                client: record.client,
                resource: record.resource,
                scopes: record.scopes,
                asked_at: record.asked_at,
                asked_from,
            }));
        }
        Ok(None)
    }

    pub(crate) async fn approve_device(
        &self,
        grant: &GrantId,
        identity: Identity,
    ) -> Result<(), DecideError> {
        let patience = self.patience();
        for _ in 0..ATTEMPTS {
            let waiting = self.waiting_device(grant, &patience).await?;
            let user_code = waiting.record.user_code;
            let prepared = self.prepare_grant(grant, waiting, &identity)?;
            let Prepared {
                facts,
                approval,
                ends_with_its_token,
            } = prepared;
            let holder = holder(&facts.issuer, &facts.subject);
            let life = self.settings.grant_life;
            patience
                .call(|| self.store.index_grant(&holder, grant, life))
                .await?;
            let operation = self.random.bytes();
            let replaced = patience
                .call(|| {
                    self.store
                        .approve_device(grant, approval.clone(), operation)
                })
                .await?;
            match replaced {
                DeviceReplaced::Done => {
                    audit::opened(grant, &facts);
                    if ends_with_its_token {
                        audit::ends_with_its_token(grant, &facts);
                    }
                    self.forget_user_code(&user_code, &patience).await;
                    return Ok(());
                }
                // A poll, most likely, or another decision: look again.
                DeviceReplaced::Conflict(_) => {}
                DeviceReplaced::Absent => return Err(DecideError::Expired),
            }
        }
        Err(contended().into())
    }

    pub(crate) async fn deny_device(&self, grant: &GrantId) -> Result<(), DecideError> {
        let patience = self.patience();
        for _ in 0..ATTEMPTS {
            let waiting = self.waiting_device(grant, &patience).await?;
            let user_code = waiting.record.user_code;
            let denied = DeviceRecord {
                state: DeviceState::Denied,
                ..waiting.record
            };
            match self
                .replace_device(grant, waiting.version, &denied, &patience)
                .await?
            {
                DeviceReplaced::Done => {
                    tracing::info!(
                        grant.id = %grant, client.id = %denied.client, "a device was refused",
                    );
                    self.forget_user_code(&user_code, &patience).await;
                    return Ok(());
                }
                DeviceReplaced::Conflict(_) => {}
                DeviceReplaced::Absent => return Err(DecideError::Expired),
            }
        }
        Err(contended().into())
    }

    /// The root is made here, sealed to the device, and forgotten.
    fn prepare_grant(
        &self,
        grant: &GrantId,
        waiting: Versioned,
        identity: &Identity,
    ) -> Result<Prepared, DecideError> {
        let now = self.clock.now();
        let Versioned { version, record } = waiting;
        let issuer = &self.settings.issuer;
        let root = Root::new(self.random.secret(), *grant, issuer);
        let keys = root.grant_keys();
        let random = self.random.as_ref();
        let letter = seal_root(&record.public_key, &root, grant, issuer, random)
            .ok_or_else(|| StoreUnavailable("the device's key is damaged".to_owned()))?;
        let collected_until = record.ends_at().plus(COLLECTING_TIME + SLACK);
        let facts = Facts {
            client: record.client.clone(),
            subject: identity.subject.clone(),
            issuer: identity.issuer.clone(),
            resource: record.resource.clone(),
            scopes: record.scopes.clone(),
            auth_time: identity.auth_time.unwrap_or(now),
        };
        let token_end = self.unrenewed_end(&facts.issuer, &identity.tokens);
        let grant_end = now.plus(self.settings.grant_life);
        let absolute_end = token_end.map_or(grant_end, |end| end.min(grant_end));
        let mut line = self.new_line(keys.check, CodeState::AtDevice, absolute_end, now);
        line.ends_at = absolute_end.min(collected_until);
        let session = IdentitySession::new(1, identity.tokens.clone(), identity.claims.clone());
        let binding = Binding {
            grant,
            issuer,
            facts: &facts,
        };
        let approval = DeviceApproval {
            expected: version,
            device: DeviceRecord {
                state: DeviceState::Approved { root: letter },
                ..record
            }
            .encode(),
            grant: record::encode(&line, &facts),
            identity: session.seal(&keys.seal, &binding, random),
            grant_ttl: line.remaining(now),
        };
        Ok(Prepared {
            facts,
            approval,
            ends_with_its_token: token_end.is_some(),
        })
    }

    async fn waiting_device(
        &self,
        grant: &GrantId,
        patience: &Patience,
    ) -> Result<Versioned, DecideError> {
        let device = self
            .load_device(grant, patience)
            .await?
            .ok_or(DecideError::Expired)?;
        if device.record.state != DeviceState::Waiting {
            return Err(DecideError::Decided);
        }
        if !device.record.is_waiting(self.clock.now()) {
            return Err(DecideError::Expired);
        }
        Ok(device)
    }

    pub(super) async fn load_device(
        &self,
        grant: &GrantId,
        patience: &Patience,
    ) -> Result<Option<Versioned>, StoreUnavailable> {
        let stored = patience.call(|| self.store.load_device(grant)).await?;
        stored.as_ref().map(Versioned::decode).transpose()
    }

    pub(super) async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        record: &DeviceRecord,
        patience: &Patience,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let operation = self.random.bytes();
        let body = record.encode();
        patience
            .call(|| {
                self.store
                    .replace_device(grant, expected, body.clone(), operation)
            })
            .await
    }

    /// It leads to a device that is decided about and opens nothing; it also ends by itself.
    async fn forget_user_code(&self, user_code: &[u8; 16], patience: &Patience) {
        let forgotten = patience
            .call(|| self.store.forget_user_code(user_code))
            .await;
        if let Err(fault) = forgotten {
            tracing::debug!(cause = %fault, "a user code was not forgotten; it ends by itself");
        }
    }
}

// === impl Versioned ===

impl Versioned {
    pub(super) fn decode(stored: &StoredDevice) -> Result<Self, StoreUnavailable> {
        Ok(Self {
            version: stored.version,
            record: DeviceRecord::decode(&stored.body)?,
        })
    }
}

/// So many writers at one device are not met in practice; passing, in any case.
pub(super) fn contended() -> StoreUnavailable {
    StoreUnavailable("too many writers at one device".to_owned())
}
