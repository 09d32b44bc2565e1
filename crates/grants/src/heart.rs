//! [`Grants`]: one per process, shared by all endpoints and the gateway.

use std::{sync::Arc, time::Duration};

use domain::{
    address::ClientNetwork,
    id::{ClientId, GrantId},
    random::Random,
    resource::Resource,
    secret::SecretString,
    time::Clock,
};
use idp::provider::IdentityRefresher;
use store::{Store, StoreUnavailable};
use tokio_util::task::TaskTracker;

use crate::{
    messages::{
        AuthenticateError, CompletedLogin, GrantSettings, IssuedTokens, Redemption, RevokeError,
        Rotation, TokenError,
    },
    session::Session,
};

/// The grants of this process.
#[derive(Debug)]
pub struct Grants {}

impl Grants {
    /// Grants over a store, with the identity providers that can refresh them (found by issuer).
    /// Refreshes run as tasks of `tasks`, so that neither a hang-up nor a drain cuts one.
    pub fn new(
        _settings: GrantSettings,
        _store: Arc<dyn Store>,
        _providers: Vec<Arc<dyn IdentityRefresher>>,
        _clock: Arc<dyn Clock>,
        _random: Arc<dyn Random>,
        _tasks: TaskTracker,
    ) -> Self {
        todo!()
    }

    /// Opens a grant for a completed login and returns its authorization code.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn open(&self, _login: CompletedLogin) -> Result<SecretString, StoreUnavailable> {
        todo!()
    }

    /// Redeems an authorization code, once.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn redeem(&self, _redemption: Redemption<'_>) -> Result<IssuedTokens, TokenError> {
        todo!()
    }

    /// Answers a refresh from the store alone.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn rotate(&self, _rotation: Rotation<'_>) -> Result<IssuedTokens, TokenError> {
        todo!()
    }

    /// Ends the grant of a token (of either kind) that opens and is shown by its own client;
    /// anything else does nothing (RFC 7009 §2.2).
    ///
    /// # Errors
    /// See [`RevokeError`].
    pub async fn revoke(&self, _token: &str, _client: &ClientId) -> Result<(), RevokeError> {
        todo!()
    }

    /// Ends a grant by its public id, for an operator or a logout.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn end(&self, _grant: &GrantId) -> Result<(), StoreUnavailable> {
        todo!()
    }

    /// Finds the session of an access token, from memory where it is known.
    ///
    /// # Errors
    /// See [`AuthenticateError`].
    pub async fn authenticate(
        &self,
        _access_token: &str,
        _resource: &Resource,
        _network: ClientNetwork,
    ) -> Result<Session, AuthenticateError> {
        todo!()
    }

    /// How long a client is asked to wait after a passing fault (`Retry-After`).
    pub const RETRY_AFTER: Duration = Duration::from_secs(5);
}
