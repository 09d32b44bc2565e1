//! The embedded store behind a switch, and a counter of what it is asked.

use std::{
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::id::{ClientId, GrantId};
use store::{
    DeviceApproval, DeviceReplaced, OperationId, Replaced, Settled, Store, StoreUnavailable,
    StoredDevice, StoredGrant, embedded::EmbeddedStore,
};

#[derive(Debug)]
pub(crate) struct SwitchedStore {
    inner: RwLock<Option<std::sync::Arc<EmbeddedStore>>>,
    away: AtomicBool,
    /// Writes are done, but the answer is lost.
    loses_answers: AtomicBool,
    commands: AtomicUsize,
}

impl SwitchedStore {
    pub(crate) fn new(inner: EmbeddedStore) -> Self {
        Self {
            inner: RwLock::new(Some(std::sync::Arc::new(inner))),
            away: AtomicBool::new(false),
            loses_answers: AtomicBool::new(false),
            commands: AtomicUsize::new(0),
        }
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// The answer to the next write is lost.
    pub(crate) fn lose_next_answer(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }

    pub(crate) fn commands(&self) -> usize {
        self.commands.load(Ordering::SeqCst)
    }

    /// Gives the file free, as the end of a process does.
    pub(crate) fn close(&self) {
        drop(self.inner.write().unwrap().take());
    }

    fn reach(&self) -> Result<std::sync::Arc<EmbeddedStore>, StoreUnavailable> {
        self.commands.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreUnavailable("switched off".to_owned()));
        }
        let inner = self.inner.read().unwrap().clone();
        inner.ok_or_else(|| StoreUnavailable("closed".to_owned()))
    }

    fn answer<T>(&self, answer: T) -> Result<T, StoreUnavailable> {
        if self.loses_answers.swap(false, Ordering::SeqCst) {
            return Err(StoreUnavailable("the answer was lost".to_owned()));
        }
        Ok(answer)
    }
}

#[async_trait]
impl Store for SwitchedStore {
    fn is_shared(&self) -> bool {
        false
    }

    async fn register_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
        unused_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?
            .register_client(client, registration, unused_ttl)
            .await
    }

    async fn load_client(&self, client: &ClientId) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        self.reach()?.load_client(client).await
    }

    async fn extend_client(
        &self,
        client: &ClientId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.reach()?.extend_client(client, ttl).await
    }

    async fn replace_client(
        &self,
        client: &ClientId,
        registration: Vec<u8>,
    ) -> Result<bool, StoreUnavailable> {
        self.reach()?.replace_client(client, registration).await
    }

    async fn forget_client(&self, client: &ClientId) -> Result<(), StoreUnavailable> {
        self.reach()?.forget_client(client).await
    }

    async fn put_interaction(
        &self,
        _: &[u8; 16],
        _: Vec<u8>,
        _: Duration,
    ) -> Result<(), StoreUnavailable> {
        unreachable!("grants know no interactions")
    }

    async fn load_interaction(&self, _: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        unreachable!("grants know no interactions")
    }

    async fn take_interaction(&self, _: &[u8; 16]) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        unreachable!("grants know no interactions")
    }

    async fn put_state(
        &self,
        _: &[u8; 32],
        _: &[u8; 16],
        _: Duration,
    ) -> Result<(), StoreUnavailable> {
        unreachable!("grants know no interactions")
    }

    async fn take_state(&self, _: &[u8; 32]) -> Result<Option<[u8; 16]>, StoreUnavailable> {
        unreachable!("grants know no interactions")
    }

    async fn drop_state(&self, _: &[u8; 32]) -> Result<(), StoreUnavailable> {
        unreachable!("grants know no interactions")
    }

    async fn mark_once(&self, _: &[u8; 32], _: Duration) -> Result<bool, StoreUnavailable> {
        unreachable!("grants know no marks")
    }

    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?
            .open_grant(grant, body, identity, operation, ttl)
            .await
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        self.reach()?.load_grant(grant).await
    }

    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable> {
        let inner = self.reach()?;
        let replaced = inner
            .replace_grant(grant, expected, body, operation, ttl)
            .await?;
        self.answer(replaced)
    }

    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable> {
        let settled = self
            .reach()?
            .settle_identity(grant, expected, sealed)
            .await?;
        self.answer(settled)
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?.end_grant(grant, tombstone_ttl).await
    }

    async fn name_device(
        &self,
        user_code: &[u8; 16],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.answer(self.reach()?.name_device(user_code, grant, ttl).await?)
    }

    async fn find_device(&self, user_code: &[u8; 16]) -> Result<Option<GrantId>, StoreUnavailable> {
        self.reach()?.find_device(user_code).await
    }

    async fn forget_user_code(&self, user_code: &[u8; 16]) -> Result<(), StoreUnavailable> {
        self.answer(self.reach()?.forget_user_code(user_code).await?)
    }

    async fn put_device(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.answer(
            self.reach()?
                .put_device(grant, body, operation, ttl)
                .await?,
        )
    }

    async fn load_device(&self, grant: &GrantId) -> Result<Option<StoredDevice>, StoreUnavailable> {
        self.reach()?.load_device(grant).await
    }

    async fn replace_device(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.answer(
            self.reach()?
                .replace_device(grant, expected, body, operation)
                .await?,
        )
    }

    async fn approve_device(
        &self,
        grant: &GrantId,
        approval: DeviceApproval,
        operation: OperationId,
    ) -> Result<DeviceReplaced, StoreUnavailable> {
        self.answer(
            self.reach()?
                .approve_device(grant, approval, operation)
                .await?,
        )
    }

    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.reach()?.index_grant(holder, grant, ttl).await
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        self.reach()?.grants_of(holder).await
    }
}
