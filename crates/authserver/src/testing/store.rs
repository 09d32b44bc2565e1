//! A store that a test can take away.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use ::store::{
    DeviceApproval, DeviceReplaced, OperationId, Replaced, Settled, Store, StoreUnavailable,
    StoredDevice, StoredGrant, embedded::EmbeddedStore,
};
use async_trait::async_trait;
use domain::id::{ClientId, GrantId};

/// The embedded store, until it is taken away.
#[derive(Debug)]
pub(crate) struct SwitchableStore {
    store: EmbeddedStore,
    is_away: AtomicBool,
}

// === impl SwitchableStore ===

impl SwitchableStore {
    pub(crate) fn new(store: EmbeddedStore) -> Self {
        Self {
            store,
            is_away: AtomicBool::new(false),
        }
    }

    /// Takes the store away, or brings it back.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn store(&self) -> Result<&EmbeddedStore, StoreUnavailable> {
        if self.is_away.load(Ordering::SeqCst) {
            Err(StoreUnavailable("taken away".to_owned()))
        } else {
            Ok(&self.store)
        }
    }
}

#[async_trait]
impl Store for SwitchableStore {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?
            .register_client(client, registration, unused_ttl)
            .await
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.store()?.load_client(client).await
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.store()?.extend_client(client, ttl).await
    }

    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable> {
        self.store()?.replace_client(client, registration).await
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        self.store()?.forget_client(client).await
    }

    async fn put_interaction(
        &self,
        uid: &[u8; 16],
        interaction: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?.put_interaction(uid, interaction, ttl).await
    }

    async fn load_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.store()?.load_interaction(uid).await
    }

    async fn take_interaction(&self, uid: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.store()?.take_interaction(uid).await
    }

    async fn put_state(
        &self,
        state: &[u8; 32],
        uid: &[u8; 16],
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?.put_state(state, uid, ttl).await
    }

    async fn take_state(&self, state: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        self.store()?.take_state(state).await
    }

    async fn drop_state(&self, state: &[u8; 32]) -> Result<(), StoreUnavailable> {
        self.store()?.drop_state(state).await
    }

    async fn mark_once(&self, mark: &[u8; 32], ttl: Duration) -> Result<bool, StoreUnavailable> {
        self.store()?.mark_once(mark, ttl).await
    }

    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?
            .open_grant(grant, body, identity, operation, ttl)
            .await
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        self.store()?.load_grant(grant).await
    }

    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable> {
        self.store()?
            .replace_grant(grant, expected, body, operation, ttl)
            .await
    }

    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable> {
        self.store()?.settle_identity(grant, expected, sealed).await
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?.end_grant(grant, tombstone_ttl).await
    }

    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.store()?.name_device(user_code, grant, ttl).await
    }

    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        self.store()?.find_device(user_code).await
    }

    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable> {
        self.store()?.forget_user_code(user_code).await
    }

    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?.put_device(grant, body, operation, ttl).await
    }

    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        self.store()?.load_device(grant).await
    }

    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.store()?
            .replace_device(grant, expected, body, operation)
            .await
    }

    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.store()?
            .approve_device(grant, approval, operation)
            .await
    }

    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.store()?.index_grant(holder, grant, ttl).await
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        self.store()?.grants_of(holder).await
    }
}
