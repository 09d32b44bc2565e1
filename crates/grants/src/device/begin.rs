//! A device begins to wait.

use domain::{id::GrantId, secret::SecretBytes, user_code::UserCode};
use store::StoreUnavailable;

use super::{
    COLLECTING_TIME, DEVICE_LIFE, DeviceAuthorization, DeviceRequest, POLL_INTERVAL, SLACK,
    keys::{DeviceKeys, UserCodeKeys},
    record::{DeviceRecord, DeviceState, Pace},
};
use crate::{heart::Heart, patience::Patience};

/// Codes tried until one is free; of 25,600,000,000 few are taken.
const CODES_TRIED: usize = 8;

impl Heart {
    pub(crate) async fn begin_device(
        &self,
        request: DeviceRequest,
        secret: &SecretBytes<32>,
    ) -> Result<DeviceAuthorization, StoreUnavailable> {
        let patience = self.patience();
        let random = self.random.as_ref();
        let now = self.clock.now();
        let grant = GrantId::from_bytes(random.bytes());
        let keys = DeviceKeys::new(random.secret(), grant, &self.settings.issuer);
        let (user_code, code_keys) = self.name_device(&grant, secret, &patience).await?;
        let record = DeviceRecord {
            public_key: *keys.public(),
            user_code: code_keys.hash,
            client: request.client,
            resource: request.resource,
            scopes: request.scopes,
            asked_at: now,
            origin: code_keys.seal_origin(&grant, request.asked_from, random),
            pace: Pace::new(),
            state: DeviceState::Waiting,
        };
        let operation = random.bytes();
        let body = record.encode();
        let life = DEVICE_LIFE + COLLECTING_TIME + SLACK;
        patience
            .call(|| self.store.put_device(&grant, body.clone(), operation, life))
            .await?;
        tracing::info!(
            grant.id = %grant, client.id = %record.client, resource = %record.resource,
            scope = %record.scopes, "a device waits for its user",
        );
        Ok(DeviceAuthorization {
            device_code: keys.code(now.plus(DEVICE_LIFE + COLLECTING_TIME)),
            user_code,
            expires_in: DEVICE_LIFE,
            interval: POLL_INTERVAL,
        })
    }

    async fn name_device(
        &self,
        grant: &GrantId,
        secret: &SecretBytes<32>,
        patience: &Patience,
    ) -> Result<(UserCode, UserCodeKeys), StoreUnavailable> {
        for _ in 0..CODES_TRIED {
            let code = UserCode::random(self.random.as_ref());
            let keys = UserCodeKeys::derive(&code, secret, &self.settings.issuer);
            let is_free = patience
                .call(|| self.store.name_device(&keys.hash, grant, DEVICE_LIFE))
                .await?;
            if is_free {
                return Ok((code, keys));
            }
        }
        Err(StoreUnavailable("no user code is free".to_owned()))
    }
}
