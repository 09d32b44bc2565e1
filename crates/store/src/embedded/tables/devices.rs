//! The steps of devices that wait for their grant.

use std::time::Duration;

use domain::{id::GrantId, time::Timestamp};

use super::{Fault, Key, Snapshot, Tables, read, split_header};
use crate::{DeviceApproval, DeviceReplaced, OperationId, StoredDevice, stored::GrantHeader};

/// Whether a step wrote, or found that it had been done before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) enum Wrote {
    Now,
    Before,
    Nothing,
}

// === impl Snapshot ===

impl Snapshot {
    pub(in crate::embedded) fn device(
        &self,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<Option<StoredDevice>, Fault> {
        let key = Key::device(grant);
        let Some(bytes) = self.value(&key, now)? else {
            return Ok(None);
        };
        let (header, body) = split_header(&key, &bytes)?;
        Ok(Some(StoredDevice {
            version: header.version,
            body: body.to_vec(),
        }))
    }
}

// === impl Tables ===

impl Tables<'_> {
    pub(in crate::embedded) fn name_device(
        &mut self,
        key: &Key,
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, Fault> {
        if let Some(named) = self.value(key)? {
            return Ok(named == grant.as_bytes());
        }
        self.put(key, grant.as_bytes(), ttl)?;
        Ok(true)
    }

    pub(in crate::embedded) fn replace_device(
        &mut self,
        grant: &GrantId,
        expected: u64,
        body: &[u8],
        operation: OperationId,
    ) -> Result<(DeviceReplaced, Wrote), Fault> {
        let key = Key::device(grant);
        let Some((deadline, bytes)) = read(&self.records, &key, self.now)? else {
            return Ok((DeviceReplaced::Absent, Wrote::Nothing));
        };
        let (header, stored) = split_header(&key, &bytes)?;
        if header.version == expected + 1 && header.operation == operation {
            return Ok((DeviceReplaced::Done, Wrote::Before));
        }
        if header.version != expected {
            let stored = StoredDevice {
                version: header.version,
                body: stored.to_vec(),
            };
            return Ok((DeviceReplaced::Conflict(stored), Wrote::Nothing));
        }
        let header = GrantHeader {
            live: true,
            version: expected + 1,
            operation,
        };
        self.put_until(&key, &header.encode(body), deadline)?;
        Ok((DeviceReplaced::Done, Wrote::Now))
    }

    pub(in crate::embedded) fn approve_device(
        &mut self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, Fault> {
        let (outcome, wrote) =
            self.replace_device(grant, approval.expected, &approval.device, operation)?;
        if wrote == Wrote::Now {
            let ttl = approval.grant_ttl;
            self.open_grant(grant, &approval.grant, approval.identity, operation, ttl)?;
        }
        Ok(outcome)
    }
}
