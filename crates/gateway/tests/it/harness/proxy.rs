//! The gateway before one MCP server, with a user who is logged in.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    address::ClientNetwork,
    base_url::BaseUrl,
    id::{ClientId, Subject},
    pkce::{CodeChallenge, CodeVerifier},
    random::Random,
    request::RequestContext,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::{Clock, Timestamp},
};
use gateway::{Gateway, GatewaySettings, McpServer};
use grants::{CompletedLogin, GrantSettings, Grants, IssuedTokens, Redemption};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use idp::provider::{Identity, IdentityRefresher, IdentityTokens, RefreshError};
use store::{embedded::EmbeddedStore, seal::sha256};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::Client;

const PROVIDER: &str = "https://identity.example";
const START: u64 = 1_800_000_000;
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) grants: Arc<Grants>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) closing: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// An access token for the server.
    pub(crate) token: String,
    pub(crate) issued: IssuedTokens,
    pub(crate) clock: Arc<MovableClock>,
    _directory: tempfile::TempDir,
}

/// Answers each refresh with the next token, or as it was told.
#[derive(Debug)]
pub(crate) struct Provider {
    clock: Arc<MovableClock>,
    calls: AtomicUsize,
    script: Mutex<VecDeque<RefreshError>>,
}

/// Time as the test says.
#[derive(Debug)]
pub(crate) struct MovableClock(AtomicU64);

#[derive(Debug, Default)]
struct CountedRandom(AtomicU64);

pub(crate) fn base() -> BaseUrl {
    BaseUrl::parse("https://proxy.example").unwrap()
}

pub(crate) fn settings(server: &str) -> GatewaySettings {
    let url = Url::parse(server).unwrap();
    let path = url.path().trim_end_matches('/').to_owned();
    let resource = Resource::at(&base(), &path);
    GatewaySettings {
        base_url: base(),
        servers: vec![McpServer {
            url,
            resource_metadata: resource.metadata_url(),
            resource,
            path,
            connect_page: Bytes::from_static(b"<h1>connect</h1>"),
            connect_page_csp: "default-src 'none'; style-src 'self'".to_owned(),
            public_paths: vec!["/.well-known/openai-apps-challenge".to_owned()],
        }],
        callback_path: "/interaction/identity/callback".to_owned(),
        challenge_scopes: ScopeSet::parse("openid offline_access").unwrap(),
        allowed_origins: vec!["https://app.example".to_owned()],
        max_body: 1 << 20,
        sse_keepalive: Duration::from_secs(25),
        ca_certificates: Vec::new(),
    }
}

impl Proxy {
    /// Before the MCP server at a URL.
    pub(crate) async fn before(server: &str) -> Self {
        Self::with(settings(server)).await
    }

    pub(crate) async fn with(settings: GatewaySettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let movable = Arc::new(MovableClock(AtomicU64::new(START)));
        let clock = Arc::clone(&movable) as Arc<dyn Clock>;
        let path = directory.path().join("store.redb");
        let store = EmbeddedStore::open(&path, Arc::clone(&clock)).unwrap();
        let provider = Arc::new(Provider {
            clock: Arc::clone(&movable),
            calls: AtomicUsize::default(),
            script: Mutex::default(),
        });
        let tasks = TaskTracker::new();
        let grants = Arc::new(Grants::new(
            grant_settings(),
            Arc::new(store),
            vec![Arc::clone(&provider) as Arc<dyn IdentityRefresher>],
            clock,
            Arc::new(CountedRandom::default()),
            tasks.clone(),
        ));
        let resource = settings.servers[0].resource.clone();
        let issued = log_in(&grants, resource).await;
        let closing = CancellationToken::new();
        let gateway = Gateway::new(
            settings,
            Arc::clone(&grants),
            tasks.clone(),
            closing.clone(),
        );
        Self {
            address: serve(Arc::new(gateway.unwrap())).await,
            grants,
            provider,
            closing,
            tasks,
            token: issued.access_token.expose().to_owned(),
            issued,
            clock: movable,
            _directory: directory,
        }
    }

    /// A client of this proxy with the user's token.
    pub(crate) async fn client(&self) -> Client {
        let mut client = Client::connect(self.address).await;
        client.bearer = Some(self.token.clone());
        client
    }

    /// The user logs in once more at another resource.
    pub(crate) async fn token_for(&self, resource: Resource) -> String {
        let issued = log_in(&self.grants, resource).await;
        issued.access_token.expose().to_owned()
    }
}

fn grant_settings() -> GrantSettings {
    GrantSettings {
        issuer: base().issuer().to_owned(),
        access_life: Duration::from_secs(3600),
        refresh_idle: Duration::from_secs(14 * 86400),
        grant_life: Duration::from_secs(90 * 86400),
        refresh_window: Duration::from_secs(4500),
        strict_offline_access: false,
        cache_bytes: 1 << 20,
        store_grace: Duration::from_secs(60),
        session_requests: None,
    }
}

async fn log_in(grants: &Grants, resource: Resource) -> IssuedTokens {
    let login = CompletedLogin {
        client: ClientId::parse("client-a").unwrap(),
        resource,
        scopes: ScopeSet::parse("openid offline_access").unwrap(),
        identity: Identity {
            issuer: PROVIDER.to_owned(),
            subject: Subject::parse("user-1").unwrap(),
            claims: serde_json::Map::new(),
            auth_time: None,
            tokens: tokens("identity-0", Timestamp::from_unix(START)),
        },
        code_challenge: CodeChallenge::from_digest(sha256(VERIFIER.as_bytes())),
        redirect_uri: "http://127.0.0.1:5000/callback".to_owned(),
        nonce: None,
    };
    let code = grants.open(login).await.unwrap();
    let redemption = Redemption {
        code: code.expose(),
        client: &ClientId::parse("client-a").unwrap(),
        redirect_uri: None,
        verifier: Some(&CodeVerifier::parse(VERIFIER).unwrap()),
        resource: None,
        network: ClientNetwork::of("192.0.2.1".parse().unwrap()),
    };
    grants.redeem(redemption).await.unwrap()
}

fn tokens(access: &str, issued_at: Timestamp) -> IdentityTokens {
    IdentityTokens {
        access_token: SecretString::new(access),
        refresh_token: Some(SecretString::new("identity-refresh")),
        expires_at: Some(issued_at.plus(Duration::from_secs(8 * 3600))),
        issued_at,
        scope: "profile email".to_owned(),
        id_token: None,
        extra: serde_json::Map::new(),
    }
}

/// Serves HTTP/1.1 and HTTP/2, as the edge does.
async fn serve(gateway: Arc<Gateway>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let gateway = Arc::clone(&gateway);
            let service = service_fn(move |request| {
                let gateway = Arc::clone(&gateway);
                async move {
                    let context = RequestContext::new("request-1".into(), peer.ip());
                    Ok::<_, std::convert::Infallible>(gateway.handle(request, &context).await)
                }
            });
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

// === impl Provider ===

impl Provider {
    /// How often it was asked.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Its next answer.
    pub(crate) fn will_fail(&self, error: RefreshError) {
        self.script.lock().unwrap().push_back(error);
    }
}

#[async_trait]
impl IdentityRefresher for Provider {
    fn issuer(&self) -> &str {
        PROVIDER
    }

    fn can_refresh(&self, _tokens: &IdentityTokens) -> bool {
        true
    }

    async fn refresh(
        &self,
        _subject: &Subject,
        _current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(error) = self.script.lock().unwrap().pop_front() {
            return Err(error);
        }
        Ok(tokens(&format!("identity-{number}"), self.clock.now()))
    }
}

// === impl MovableClock ===

impl MovableClock {
    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

impl Random for CountedRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let length = chunk.len();
            chunk.copy_from_slice(&sha256(&count.to_be_bytes())[..length]);
        }
    }
}
