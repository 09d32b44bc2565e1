//! What the tests share: a clock moved by hand, a store that can be cut off, a scripted identity
//! provider, and a world of them around real [`Grants`] over a real embedded store.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{
    address::ClientNetwork,
    base_url::BaseUrl,
    credential::Credential,
    id::{ClientId, Subject},
    pkce::{CodeChallenge, CodeVerifier},
    random::Random,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::{Clock, Timestamp},
};
use idp::provider::{Identity, IdentityRefresher, IdentityTokens};
use serde_json::{Map, json};
use store::{embedded::EmbeddedStore, seal::sha256, testing::SwitchedStore};
use tokio_util::task::TaskTracker;

use crate::{
    AuthenticateError, CompletedLogin, GrantSettings, Grants, IssuedTokens, Redemption, Rotation,
    Session, TokenError,
    keys::{GrantKeys, Root},
    live::Live,
    lookup::{Found, StoredRecord},
    patience::Pace,
    record::CodeState,
};

pub(crate) mod predecessor;
mod provider;

pub(crate) use provider::{Answer, ScriptedProvider};

pub(crate) const MINUTE: u64 = 60;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
pub(crate) const ISSUER: &str = "https://proxy.example";
pub(crate) const PROVIDER: &str = "https://identity.example";
pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:5000/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

#[derive(Debug)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(1_800_000_000))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

/// Never the same twice, and the same in each run.
#[derive(Debug, Default)]
pub(crate) struct CountedRandom(AtomicU64);

impl Random for CountedRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let length = chunk.len();
            chunk.copy_from_slice(&sha256(&count.to_be_bytes())[..length]);
        }
    }
}

pub(crate) fn pace() -> Pace {
    Pace {
        // Long, so that a busy disk fails no test; what is switched off fails soon.
        store: Duration::from_secs(60),
        store_retries: Duration::from_millis(50),
        store_retry: Duration::from_millis(2),
        refresh: Duration::from_secs(60),
        refresh_ahead: Duration::from_secs(60),
        refresh_retry: Duration::from_millis(2),
        look: Duration::from_millis(5),
        doubt: Duration::from_secs(5),
    }
}

pub(crate) fn settings() -> GrantSettings {
    GrantSettings {
        issuer: ISSUER.to_owned(),
        access_life: Duration::from_secs(HOUR),
        refresh_idle: Duration::from_secs(14 * DAY),
        grant_life: Duration::from_secs(90 * DAY),
        refresh_window: Duration::from_secs(HOUR + 15 * MINUTE),
        strict_offline_access: false,
        cache_bytes: 1 << 20,
        store_grace: Duration::from_secs(MINUTE),
        session_requests: None,
    }
}

pub(crate) fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

pub(crate) fn network(last: u8) -> ClientNetwork {
    ClientNetwork::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
}

pub(crate) fn resource() -> Resource {
    resource_at("/mcp")
}

pub(crate) fn resource_at(path: &str) -> Resource {
    Resource::at(&BaseUrl::parse(ISSUER).unwrap(), path)
}

pub(crate) fn verifier() -> CodeVerifier {
    CodeVerifier::parse(VERIFIER).unwrap()
}

/// Everything around the grants of one process; it can be closed and opened again.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<CountedRandom>,
    pub(crate) provider: Arc<ScriptedProvider>,
    pub(crate) store: Arc<SwitchedStore>,
    pub(crate) tasks: TaskTracker,
    pub(crate) settings: GrantSettings,
    pub(crate) pace: Pace,
    pub(crate) grants: Arc<Grants>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(settings(), pace())
    }

    pub(crate) fn with(settings: GrantSettings, pace: Pace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new());
        let random = Arc::new(CountedRandom::default());
        let provider = Arc::new(ScriptedProvider::new(clock.clone()));
        let path = directory.path().join("store.redb");
        let store = Arc::new(SwitchedStore::new(
            EmbeddedStore::open(&path, clock.clone()).unwrap(),
        ));
        let tasks = TaskTracker::new();
        let grants = Arc::new(Grants::with_pace(
            settings.clone(),
            store.clone(),
            vec![provider.clone()],
            clock.clone(),
            random.clone(),
            tasks.clone(),
            pace,
        ));
        Self {
            directory,
            clock,
            random,
            provider,
            store,
            tasks,
            settings,
            pace,
            grants,
        }
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    /// The next process over the same store file, with other settings and providers.
    pub(crate) async fn restart_with(
        mut self,
        settings: GrantSettings,
        providers: Vec<Arc<dyn IdentityRefresher>>,
    ) -> Self {
        self.settle().await;
        let path = self.store_path();
        self.store.close();
        self.store = Arc::new(SwitchedStore::new(
            EmbeddedStore::open(&path, self.clock.clone()).unwrap(),
        ));
        self.settings = settings;
        self.grants = Arc::new(Grants::with_pace(
            self.settings.clone(),
            self.store.clone(),
            providers,
            self.clock.clone(),
            self.random.clone(),
            self.tasks.clone(),
            self.pace,
        ));
        self
    }

    pub(crate) async fn restart(self) -> Self {
        let (settings, provider) = (self.settings.clone(), self.provider.clone());
        self.restart_with(settings, vec![provider]).await
    }

    /// Waits for all that runs beside the calls.
    pub(crate) async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    pub(crate) fn tokens(&self, access_life: Option<u64>) -> IdentityTokens {
        self.provider.first_tokens(access_life)
    }

    pub(crate) fn login(tokens: IdentityTokens) -> CompletedLogin {
        let mut claims = Map::new();
        claims.insert("email".to_owned(), json!("ada@secret.example"));
        CompletedLogin {
            client: client("client-a"),
            resource: resource(),
            scopes: ScopeSet::parse("openid offline_access").unwrap(),
            identity: Identity {
                issuer: PROVIDER.to_owned(),
                subject: Subject::parse("user-1").unwrap(),
                claims,
                auth_time: None,
                tokens,
            },
            code_challenge: CodeChallenge::from_digest(sha256(VERIFIER.as_bytes())),
            redirect_uri: REDIRECT_URI.to_owned(),
            nonce: Some("nonce-1".to_owned()),
        }
    }

    /// A login with identity tokens of 8 h.
    pub(crate) async fn open(&self) -> SecretString {
        let login = Self::login(self.tokens(Some(8 * HOUR)));
        self.grants.open(login).await.unwrap()
    }

    pub(crate) async fn redeem(&self, code: &SecretString) -> Result<IssuedTokens, TokenError> {
        let (client, verifier) = (client("client-a"), verifier());
        let redemption = redemption(code.expose(), &client, &verifier);
        self.grants.redeem(redemption).await
    }

    /// A login, redeemed from network 1.
    pub(crate) async fn connect(&self) -> Connected {
        let code = self.open().await;
        Connected::of(self.redeem(&code).await.unwrap())
    }

    /// The same with identity tokens of another life.
    pub(crate) async fn connect_for(&self, access_life: Option<u64>) -> Connected {
        let login = Self::login(self.tokens(access_life));
        let code = self.grants.open(login).await.unwrap();
        Connected::of(self.redeem(&code).await.unwrap())
    }

    pub(crate) async fn rotate(&self, token: &str, from: u8) -> Result<IssuedTokens, TokenError> {
        let client = client("client-a");
        let rotation = rotation(token, &client, from);
        self.grants.rotate(rotation).await
    }

    /// A rotation that must succeed.
    pub(crate) async fn next(&self, token: &str, from: u8) -> Connected {
        Connected::of(self.rotate(token, from).await.unwrap())
    }

    pub(crate) async fn call(&self, access: &str, from: u8) -> Result<Session, AuthenticateError> {
        self.grants
            .authenticate(access, &resource(), network(from))
            .await
    }

    /// A call that must succeed, with its mark written.
    pub(crate) async fn used(&self, access: &str, from: u8) -> Session {
        let session = self.call(access, from).await.unwrap();
        self.settle().await;
        session
    }
}

/// What a client holds.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) issued: IssuedTokens,
}

impl Connected {
    pub(crate) fn of(issued: IssuedTokens) -> Self {
        let refresh = issued.refresh_token.as_ref().unwrap();
        Self {
            access: issued.access_token.expose().to_owned(),
            refresh: refresh.expose().to_owned(),
            issued,
        }
    }
}

pub(crate) fn redemption<'a>(
    code: &'a str,
    client: &'a ClientId,
    verifier: &'a CodeVerifier,
) -> Redemption<'a> {
    Redemption {
        code,
        client,
        redirect_uri: Some(REDIRECT_URI),
        verifier: Some(verifier),
        resource: None,
        network: network(1),
    }
}

pub(crate) fn rotation<'a>(token: &'a str, client: &'a ClientId, from: u8) -> Rotation<'a> {
    Rotation {
        refresh_token: token,
        client,
        is_confidential: false,
        scopes: None,
        resource: None,
        network: network(from),
    }
}

/// A grant read from the store, with the keys that its code opens it with.
pub(crate) async fn read_unredeemed(
    world: &World,
    code: &SecretString,
) -> (Box<StoredRecord>, GrantKeys) {
    let credential = Credential::parse(code.expose()).unwrap();
    let heart = &world.grants.heart;
    let patience = heart.patience();
    let Ok(Found::Stored(stored)) = heart.find(&credential.grant, &patience).await else {
        panic!("it is in the store and not in memory");
    };
    let CodeState::Open { pad, .. } = &stored.line.line.code else {
        panic!("its code is not redeemed");
    };
    let keys = Root::from_half(&credential, &pad.0, ISSUER).grant_keys();
    (stored, keys)
}

/// The same, taken into memory.
pub(crate) async fn admit(world: &World, code: &SecretString) -> Arc<Live> {
    let (stored, keys) = read_unredeemed(world, code).await;
    let grant = Credential::parse(code.expose()).unwrap().grant;
    let admitted = world.grants.heart.admit(grant, *stored, keys);
    admitted.unwrap().unwrap()
}
