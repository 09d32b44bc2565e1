//! Devices that wait for their grant.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::GrantId;

use super::{Answer, RedisStore, first_identity, header, millis, scripts::code, unreadable};
use crate::{
    DeviceApproval, DeviceReplaced, DeviceStore, OperationId, StoreUnavailable, StoredDevice,
    stored::GrantHeader,
};

// === impl RedisStore ===

#[async_trait]
impl DeviceStore for RedisStore {
    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        let key = self.keys.user_code(user_code);
        let (code, _, _): Answer = self
            .link
            .run(
                &self.scripts.name_device,
                &[&key],
                &[grant.as_bytes(), &millis(ttl)],
            )
            .await?;
        Ok(code == code::DONE)
    }

    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        let grant = self.read(self.keys.user_code(user_code)).await?;
        Ok(grant.and_then(|grant| grant.try_into().ok().map(GrantId::from_bytes)))
    }

    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable> {
        self.remove(self.keys.user_code(user_code)).await
    }

    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let (key, value) = (self.keys.device(grant), header(1, operation).encode(&body));
        let _: Answer = self
            .link
            .run(&self.scripts.put_device, &[&key], &[&value, &millis(ttl)])
            .await?;
        Ok(())
    }

    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        let Some(stored) = self.read(self.keys.device(grant)).await? else {
            self.offering.absent()?;
            return Ok(None);
        };
        decode_device(&stored).map(Some)
    }

    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.write_device(grant, expected, &body, None, operation)
            .await
    }

    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let value = header(1, operation).encode(&approval.grant);
        let identity = first_identity(approval.identity);
        let life = approval.grant_ttl;
        let opened: [&[u8]; 3] = [&value, &identity, &millis(life)];
        let (expected, device) = (approval.expected, approval.device);
        let replaced = self
            .write_device(grant, expected, &device, Some(opened), operation)
            .await?;
        if replaced == DeviceReplaced::Done {
            let device = header(expected + 1, operation).encode(&device);
            let recent = &self.offering.recent;
            recent.note_approval(grant, &device, &value, &identity, life);
        }
        Ok(replaced)
    }
}

impl RedisStore {
    async fn write_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: &[u8],
        opened: Option<[&[u8]; 3]>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        let device = self.keys.device(grant);
        let [grant_key, identity, _] = self.grant_keys(grant);
        let next = header(expected + 1, operation);
        let value = next.encode(body);
        let (expected, stamp) = (expected.to_be_bytes(), next.stamp());
        let mut arguments: Vec<&[u8]> = vec![&expected, &stamp, &value];
        arguments.extend(opened.iter().flatten());
        let script = &self.scripts.replace_device;
        let keys = [&*device, &*grant_key, &*identity];
        let (code, stored, _): Answer = match opened {
            Some(_) => self.durable.run(script, &keys, &arguments).await?,
            None => self.link.run(script, &keys, &arguments).await?,
        };
        match (code, stored) {
            (code::DONE, _) => Ok(DeviceReplaced::Done),
            (code::CONFLICT, Some(stored)) => decode_device(&stored).map(DeviceReplaced::Conflict),
            _ => {
                self.offering.absent()?;
                Ok(DeviceReplaced::Absent)
            }
        }
    }
}

fn decode_device(stored: &[u8]) -> Result<StoredDevice, StoreUnavailable> {
    let (header, body) = GrantHeader::decode(stored).ok_or_else(unreadable)?;
    Ok(StoredDevice {
        version: header.version,
        body: body.to_vec(),
    })
}
