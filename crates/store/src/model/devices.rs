//! Devices that wait for their grant.

use std::time::Duration;

use domain::id::GrantId;

use super::{DeviceRecord, Model};
use crate::{DeviceApproval, DeviceReplaced, OperationId, StoredDevice};

// === impl Model ===

impl Model {
    /// Whether the code leads to this device, now or before.
    pub fn name_device(&mut self, user_code: &[u8; 16], grant: &GrantId, ttl: Duration) -> bool {
        if let Some(named) = self.find_device(user_code) {
            return named == *grant;
        }
        self.user_codes.put(*user_code, *grant, self.now + ttl);
        true
    }

    /// The device that a user code leads to.
    pub fn find_device(&self, user_code: &[u8; 16]) -> Option<GrantId> {
        let (_, grant) = self.user_codes.find(user_code, self.now)?;
        Some(*grant)
    }

    /// Forgets a user code.
    pub fn forget_user_code(&mut self, user_code: &[u8; 16]) {
        self.user_codes.take(user_code);
    }

    /// Changes nothing where there is one: it is this very step that came before.
    pub fn put_device(
        &mut self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) {
        if self.load_device(grant).is_some() {
            return;
        }
        let stored = StoredDevice { version: 1, body };
        let record = DeviceRecord { stored, operation };
        self.devices.put(*grant, record, self.now + ttl);
    }

    /// Reads a device.
    pub fn load_device(&self, grant: &GrantId) -> Option<StoredDevice> {
        let (_, record) = self.devices.find(grant, self.now)?;
        Some(record.stored.clone())
    }

    /// Replaces a version, once; its end stays.
    pub fn replace_device(
        &mut self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> DeviceReplaced {
        self.write_device(grant, expected, body, operation).0
    }

    /// Replaces a version, once; only who writes opens the grant, where there is none.
    pub fn approve_device(
        &mut self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> DeviceReplaced {
        let expected = approval.expected;
        let (outcome, wrote) = self.write_device(grant, expected, approval.device, operation);
        if wrote {
            let ttl = approval.grant_ttl;
            self.open_grant(grant, approval.grant, approval.identity, operation, ttl);
        }
        outcome
    }

    fn write_device(
        &mut self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> (DeviceReplaced, bool) {
        let Some((_, record)) = self.devices.find_mut(grant, self.now) else {
            return (DeviceReplaced::Absent, false);
        };
        if record.stored.version == expected + 1 && record.operation == operation {
            return (DeviceReplaced::Done, false);
        }
        if record.stored.version != expected {
            return (DeviceReplaced::Conflict(record.stored.clone()), false);
        }
        let version = expected + 1;
        record.stored = StoredDevice { version, body };
        record.operation = operation;
        (DeviceReplaced::Done, true)
    }
}
