//! The authorization server's shared parts, and the list of its routes.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    middleware,
};
use domain::{
    base_url::BaseUrl,
    client::Client,
    id::ClientId,
    metadata::path,
    random::Random,
    redirect_uri::AllowedRedirectHosts,
    resource::Resource,
    scope::{Scope, ScopeSet},
    secret::SecretString,
    time::Clock,
};
use grants::Grants;
use idp::provider::IdentityProvider;
use jose::signing::KeyRing;
use store::{Store, predecessor::Predecessor};

use crate::{
    clients::{Clients, documents::ClientDocumentSettings, predecessor::ClientSuccession},
    endpoint::{self, KeyDocument, error},
    flow::{guesses::CodeGuesses, login::throttle::LoginGuesses},
    limits::{self, RequestLimits, meter::Meter},
    pages::Pages,
    per_keys::PerKeys,
};

/// What was configured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our public URL.
    pub base_url: BaseUrl,
    /// The MCP servers that tokens are issued for; at least one.
    pub resources: Vec<ProtectedResource>,
    /// Scopes given where none is asked for (`PROVIDER_SCOPE`).
    pub scopes: ScopeSet,
    /// What is known of scopes. One that is not among `scopes` is offered too, to who asks for it.
    pub scope_details: Vec<ScopeDetail>,
    /// Path of the callback below the base URL (`IDENTITY_CALLBACK_PATH`).
    pub callback_path: String,
    /// Hosts that clients may redirect to.
    pub allowed_redirect_hosts: AllowedRedirectHosts,
    /// Whether the device flow is offered (`MCP_AUTH_PROXY_DEVICE`).
    pub device_flow: bool,
    /// Whether authorization requests count only if they were pushed.
    pub require_pushed_requests: bool,
    /// Clients that need not register.
    pub clients: Vec<PreregisteredClient>,
    /// Who may register, and what they can do afterwards.
    pub registration: Registration,
    /// Bounds of requests.
    pub limits: Limits,
    /// How client metadata documents and keys are fetched; without it none is.
    pub client_documents: Option<ClientDocumentSettings>,
}

/// What the operator says of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeDetail {
    /// The scope.
    pub name: Scope,
    /// What it lets a client do, in words that complete "It will be able to".
    pub description: Option<String>,
    /// Scopes asked of the identity provider besides the usual ones where this one is granted.
    pub identity_scopes: ScopeSet,
}

/// How clients register.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Whether clients get a token with which they may read, change and take back their
    /// registration (RFC 7592).
    pub management: bool,
    /// The initial access token that registering needs (RFC 7591 §3); without one it is open.
    pub initial_token: Option<SecretString>,
}

/// A client that the configuration names. It is found before any registration and never expires.
#[derive(Clone, Debug)]
pub struct PreregisteredClient {
    /// The client.
    pub client: Client,
    /// All that it may be granted; `None`: whatever is offered.
    pub scopes: Option<ScopeSet>,
    /// Whether people are sent to the identity provider without being asked. Then whoever gets a
    /// person to open a link gets this client a login in their name, so it is for clients that the
    /// operator trusts with every account, at https addresses of their own.
    pub skips_consent: bool,
}

/// An MCP server that tokens are issued for.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    /// Its canonical public URL.
    pub resource: Resource,
    /// Its path below the base URL, without our prefix (`/mcp`; `""` at the root).
    pub path: String,
    /// Where its MCP server is reached: the audience of a local identity's token.
    pub server_url: String,
    /// With which the MCP server may introspect the access tokens issued for it; without one it
    /// may not.
    pub introspection_secret: Option<SecretString>,
    /// Who its users log in with.
    pub provider: IdentityProvider,
}

/// Requests that one client address may make in a window (`MAX_REQUESTS`).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many; `None` is without a bound, zero refuses all of them.
    pub requests: Option<u32>,
    /// In how long.
    pub window: Duration,
}

/// How the endpoints hold the server.
pub(crate) type Shared = Arc<AuthServer>;

/// The authorization server of this process.
#[derive(Debug)]
pub struct AuthServer {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) key_document: PerKeys<KeyDocument>,
    pub(crate) metadata_document: PerKeys<Bytes>,
    pub(crate) pages: Pages,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clients: Clients,
    pub(crate) limits: RequestLimits,
    pub(crate) guesses: LoginGuesses,
    pub(crate) code_guesses: CodeGuesses,
}

// === impl Settings ===

impl Settings {
    /// Whether clients may name themselves by a metadata document.
    pub(crate) fn takes_client_documents(&self) -> bool {
        let documents = self.client_documents.as_ref();
        documents.is_some_and(|documents| documents.domains.is_some())
    }

    /// What an assertion of a client may be meant for: the issuer, the token endpoint (RFC 7523 §3),
    /// or whichever other endpoint takes assertions (RFC 9126 §2 for its own; libraries name the
    /// endpoint that they ask). All of them are this server.
    pub(crate) fn assertion_audiences(&self) -> [String; 6] {
        [
            self.base_url.issuer().to_owned(),
            self.base_url.join(path::TOKEN),
            self.base_url.join(path::PUSHED_AUTHORIZATION),
            self.base_url.join(path::DEVICE_AUTHORIZATION),
            self.base_url.join(path::INTROSPECTION),
            self.base_url.join(path::REVOCATION),
        ]
    }

    /// All scopes that a client can get.
    pub(crate) fn offered_scopes(&self) -> ScopeSet {
        let named = self.scope_details.iter().map(|detail| &detail.name);
        self.scopes.iter().chain(named).cloned().collect()
    }

    /// What is asked of the identity provider besides the usual where these are granted.
    pub(crate) fn identity_scopes(&self, granted: &ScopeSet) -> ScopeSet {
        self.scope_details
            .iter()
            .filter(|detail| granted.contains(detail.name.as_str()))
            .flat_map(|detail| detail.identity_scopes.iter().cloned())
            .collect()
    }

    /// What a scope of ours lets a client do, in the operator's words.
    pub(crate) fn describe(&self, scope: &str) -> Option<&str> {
        let mut details = self.scope_details.iter();
        let detail = details.find(|detail| detail.name.as_str() == scope)?;
        detail.description.as_deref()
    }

    /// What the configuration says of a client.
    pub(crate) fn preregistered(&self, id: &ClientId) -> Option<&PreregisteredClient> {
        self.clients.iter().find(|known| known.client.id == *id)
    }
}

// === impl AuthServer ===

impl AuthServer {
    /// Puts the parts together.
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        grants: Arc<Grants>,
        keys: Arc<KeyRing>,
        pages: Pages,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let meter = Arc::new(Meter::new(&store, &keys, settings.base_url.issuer()));
        let clients = Clients::new(&settings, Arc::clone(&store), Arc::clone(&clock), &meter);
        let limits = RequestLimits::new("requests", settings.limits, Arc::clone(&meter));
        Self {
            settings,
            store,
            grants,
            keys,
            key_document: PerKeys::default(),
            metadata_document: PerKeys::default(),
            pages,
            clock,
            random,
            clients,
            limits,
            guesses: LoginGuesses::new(Arc::clone(&meter)),
            code_guesses: CodeGuesses::new(meter),
        }
    }

    /// From now on clients that registered with the predecessor are known here too.
    pub fn take_over_from(&self, records: Arc<dyn Predecessor>) {
        self.clients.take_over_from(ClientSuccession::new(
            records,
            Arc::clone(&self.store),
            self.settings.allowed_redirect_hosts.clone(),
            Arc::clone(&self.clock),
        ));
    }
}

/// All routes, below the base URL's prefix and (well-known documents) at the origin's root. The
/// edge has put its [`domain::request::RequestContext`] into each request's extensions.
pub fn router(server: Arc<AuthServer>) -> Router {
    let prefix = server.settings.base_url.prefix().to_owned();
    let browsers = endpoint::browser_routes(Arc::clone(&server))
        .method_not_allowed_fallback(error::method_not_allowed);
    let machines = endpoint::machine_routes(Arc::clone(&server));
    let router = Router::new().without_v07_checks().merge(machines);
    let router = if prefix.is_empty() {
        router.merge(browsers)
    } else {
        // Clients of the 2025-03-26 specification ask at the root of the origin.
        router
            .route_service(
                path::AUTHORIZATION_ALIAS,
                browsers.clone().into_service::<Body>(),
            )
            .nest(&prefix, browsers)
    };
    router
        .layer(middleware::from_fn(limits::tell_standing))
        .fallback_service(endpoint::fallback(server))
}
