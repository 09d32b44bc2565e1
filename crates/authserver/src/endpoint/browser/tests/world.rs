//! A server with a store of its own, a provider that answers as told, and browsers.

use std::{
    fs,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::IntoResponse as _,
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    base_url::BaseUrl,
    client::{Client, ClientMetadata},
    id::ClientId,
    random::Random,
    redirect_uri::AllowedRedirectHosts,
    request::RequestContext,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::{Clock, Timestamp},
};
use grants::{GrantSettings, Grants};
use http_body_util::BodyExt as _;
use idp::{
    local::LocalProvider,
    provider::IdentityProvider,
    upstream::{MetadataSource, UpstreamProvider, UpstreamSettings},
};
use jose::signing::{KeyRing, SigningAlgorithm, SigningKeys};
use serde_json::{Value, json};
use store::{Store, embedded::EmbeddedStore};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use crate::{
    AuthServer, ClientDocumentSettings, Limits, PreregisteredClient, ProtectedResource,
    ScopeDetail, Settings,
    pages::{Branding, Pages},
    router,
};

pub(super) const BASE: &str = "https://mcp.example.com";
pub(super) const CLIENT: &str = "client-1";
pub(super) const REDIRECT: &str = "https://client.example.org/callback";
pub(super) const LOOPBACK: &str = "http://localhost:7777/callback";
pub(super) const PASSWORD: &str = "correct horse battery staple";
pub(super) const VERIFIER: &str = "a-code-verifier-of-at-least-forty-three-characters";

#[derive(Debug)]
pub(super) struct ManualClock(AtomicU64);

#[derive(Debug)]
struct SystemRandom;

/// What the provider's token endpoint answers, and the forms it got.
#[derive(Default)]
pub(super) struct Provider {
    pub(super) answer: Option<(u16, Value)>,
    pub(super) forms: Vec<Vec<(String, String)>>,
}

/// Lets a test hold the provider's answer back.
#[derive(Default)]
struct Gate {
    asked: tokio::sync::Notify,
    answer: tokio::sync::Mutex<()>,
}

/// How a world is to be.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) base: &'static str,
    pub(super) local: bool,
    pub(super) requests: Option<u32>,
    pub(super) hosts: AllowedRedirectHosts,
    pub(super) sends_issuer: bool,
    pub(super) require_pushed_requests: bool,
    pub(super) clients: Vec<PreregisteredClient>,
    pub(super) scope_details: Vec<ScopeDetail>,
    pub(super) documents: Option<ClientDocumentSettings>,
}

pub(super) struct World {
    pub(super) router: Router,
    pub(super) server: Arc<AuthServer>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) provider: Arc<Mutex<Provider>>,
    gate: Arc<Gate>,
    directory: tempfile::TempDir,
}

/// A browser: it keeps the cookie and says where its forms come from.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) cookie: Option<String>,
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

// === impl ManualClock ===

impl ManualClock {
    pub(super) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::fill(buffer).unwrap();
    }
}

// === impl Plan ===

impl Default for Plan {
    fn default() -> Self {
        Self {
            base: BASE,
            local: false,
            requests: None,
            hosts: AllowedRedirectHosts::all(),
            sends_issuer: false,
            documents: None,
            require_pushed_requests: false,
            clients: Vec::new(),
            scope_details: Vec::new(),
        }
    }
}

// === impl World ===

impl World {
    pub(super) async fn new() -> Self {
        Self::of(Plan::default()).await
    }

    pub(super) async fn of(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock(AtomicU64::new(1_800_000_000)));
        let random = Arc::new(SystemRandom);
        let store: Arc<dyn Store> = Arc::new(
            EmbeddedStore::open(&directory.path().join("store.redb"), clock.clone()).unwrap(),
        );
        let base = BaseUrl::parse(plan.base).unwrap();
        let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
        let (keys, _) = KeyRing::parse(&format!("[{}]", key.expose()), clock.clone()).unwrap();
        let keys = Arc::new(keys);
        let provider = Arc::new(Mutex::new(Provider::default()));
        let gate = Arc::new(Gate::default());
        let identity = if plan.local {
            local(directory.path(), &base, &keys, clock.clone())
        } else {
            let shared = (Arc::clone(&provider), Arc::clone(&gate));
            upstream(&directory, &plan, &base, shared, clock.clone()).await
        };
        let grants = Arc::new(Grants::new(
            GrantSettings {
                issuer: base.issuer().to_owned(),
                access_life: Duration::from_secs(3600),
                refresh_idle: Duration::from_secs(86_400),
                grant_life: Duration::from_secs(864_000),
                refresh_window: Duration::from_secs(4500),
                strict_offline_access: false,
                cache_bytes: 1 << 20,
                store_grace: Duration::from_secs(60),
                session_requests: None,
            },
            store.clone(),
            vec![identity.refresher()],
            clock.clone(),
            random.clone(),
            TaskTracker::new(),
        ));
        let settings = Settings {
            resources: vec![ProtectedResource {
                introspection_secret: None,
                resource: Resource::at(&base, "/mcp"),
                path: "/mcp".to_owned(),
                server_url: "http://localhost:3000/mcp".to_owned(),
                provider: identity,
            }],
            base_url: base,
            scopes: ScopeSet::parse("openid offline_access").unwrap(),
            callback_path: "/interaction/identity/callback".to_owned(),
            allowed_redirect_hosts: plan.hosts,
            device_flow: true,
            require_pushed_requests: plan.require_pushed_requests,
            registration: crate::Registration::default(),
            clients: plan.clients,
            scope_details: plan.scope_details,
            limits: Limits {
                requests: plan.requests,
                window: Duration::from_secs(60),
            },
            client_documents: plan.documents.clone(),
        };
        let pages = Pages::load(Branding::default(), None).unwrap();
        let server = Arc::new(AuthServer::new(
            settings,
            store,
            grants,
            keys,
            pages,
            clock.clone(),
            random,
        ));
        let world = Self {
            router: router(Arc::clone(&server)),
            server,
            clock,
            provider,
            gate,
            directory,
        };
        world
            .register(
                CLIENT,
                "Example client",
                &[REDIRECT, "http://localhost/callback"],
            )
            .await;
        world
    }

    pub(super) async fn register(&self, id: &str, name: &str, redirect_uris: &[&str]) {
        let members = json!({
            "client_name": name,
            "client_uri": "https://website.example.net/about",
            "redirect_uris": redirect_uris,
            "token_endpoint_auth_method": "none",
        });
        let client = Client {
            id: ClientId::parse(id).unwrap(),
            issued_at: self.clock.now(),
            secret_hash: None,
            metadata: ClientMetadata::parse(
                members.as_object().unwrap(),
                &AllowedRedirectHosts::all(),
            )
            .unwrap(),
        };
        self.server.clients.register(&client, None).await.unwrap();
    }

    /// What the provider answers to a code: a login of this user.
    pub(super) fn provider_knows(&self, user: &str) {
        self.provider_answers(
            200,
            json!({
                "access_token": format!("identity-token-of-{user}"),
                "token_type": "Bearer",
                "expires_in": 3600,
                "refresh_token": "identity-refresh-token",
                "user_id": user,
            }),
        );
    }

    pub(super) fn provider_answers(&self, status: u16, answer: Value) {
        self.provider.lock().unwrap().answer = Some((status, answer));
    }

    /// Nothing is answered until the guard is dropped.
    pub(super) async fn hold_provider(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.gate.answer.lock().await
    }

    pub(super) async fn provider_was_asked(&self) {
        self.gate.asked.notified().await;
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let mut request = request;
        request.extensions_mut().insert(RequestContext::new(
            Arc::from("request-0001"),
            IpAddr::from([203, 0, 113, 7]),
        ));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Redeems a code as the client would.
    pub(super) async fn redeem(&self, code: &str, redirect_uri: &str) -> (StatusCode, Value) {
        let form = encode(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", CLIENT),
            ("redirect_uri", redirect_uri),
            ("code_verifier", VERIFIER),
        ]);
        let request = Request::post("/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        let reply = self.send(request).await;
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    /// Everything that the store file holds.
    pub(super) fn stored_bytes(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("store.redb")).unwrap()
    }
}

async fn upstream(
    directory: &tempfile::TempDir,
    plan: &Plan,
    base: &BaseUrl,
    shared: (Arc<Mutex<Provider>>, Arc<Gate>),
    clock: Arc<ManualClock>,
) -> IdentityProvider {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/token", post(token))
        .with_state(shared);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let metadata = directory.path().join("metadata.json");
    let members = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "authorization_response_iss_parameter_supported": plan.sends_issuer,
    });
    fs::write(&metadata, members.to_string()).unwrap();
    let settings = UpstreamSettings {
        metadata: MetadataSource::File(metadata),
        issuer: None,
        client_id: "proxy".to_owned(),
        client_secret: SecretString::new("proxy secret"),
        scope: ScopeSet::parse("global read-protected").unwrap(),
        more_parameters: idp::upstream::MoreParameters::default(),
        redirect_uri: base.join("/interaction/identity/callback"),
    };
    let http = idp::http_client(&[]).unwrap();
    let provider = UpstreamProvider::connect(settings, http, clock)
        .await
        .unwrap();
    IdentityProvider::Upstream(Arc::new(provider))
}

async fn token(
    State((provider, gate)): State<(Arc<Mutex<Provider>>, Arc<Gate>)>,
    body: String,
) -> axum::response::Response {
    gate.asked.notify_one();
    let _open = gate.answer.lock().await;
    let mut provider = provider.lock().unwrap();
    provider.forms.push(
        form_urlencoded::parse(body.as_bytes())
            .into_owned()
            .collect(),
    );
    match provider.answer.clone() {
        Some((status, answer)) => {
            (StatusCode::from_u16(status).unwrap(), Json(answer)).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn local(
    directory: &std::path::Path,
    base: &BaseUrl,
    keys: &Arc<KeyRing>,
    clock: Arc<ManualClock>,
) -> IdentityProvider {
    let hash = LocalProvider::hash_password(&SecretString::new(PASSWORD)).unwrap();
    let users = directory.join("users.toml");
    fs::write(
        &users,
        format!("[[users]]\nname = \"alice\"\npassword_hash = \"{hash}\"\n"),
    )
    .unwrap();
    let provider = LocalProvider::load(&users, base.issuer(), Arc::clone(keys), clock).unwrap();
    IdentityProvider::Local(Arc::new(provider))
}

// === impl Browser ===

impl Browser {
    pub(super) async fn get(&mut self, world: &World, path: &str) -> Reply {
        self.send(world, Request::get(path)).await
    }

    /// Sends a form from a page of ours.
    pub(super) async fn post(&mut self, world: &World, path: &str, form: &[(&str, &str)]) -> Reply {
        let request = Request::post(path)
            .header(header::ORIGIN, world.server.settings.base_url.origin())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send_with(world, request, Body::from(encode(form)))
            .await
    }

    pub(super) async fn send(
        &mut self,
        world: &World,
        request: axum::http::request::Builder,
    ) -> Reply {
        self.send_with(world, request, Body::empty()).await
    }

    pub(super) async fn send_with(
        &mut self,
        world: &World,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Reply {
        let request = match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        };
        let reply = world.send(request.body(body).unwrap()).await;
        if let Some(cookie) = reply.headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        reply
    }

    /// Begins an authorization; the address of its page.
    pub(super) async fn begin(
        &mut self,
        world: &World,
        changes: &[(&str, Option<&str>)],
    ) -> String {
        let reply = self.get(world, &authorize(changes)).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        let page = reply.location();
        assert!(page.starts_with("/interaction/"), "{page}");
        page
    }

    /// Begins and agrees; the address at the provider.
    pub(super) async fn agree(&mut self, world: &World, page: &str) -> Url {
        let form = [("confirmed", "true")];
        let reply = self
            .post(world, &format!("{page}/confirm-login"), &form)
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.refresh()
    }

    /// Comes back from the provider, which sends these besides `state`.
    pub(super) async fn come_back(
        &mut self,
        world: &World,
        at_provider: &Url,
        parameters: &[(&str, &str)],
    ) -> Reply {
        let path = callback(at_provider, parameters);
        self.get(world, &path).await
    }
}

/// The callback's path with query.
pub(super) fn callback(at_provider: &Url, parameters: &[(&str, &str)]) -> String {
    let state = parameter(at_provider, "state").unwrap();
    let mut all = vec![("state", state.as_str())];
    all.extend_from_slice(parameters);
    format!("/interaction/identity/callback?{}", encode(&all))
}

// === impl Reply ===

impl Reply {
    pub(super) fn location(&self) -> String {
        self.header(header::LOCATION.as_str()).to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {}", self.body))
            .to_str()
            .unwrap()
    }

    /// Where the page takes the browser.
    pub(super) fn refresh(&self) -> Url {
        let url = self
            .body
            .split_once("<meta http-equiv=\"refresh\" content=\"0; url=")
            .and_then(|(_, rest)| rest.split_once('"'))
            .unwrap_or_else(|| panic!("{} leaves for nowhere: {}", self.status, self.body))
            .0
            .replace("&amp;", "&");
        // The visible way is the same.
        let link = format!("href=\"{}\"", url.replace('&', "&amp;"));
        assert!(self.body.contains(&link), "{}", self.body);
        Url::parse(&url).unwrap()
    }

    /// Where the page's button leads; the page does not go there by itself.
    pub(super) fn way_back(&self) -> Url {
        assert!(
            !self.body.contains("http-equiv=\"refresh\""),
            "{}",
            self.body
        );
        let url = self
            .body
            .split_once("class=\"button primary\" href=\"")
            .and_then(|(_, rest)| rest.split_once('"'))
            .unwrap_or_else(|| panic!("{} leads nowhere: {}", self.status, self.body))
            .0;
        Url::parse(&url.replace("&amp;", "&")).unwrap()
    }

    /// A page for people, with the headers that each must have.
    pub(super) fn assert_page(&self, status: StatusCode, text: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert_eq!(self.header("x-frame-options"), "DENY");
        let policy = self.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(policy.contains("frame-ancestors 'none'; base-uri 'none'"));
        let has_form = self.body.contains("<form");
        assert_eq!(policy.contains("form-action 'self'"), has_form);
        let referrer = if has_form {
            "same-origin"
        } else {
            "no-referrer"
        };
        assert_eq!(self.header("referrer-policy"), referrer);
        assert!(!self.headers.contains_key("access-control-allow-origin"));
    }

    /// A page that tells of a problem, and under which reference.
    pub(super) fn assert_problem(&self, status: StatusCode, text: &str) {
        self.assert_page(status, text);
        assert!(self.body.contains("role=\"alert\""), "{}", self.body);
        assert!(self.body.contains("request-0001"), "{}", self.body);
        assert!(!self.headers.contains_key(header::LOCATION));
        assert!(!self.body.contains("http-equiv"));
    }
}

/// An authorization request with some parameters changed (`None`: left out).
pub(super) fn authorize(changes: &[(&str, Option<&str>)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(store::seal::sha256(VERIFIER.as_bytes()));
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("state", "client state &+="),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        parameters.retain(|(held, _)| held != name);
        if let Some(value) = value {
            parameters.push((name, value));
        }
    }
    format!("/auth?{}", encode(&parameters))
}

pub(super) fn encode(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(held, _)| held == name)
        .map(|(_, value)| value.into_owned())
}

/// A client's answer: `error`, with what every answer has.
pub(super) fn assert_error(url: &Url, error: &str) {
    assert!(url.as_str().starts_with(REDIRECT), "{url}");
    assert_eq!(parameter(url, "error").as_deref(), Some(error), "{url}");
    assert!(parameter(url, "error_description").is_some());
    assert_eq!(parameter(url, "state").as_deref(), Some("client state &+="));
    assert_eq!(parameter(url, "iss").as_deref(), Some(BASE));
    assert_eq!(parameter(url, "code"), None);
}

pub(super) const POST: Method = Method::POST;
