//! A whole authorization server for tests: real router, real embedded store, real grants, a clock
//! that is moved by hand.

pub(crate) mod document_host;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::rand;
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, header},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::{
    base_url::BaseUrl,
    id::{ClientId, Subject},
    pkce::CodeChallenge,
    random::Random,
    redirect_uri::AllowedRedirectHosts,
    request::RequestContext,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::{Clock, Timestamp},
};
use grants::{CompletedLogin, GrantSettings, Grants};
use http_body_util::BodyExt as _;
use idp::{
    local::LocalProvider,
    provider::{Identity, IdentityProvider, IdentityTokens},
};
use jose::signing::{KeyRing, SigningAlgorithm, SigningKeys};
use serde_json::{Map, Value, json};
use store::{Store, embedded::EmbeddedStore, seal::sha256, testing::SwitchedStore};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use url::form_urlencoded;

use crate::{
    AuthServer, ClientDocumentSettings, Limits, ProtectedResource, Registration, Settings,
    pages::{Branding, Pages},
    router,
};

pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:4711/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-43-characters-and-some-more-0123456789";
pub(crate) const SUBJECT: &str = "alice";
pub(crate) const EMAIL: &str = "alice@users.example";
pub(crate) const MCP_SERVER_SECRET: &str = "the-secret-of-the-first-mcp-server";
pub(crate) const NONCE: &str = "a-nonce";
const START: u64 = 1_800_000_000;

/// What differs between the servers of tests.
pub(crate) struct Setup {
    pub(crate) base_url: &'static str,
    /// Paths of the MCP servers.
    pub(crate) paths: &'static [&'static str],
    pub(crate) scopes: &'static str,
    /// `MAX_REQUESTS`; `None` is without a bound.
    pub(crate) requests: Option<u32>,
    /// How documents and keys of clients are fetched.
    pub(crate) documents: Option<ClientDocumentSettings>,
    pub(crate) require_pushed_requests: bool,
    pub(crate) device_flow: bool,
    pub(crate) registration: Registration,
    pub(crate) redirect_hosts: AllowedRedirectHosts,
}

/// A server, and all that a test moves.
pub(crate) struct TestServer {
    pub(crate) server: Arc<AuthServer>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<SwitchedStore>,
    router: Router,
    _directory: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Time as the test says.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicU64);

/// Randomness of the system.
#[derive(Debug)]
pub(crate) struct SystemRandom;

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self {
            base_url: "https://proxy.example",
            paths: &["/mcp"],
            scopes: "openid offline_access",
            requests: None,
            documents: None,
            require_pushed_requests: false,
            device_flow: true,
            registration: Registration::default(),
            redirect_hosts: AllowedRedirectHosts::all(),
        }
    }
}

// === impl TestServer ===

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(&Setup::default())
    }

    pub(crate) fn with(setup: &Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock(AtomicU64::new(START)));
        let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let embedded =
            EmbeddedStore::open(&directory.path().join("store"), Arc::clone(&shared_clock));
        let store = Arc::new(SwitchedStore::new(embedded.unwrap()));
        let shared_store = Arc::clone(&store) as Arc<dyn Store>;
        let keys = Arc::new(signing_keys(&shared_clock));
        let provider = local_provider(&directory, setup, &keys, &shared_clock);
        let settings = settings(setup, &provider);
        let grants = Grants::new(
            grant_settings(setup),
            Arc::clone(&shared_store),
            vec![provider.refresher()],
            Arc::clone(&shared_clock),
            Arc::clone(&random),
            TaskTracker::new(),
        );
        let server = Arc::new(AuthServer::new(
            settings,
            shared_store,
            Arc::new(grants),
            keys,
            Pages::load(Branding::default(), None).unwrap(),
            shared_clock,
            random,
        ));
        Self {
            router: router(Arc::clone(&server)),
            server,
            clock,
            store,
            _directory: directory,
        }
    }

    /// Sends a request as the edge passes it on.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_from("192.0.2.1", request).await
    }

    pub(crate) async fn send_from(&self, address: &str, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(RequestContext::new(
            "request-1".into(),
            address.parse().unwrap(),
        ));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    /// Posts a form, with headers beside it.
    pub(crate) async fn post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        self.send(form_request(path, headers, fields)).await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, &[], fields).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// Registers a client and returns its information.
    pub(crate) async fn register(&self, method: &str) -> Value {
        let metadata = json!({
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": method,
            "client_name": "Tool",
        });
        let path = format!("{}/reg", self.server.settings.base_url.prefix());
        let answer = self.post_json(&path, &metadata).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Registers a public client and returns its id.
    pub(crate) async fn public_client(&self) -> String {
        text(&self.register("none").await, "client_id")
    }

    /// A code for a client, as a completed login leaves it.
    pub(crate) async fn code(&self, client: &str) -> String {
        self.code_for(client, 0, "openid offline_access").await
    }

    /// A code for the resource at an index.
    pub(crate) async fn code_for(&self, client: &str, resource: usize, scopes: &str) -> String {
        let login = CompletedLogin {
            client: ClientId::parse(client).unwrap(),
            resource: self.server.settings.resources[resource].resource.clone(),
            scopes: ScopeSet::parse(scopes).unwrap(),
            identity: self.identity(),
            code_challenge: CodeChallenge::from_digest(sha256(VERIFIER.as_bytes())),
            redirect_uri: REDIRECT_URI.to_owned(),
            nonce: Some(NONCE.to_owned()),
        };
        let code = self.server.grants.open(login).await.unwrap();
        code.expose().to_owned()
    }

    fn identity(&self) -> Identity {
        Identity {
            issuer: self.server.settings.resources[0]
                .provider
                .issuer()
                .to_owned(),
            subject: Subject::parse(SUBJECT).unwrap(),
            claims: Map::from_iter([
                ("email".to_owned(), json!(EMAIL)),
                ("name".to_owned(), json!("Alice Example")),
                ("picture".to_owned(), Value::Null),
                ("groups".to_owned(), json!(["staff"])),
                ("internal_id".to_owned(), json!(7)),
            ]),
            auth_time: None,
            tokens: IdentityTokens {
                access_token: SecretString::new("identity-access-token"),
                refresh_token: Some(SecretString::new("identity-refresh-token")),
                expires_at: None,
                issued_at: self.clock.now(),
                scope: "openid".to_owned(),
                id_token: None,
                extra: Map::new(),
            },
        }
    }

    /// Redeems a code of a public client.
    pub(crate) async fn redeem(&self, client: &str, code: &str) -> Answer {
        self.post("/token", &code_fields(client, code)).await
    }

    /// Refreshes as a public client.
    pub(crate) async fn refresh(&self, client: &str, refresh_token: &str) -> Answer {
        self.post("/token", &refresh_fields(client, refresh_token))
            .await
    }
}

/// The form of a public client that redeems a code.
pub(crate) fn code_fields<'a>(client: &'a str, code: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT_URI),
    ]
}

/// The form of a public client that refreshes.
pub(crate) fn refresh_fields<'a>(
    client: &'a str,
    refresh_token: &'a str,
) -> [(&'static str, &'a str); 3] {
    [
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", refresh_token),
    ]
}

pub(crate) fn form_request(
    path: &str,
    headers: &[(&str, &str)],
    fields: &[(&str, &str)],
) -> Request<Body> {
    let mut request =
        Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    request.body(Body::from(body)).unwrap()
}

/// HTTP Basic of an id and a secret.
pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A member of a JSON object that is a text.
pub(crate) fn text(value: &Value, member: &str) -> String {
    let member = value.get(member).and_then(Value::as_str);
    member.unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// The JSON of one part of a JWT.
pub(crate) fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn settings(setup: &Setup, provider: &IdentityProvider) -> Settings {
    let base_url = BaseUrl::parse(setup.base_url).unwrap();
    let resources = setup
        .paths
        .iter()
        .enumerate()
        .map(|(index, path)| ProtectedResource {
            resource: Resource::at(&base_url, path),
            path: (*path).to_owned(),
            server_url: format!("http://localhost:3000{path}"),
            introspection_secret: (index == 0).then(|| SecretString::new(MCP_SERVER_SECRET)),
            provider: provider.clone(),
        })
        .collect();
    Settings {
        base_url,
        resources,
        scopes: ScopeSet::parse(setup.scopes).unwrap(),
        callback_path: "/interaction/identity/callback".to_owned(),
        allowed_redirect_hosts: setup.redirect_hosts.clone(),
        device_flow: setup.device_flow,
        require_pushed_requests: setup.require_pushed_requests,
        scope_details: Vec::new(),
        registration: setup.registration.clone(),
        clients: Vec::new(),
        limits: Limits {
            requests: setup.requests,
            window: Duration::from_secs(60),
        },
        client_documents: setup.documents.clone(),
    }
}

fn grant_settings(setup: &Setup) -> GrantSettings {
    GrantSettings {
        issuer: setup.base_url.to_owned(),
        access_life: Duration::from_secs(3600),
        refresh_idle: Duration::from_secs(14 * 24 * 3600),
        grant_life: Duration::from_secs(90 * 24 * 3600),
        refresh_window: Duration::from_secs(3600 + 15 * 60),
        strict_offline_access: false,
        cache_bytes: 1 << 20,
        store_grace: Duration::from_secs(60),
        session_requests: None,
    }
}

fn signing_keys(clock: &Arc<dyn Clock>) -> KeyRing {
    let keys = [SigningAlgorithm::Es256, SigningAlgorithm::Ed25519]
        .map(|algorithm| SigningKeys::generate(algorithm).unwrap());
    let keys: Vec<_> = keys.iter().map(SecretString::expose).collect();
    KeyRing::parse(&format!("[{}]", keys.join(",")), Arc::clone(clock))
        .unwrap()
        .0
}

fn local_provider(
    directory: &TempDir,
    setup: &Setup,
    keys: &Arc<KeyRing>,
    clock: &Arc<dyn Clock>,
) -> IdentityProvider {
    let path = directory.path().join("users.toml");
    let hash = LocalProvider::hash_password(&SecretString::new("password")).unwrap();
    let users = format!("[[users]]\nname = \"{SUBJECT}\"\npassword_hash = \"{hash}\"\n");
    std::fs::write(&path, users).unwrap();
    let provider =
        LocalProvider::load(&path, setup.base_url, Arc::clone(keys), Arc::clone(clock)).unwrap();
    IdentityProvider::Local(Arc::new(provider))
}

// === impl Answer ===

impl Answer {
    pub(crate) fn json(&self) -> Value {
        let kind = self.headers.get(header::CONTENT_TYPE);
        assert_eq!(kind.unwrap(), "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The error code of a refusal, whose answer nobody may keep.
    pub(crate) fn error(&self) -> String {
        let body = self.json();
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert!(!text(&body, "error_description").is_empty());
        text(&body, "error")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

// === impl ManualClock ===

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

// === impl SystemRandom ===

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).unwrap();
    }
}
