//! The clients: registered ones, as the store keeps them, and those that a document describes.

pub(crate) mod documents;
pub(crate) mod keys;
pub(crate) mod predecessor;

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use domain::{
    address::ClientNetwork,
    client::{Client, DocumentUrl},
    id::ClientId,
    time::{Clock, Timestamp},
};
use fetch::FetchError;
use jose::verifying::VerifiedToken;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use store::{Store, StoreUnavailable};

use self::{
    documents::{ClientDocuments, DocumentFault},
    keys::{KeyFault, PublishedKeys},
    predecessor::ClientSuccession,
};
use crate::{
    Settings,
    flow::guesses::SecretGuesses,
    limits::{RequestLimits, TooMany, meter::Meter},
    server::Limits,
};

/// How long a registration is kept that never led to a login.
pub(crate) const UNUSED_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a registration is kept after its last use.
pub(crate) const USED_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a client that a document describes is kept in the store, for times at which that cannot
/// be had: a day as fresh at most, and a day beyond.
const SNAPSHOT_LIFE: Duration = Duration::from_secs(2 * 24 * 3600);
/// That copy is written at most so often by one process.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(3600);
/// A registration in use is extended at most so often by one process.
const EXTEND_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Clients whose last extension is remembered; a forgotten one is only extended once more.
const REMEMBERED: usize = 4096;

/// Assertions that one network may show: the mark of each stays for an hour, whatever comes of the
/// request, and anybody can register keys to make as many as they like. Fifty a second are those of
/// 180,000 sessions with hourly tokens behind one address.
const ASSERTIONS: Limits = Limits {
    requests: Some(600),
    window: Duration::from_secs(12),
};

/// Format of the records; the byte in front of the JSON.
const FORMAT: u8 = 1;

/// SHA-256 of the token with which a client may change its registration (RFC 7592).
pub(crate) type TokenHash = [u8; 32];

/// What stands in the record: the client, and beside it what only its management needs.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(flatten)]
    client: Cow<'a, Client>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    token_hash: Option<TokenHash>,
}

/// The same, owned.
struct Managed {
    client: Client,
    token_hash: Option<TokenHash>,
}

/// The clients of this server.
pub(crate) struct Clients {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    extended: Cache<ClientId, Timestamp>,
    /// Those of the configuration, which no registration can displace.
    preregistered: HashMap<ClientId, Client>,
    documents: Option<ClientDocuments>,
    /// Where clients of the predecessor are found.
    predecessor: OnceLock<ClientSuccession>,
    keys: Option<PublishedKeys>,
    audiences: [String; 6],
    assertions: RequestLimits,
    secret_guesses: SecretGuesses,
}

/// Why a client could not be looked up.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// The store is away, or holds a record that this release cannot read: neither may look like
    /// an unknown client, since clients throw their credentials away then.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
    /// Its document does not make it known.
    #[error(transparent)]
    Document(#[from] DocumentFault),
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(
        settings: &Settings,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        meter: &Arc<Meter>,
    ) -> Self {
        let preregistered = settings
            .clients
            .iter()
            .map(|known| (known.client.id.clone(), known.client.clone()))
            .collect();
        let fetching = settings.client_documents.as_ref();
        let documents = fetching.and_then(|fetching| {
            Some(ClientDocuments::new(
                Arc::clone(&fetching.fetcher),
                fetching.domains.clone()?,
                settings.allowed_redirect_hosts.clone(),
                Arc::clone(&clock),
            ))
        });
        let keys = fetching
            .map(|fetching| PublishedKeys::new(Arc::clone(&fetching.fetcher), Arc::clone(&clock)));
        Self {
            preregistered,
            documents,
            predecessor: OnceLock::new(),
            keys,
            audiences: settings.assertion_audiences(),
            assertions: RequestLimits::new("assertions", ASSERTIONS, Arc::clone(meter)),
            secret_guesses: SecretGuesses::new(Arc::clone(meter)),
            store,
            clock,
            extended: Cache::new(REMEMBERED),
        }
    }

    /// From now on clients of the predecessor are known here too. What is set first stays.
    pub(crate) fn take_over_from(&self, predecessor: ClientSuccession) {
        // A second one would be a fault of composition; the first one goes on.
        let _ = self.predecessor.set(predecessor);
    }

    /// Finds a client, for the network that asks; `None` if it never registered, or was forgotten.
    ///
    /// # Errors
    /// See [`FindError`].
    pub(crate) async fn find(
        &self,
        id: &ClientId,
        asker: ClientNetwork,
    ) -> Result<Option<Client>, FindError> {
        if let Some(client) = self.preregistered.get(id) {
            return Ok(Some(client.clone()));
        }
        if !DocumentUrl::is_meant_by(id.as_str()) {
            return Ok(self.registered(id).await?);
        }
        match &self.documents {
            Some(documents) => self.find_described(documents, id, asker).await.map(Some),
            // Copies kept from before they were turned off speak for nobody.
            None => Ok(None),
        }
    }

    /// A client by its document. While that cannot be had, the copy in the store speaks for it:
    /// no session ends because the host of a document is down.
    async fn find_described(
        &self,
        documents: &ClientDocuments,
        id: &ClientId,
        asker: ClientNetwork,
    ) -> Result<Client, FindError> {
        let url = documents.url(id)?;
        let fault = match documents.find(id, &url, asker).await {
            Ok(client) => return Ok(client),
            Err(fault) => fault,
        };
        let kept = self.load(id).await.unwrap_or_else(|unavailable| {
            tracing::warn!(client.id = %id, cause = %unavailable, "the kept copy of a client's document could not be read");
            None
        });
        match kept {
            Some(client) => {
                tracing::warn!(
                    client.id = %id, cause = %fault,
                    "a client's document could not be had; the kept copy is used on"
                );
                Ok(client)
            }
            None => Err(fault.into()),
        }
    }

    /// What is remembered of a client; its document is not asked for again.
    ///
    /// # Errors
    /// If the store is away, or holds a record that this release cannot read.
    pub(crate) async fn remembered(
        &self,
        id: &ClientId,
    ) -> Result<Option<Client>, StoreUnavailable> {
        if let Some(client) = self.preregistered.get(id) {
            return Ok(Some(client.clone()));
        }
        let documents = self.documents.as_ref();
        match documents.and_then(|documents| documents.known(id)) {
            Some(client) => Ok(Some(client)),
            None => self.registered(id).await,
        }
    }

    /// A client that registered, here or with the predecessor.
    async fn registered(&self, id: &ClientId) -> Result<Option<Client>, StoreUnavailable> {
        match (self.load(id).await?, self.predecessor.get()) {
            (None, Some(predecessor)) => predecessor.find(id).await,
            (registered, _) => Ok(registered),
        }
    }

    async fn load(&self, id: &ClientId) -> Result<Option<Client>, StoreUnavailable> {
        let Some(record) = self.store.load_client(id).await? else {
            return Ok(None);
        };
        match decode(&record) {
            Some(client) => Ok(Some(client)),
            None => Err(StoreUnavailable(format!(
                "the registration of client {id} has a format that this release cannot read"
            ))),
        }
    }

    /// Remembers a new client until it is used, or for [`UNUSED_LIFE`]; with the hash of the token
    /// with which it may change its registration, where it got one.
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn register(
        &self,
        client: &Client,
        token_hash: Option<TokenHash>,
    ) -> Result<(), StoreUnavailable> {
        let record = encode(client, token_hash)?;
        self.store
            .register_client(&client.id, record, UNUSED_LIFE)
            .await
    }

    /// A client that may change its registration, with the hash of the token for that.
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn managed(
        &self,
        id: &ClientId,
    ) -> Result<Option<(Client, TokenHash)>, StoreUnavailable> {
        let record = self.store.load_client(id).await?;
        let managed = record.as_deref().and_then(decode_record);
        Ok(managed.and_then(|record| Some((record.client, record.token_hash?))))
    }

    /// Replaces the registration of a client that may change it; `false` if there is none any
    /// more.
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn replace(
        &self,
        client: &Client,
        token_hash: TokenHash,
    ) -> Result<bool, StoreUnavailable> {
        let record = encode(client, Some(token_hash))?;
        self.store.replace_client(&client.id, record).await
    }

    /// Forgets a client.
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn forget(&self, id: &ClientId) -> Result<(), StoreUnavailable> {
        self.store.forget_client(id).await?;
        self.extended.remove(id);
        Ok(())
    }

    /// Checks what a client signed, by its keys; those that it may have changed are fetched once
    /// more.
    pub(crate) async fn verify(
        &self,
        client: &Client,
        token: &str,
        asker: ClientNetwork,
    ) -> Result<VerifiedToken, KeyFault> {
        if let Some(uri) = &client.metadata.jwks_uri {
            let none = FetchError::Url("this server fetches nothing");
            let keys = self.keys.as_ref().ok_or(KeyFault::Fetch(none))?;
            return keys.verify(uri, token, asker).await;
        }
        let fault = match keys::verify_by_metadata(client, token) {
            Ok(verified) => return Ok(verified),
            Err(fault) => fault,
        };
        let documents = self.documents.as_ref();
        let Some(documents) = documents.filter(|_| keys::may_be_mended(&fault)) else {
            return Err(KeyFault::Token(fault));
        };
        match documents.newer(&client.id, asker).await {
            Ok(Some(newer)) => keys::verify_by_metadata(&newer, token).map_err(KeyFault::Token),
            Ok(None) => Err(KeyFault::Token(fault)),
            Err(error) => Err(KeyFault::Fetch(error)),
        }
    }

    /// Counts an assertion that a network shows.
    ///
    /// # Errors
    /// If it has shown very many of late.
    pub(crate) fn charge_assertion(&self, network: ClientNetwork) -> Result<(), TooMany> {
        self.assertions.charge_here(network)
    }

    /// Judges a secret that an operator chose, and that may be short enough to be guessed. Whoever
    /// has shown many wrong ones has to wait, whether or not this one is right: a refusal that comes
    /// behind the comparison would hold nobody back.
    ///
    /// # Errors
    /// If the network has to wait.
    pub(crate) async fn guess<T, E>(
        &self,
        client: &ClientId,
        network: ClientNetwork,
        judge: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, TooMany> {
        let asker = (client, network);
        self.secret_guesses.judge(asker, self.now(), judge).await
    }

    /// Whether the configuration names the client.
    pub(crate) fn is_preregistered(&self, id: &ClientId) -> bool {
        self.preregistered.contains_key(id)
    }

    /// What an assertion may be meant for.
    pub(crate) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Notes a mark; `true` for the first who does.
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn mark_once(
        &self,
        mark: &[u8; 32],
        life: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.store.mark_once(mark, life).await
    }

    /// Notes that a client is in use: its registration outlives its grants. Written at most daily
    /// by one process; `false` if the client is not registered (any more).
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn keep(&self, id: &ClientId) -> Result<bool, StoreUnavailable> {
        if self.is_preregistered(id) {
            return Ok(true);
        }
        match &self.documents {
            Some(documents) if DocumentUrl::is_meant_by(id.as_str()) => {
                self.keep_copy(documents, id).await?;
                Ok(true)
            }
            _ => self.extend(id).await,
        }
    }

    /// Keeps what a client's document said last, for a bounded time.
    async fn keep_copy(
        &self,
        documents: &ClientDocuments,
        id: &ClientId,
    ) -> Result<(), StoreUnavailable> {
        let now = self.clock.now();
        let last = self.extended.get(id);
        if last.is_some_and(|last| now.since(last) < SNAPSHOT_EVERY) {
            return Ok(());
        }
        let Some(client) = documents.known(id) else {
            return Ok(());
        };
        let left = SNAPSHOT_LIFE.saturating_sub(now.since(client.issued_at));
        self.store
            .register_client(id, encode(&client, None)?, left)
            .await?;
        // In use: a flood of registrations does not push it out.
        self.store.extend_client(id, left).await?;
        self.extended.insert(id.clone(), now);
        Ok(())
    }

    async fn extend(&self, id: &ClientId) -> Result<bool, StoreUnavailable> {
        let now = self.clock.now();
        let last = self.extended.get(id);
        if last.is_some_and(|last| now.since(last) < EXTEND_EVERY) {
            return Ok(true);
        }
        let known = self.store.extend_client(id, USED_LIFE).await?;
        if known {
            self.extended.insert(id.clone(), now);
        }
        Ok(known)
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clients")
    }
}

fn encode(client: &Client, token_hash: Option<TokenHash>) -> Result<Vec<u8>, StoreUnavailable> {
    let record = Record {
        client: Cow::Borrowed(client),
        token_hash,
    };
    let mut bytes = vec![FORMAT];
    serde_json::to_writer(&mut bytes, &record)
        .map_err(|error| StoreUnavailable(error.to_string()))?;
    Ok(bytes)
}

fn decode_record(bytes: &[u8]) -> Option<Managed> {
    let (&format, json) = bytes.split_first()?;
    let record: Record<'_> = (format == FORMAT).then(|| serde_json::from_slice(json).ok())??;
    Some(Managed {
        client: record.client.into_owned(),
        token_hash: record.token_hash,
    })
}

fn decode(record: &[u8]) -> Option<Client> {
    let (&format, json) = record.split_first()?;
    (format == FORMAT).then(|| serde_json::from_slice(json).ok())?
}
