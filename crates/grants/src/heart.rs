//! [`Grants`]: one per process, shared by all endpoints and the gateway.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{
    address::ClientNetwork,
    id::{ClientId, GrantId, Subject},
    random::Random,
    resource::Resource,
    secret::SecretString,
    time::Clock,
};
use idp::provider::IdentityRefresher;
use store::{Ears, Store, StoreUnavailable};
use tokio_util::task::TaskTracker;

use crate::{
    audit::EndReason,
    cache::Registry,
    calls::Calls,
    hearing::{CERTAIN, Hearing},
    imported::Imports,
    inspect::{InspectError, Inspection, TokenKind},
    line::Moment,
    messages::{
        AuthenticateError, CompletedLogin, GrantSettings, IssuedTokens, Redemption, RevokeError,
        Rotation, TokenError,
    },
    patience::{Pace, Patience},
    predecessor::{OldSession, PredecessorSource, TakeOverError, TakenOver},
    session::Session,
};

/// The grants of this process.
#[derive(Debug)]
pub struct Grants {
    pub(crate) heart: Arc<Heart>,
}

/// What all operations share; a session holds on to it.
#[derive(Debug)]
pub(crate) struct Heart {
    pub(crate) settings: GrantSettings,
    pub(crate) store: Arc<dyn Store>,
    /// By issuer.
    pub(crate) providers: HashMap<String, Arc<dyn IdentityRefresher>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tasks: TaskTracker,
    pub(crate) registry: Arc<Registry>,
    pub(crate) imports: Imports,
    pub(crate) pace: Pace,
    /// Where calls are bounded.
    pub(crate) calls: Option<Calls>,
}

// === impl Grants ===

impl Grants {
    /// How long a client is asked to wait after a passing fault (`Retry-After`).
    pub const RETRY_AFTER: Duration = Duration::from_secs(5);

    /// Grants over a store, with the identity providers that can refresh them (found by issuer).
    /// Refreshes run as tasks of `tasks`, so that neither a hang-up nor a drain cuts one.
    pub fn new(
        settings: GrantSettings,
        store: Arc<dyn Store>,
        providers: Vec<Arc<dyn IdentityRefresher>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        tasks: TaskTracker,
    ) -> Self {
        let pace = Pace::default();
        Self::with_pace(settings, store, providers, clock, random, tasks, pace)
    }

    pub(crate) fn with_pace(
        settings: GrantSettings,
        store: Arc<dyn Store>,
        providers: Vec<Arc<dyn IdentityRefresher>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        tasks: TaskTracker,
        pace: Pace,
    ) -> Self {
        let hearing = store
            .is_shared()
            .then(|| Hearing::new(settings.store_grace));
        let registry = Arc::new(Registry::new(settings.cache_bytes, hearing));
        store.listen(Arc::clone(&registry) as Arc<dyn Ears>);
        let providers = providers
            .into_iter()
            .map(|provider| (provider.issuer().to_owned(), provider))
            .collect();
        let calls = settings
            .session_requests
            .map(|rate| Calls::new(rate, &store, &tasks));
        Self {
            heart: Arc::new(Heart {
                settings,
                store,
                providers,
                clock,
                random,
                tasks,
                registry,
                imports: Imports::default(),
                pace,
                calls,
            }),
        }
    }

    /// From now on tokens of the predecessor are looked for there at their first use. What is set
    /// first stays.
    pub fn take_over_from(&self, source: PredecessorSource) {
        // A second source would be a fault of composition; the first one goes on.
        let _ = self.heart.imports.source.set(source);
    }

    /// Whether a token of the predecessor can be taken over. Changes nothing.
    ///
    /// # Errors
    /// See [`TakeOverError`].
    pub async fn look_at_old(
        &self,
        kind: TokenKind,
        token: &str,
    ) -> Result<OldSession, TakeOverError> {
        self.heart.look_at_old(kind, token).await
    }

    /// Takes over a token of the predecessor, and its session with the first one. The caller has
    /// taken over the client. May be broken off and done again.
    ///
    /// # Errors
    /// See [`TakeOverError`].
    pub async fn take_over(&self, old: &OldSession) -> Result<TakenOver, TakeOverError> {
        let patience = self.heart.patience();
        self.heart.take_over(old, &patience).await
    }

    /// Opens a grant for a completed login and returns its authorization code. The caller has
    /// extended the client's registration, so that it outlives the grant.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn open(&self, login: CompletedLogin) -> Result<SecretString, StoreUnavailable> {
        self.heart.open_login(login).await
    }

    /// Redeems an authorization code, once.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn redeem(&self, redemption: Redemption<'_>) -> Result<IssuedTokens, TokenError> {
        self.heart.redeem(redemption).await
    }

    /// Answers a refresh from the store alone. Asking for fewer scopes is allowed and changes
    /// nothing: the answer names those granted (RFC 6749 §3.3).
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn rotate(&self, rotation: Rotation<'_>) -> Result<IssuedTokens, TokenError> {
        self.heart.rotate(rotation).await
    }

    /// Ends the grant of a token (of either kind) that opens and is shown by its own client;
    /// anything else does nothing (RFC 7009 §2.2).
    ///
    /// # Errors
    /// See [`RevokeError`].
    pub async fn revoke(&self, token: &str, client: &ClientId) -> Result<(), RevokeError> {
        self.heart.revoke(token, client).await
    }

    /// Ends a grant by its public id, for an operator or a logout.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn end(&self, grant: &GrantId) -> Result<(), StoreUnavailable> {
        let patience = self.heart.patience();
        self.heart
            .end_grant(grant, None, EndReason::Ended, &patience)
            .await
    }

    /// The live grants of a user to a client, for a logout by an ID token that names no session: the
    /// predecessor's did not.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn held_by(
        &self,
        subject: &Subject,
        client: &ClientId,
    ) -> Result<Vec<GrantId>, StoreUnavailable> {
        self.heart.held_by(subject, client).await
    }

    /// Looks at an access or refresh token without presenting it: no rotation, no mark of use, no
    /// refresh of the identity, no theft signal.
    ///
    /// # Errors
    /// See [`InspectError`].
    pub async fn inspect(&self, token: &str) -> Result<Inspection, InspectError> {
        self.heart.inspect(token).await
    }

    /// Finds the session of an access token, from memory where it is known.
    ///
    /// # Errors
    /// See [`AuthenticateError`].
    pub async fn authenticate(
        &self,
        access_token: &str,
        resource: &Resource,
        network: ClientNetwork,
    ) -> Result<Session, AuthenticateError> {
        Heart::authenticate(&self.heart, access_token, resource, network).await
    }
}

// === impl Heart ===

impl Heart {
    pub(crate) fn patience(&self) -> Patience {
        Patience::new(&self.pace)
    }

    /// Longest sleep between two looks at a grant that is in use all the time. Mostly that is a look
    /// at memory.
    pub(crate) fn look(&self) -> Duration {
        if self.store.is_shared() {
            self.pace.look.min(CERTAIN)
        } else {
            self.pace.look
        }
    }

    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            now: self.clock.now(),
            settings: &self.settings,
            random: self.random.as_ref(),
        }
    }
}
