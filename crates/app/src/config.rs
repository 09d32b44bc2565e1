//! The configuration as it is meant: one typed value, made once, that cannot be wrong.
//!
//! [`load()`] makes it from flags, environment, `.env` and TOML file, in this precedence, and
//! reports everything that is wrong at once.

use std::{
    collections::BTreeMap, ffi::OsString, fmt, net::SocketAddr, path::PathBuf, time::Duration,
};

use domain::{
    base_url::BaseUrl, client::ClientDomains, rate::Rate, redirect_uri::AllowedRedirectHosts,
    scope::ScopeSet, secret::SecretString,
};
use gateway::process::Command;
use ipnet::IpNet;
use store::redis::RedisAddress;
use url::Url;

use crate::{cli::Flags, env::Environment};
use explain::Explained;
use faults::{Faults, Warning};

pub(crate) mod environment;
pub(crate) mod explain;
pub(crate) mod faults;
mod load;
mod merged;
mod reader;
mod toml;
mod values;

/// Makes the configuration from flags, environment (with its `.env`) and TOML file. Reads files
/// that they name, changes nothing. The warnings are to be logged once.
///
/// # Errors
/// With everything that is wrong, missing or contradictory.
pub(crate) fn load(
    flags: &Flags,
    environment: &Environment,
) -> Result<(Config, Vec<Warning>), Faults> {
    load::load(flags, environment)
}

/// Finds out where sessions are remembered, as [`load()`] does, whatever else is configured: for
/// commands that concern a proxy that runs.
///
/// # Errors
/// With what is wrong about that.
pub(crate) fn load_store(flags: &Flags, environment: &Environment) -> Result<StoreConfig, Faults> {
    load::load_store(flags, environment)
}

/// What commands about the signing keys need to know.
///
/// # Errors
/// With what is wrong with that.
pub(crate) fn load_keys(flags: &Flags, environment: &Environment) -> Result<KeysConfig, Faults> {
    load::load_keys(flags, environment)
}

/// What a move of the sessions needs to know: everything that serving does, and both places where
/// sessions may be.
///
/// # Errors
/// With what is wrong with that.
pub(crate) fn load_move(flags: &Flags, environment: &Environment) -> Result<MoveConfig, Faults> {
    load::load_move(flags, environment)
}

/// A duration as settings have it.
///
/// # Errors
/// With what is wrong with it.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    values::duration(text)
}

/// A duration as settings have it, for people to read.
pub(crate) fn show_duration(duration: Duration) -> String {
    values::show_duration(duration)
}

/// What commands about the signing keys need to know.
#[derive(Clone, Debug)]
pub(crate) struct KeysConfig {
    /// Where sessions, and keys of our own making, are kept.
    pub(crate) store: StoreConfig,
    /// The keys, if they are configured.
    pub(crate) signing_keys: Option<SecretString>,
    /// Lives of what we issue.
    pub(crate) lives: Lives,
}

/// What a move of the sessions needs to know.
#[derive(Clone, Debug)]
pub(crate) struct MoveConfig {
    /// What the proxies are given.
    pub(crate) serving: Config,
    /// The server, where one is named.
    pub(crate) redis: Option<RedisConfig>,
    /// The data directory.
    pub(crate) directory: PathBuf,
}

/// Everything that serving needs to know.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as the operator set it"
)]
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Our public URL.
    pub(crate) base_url: BaseUrl,
    /// Addresses to listen at.
    pub(crate) listen: Listen,
    /// Plain HTTP on loopback: no HTTPS redirect, `X-Forwarded-*` is ignored.
    pub(crate) local_insecure: bool,
    /// Whose `X-Forwarded-*` count.
    pub(crate) trusted_proxies: TrustedProxies,
    /// The protected MCP servers; at least one.
    pub(crate) servers: Vec<ServerConfig>,
    /// The identity providers; at least one.
    pub(crate) providers: Vec<ProviderConfig>,
    /// What each of them is called in the TOML file.
    pub(crate) provider_names: Vec<Option<String>>,
    /// Scopes given where none is asked for.
    pub(crate) scopes: ScopeSet,
    /// What is known of scopes, those offered to who asks for them included.
    pub(crate) scope_details: Vec<authserver::ScopeDetail>,
    /// Private signing keys as given (a JWK array or set); absent: made once and kept.
    pub(crate) signing_keys: Option<SecretString>,
    /// Redirect path registered at the provider, below the base URL.
    pub(crate) callback_path: String,
    /// Where sessions are remembered.
    pub(crate) store: StoreConfig,
    /// Where sessions of the predecessor are looked for.
    pub(crate) predecessor: PredecessorConfig,
    /// How long sessions in memory go on while a shared store is away.
    pub(crate) store_grace: Duration,
    /// Counted requests a client address may make in a window; `None` is without a bound, zero
    /// refuses all of them.
    pub(crate) max_requests: Option<u32>,
    /// The window of `max_requests`.
    pub(crate) max_requests_window: Duration,
    /// Directory of page templates.
    pub(crate) views: Option<PathBuf>,
    /// Title of each page.
    pub(crate) branding_title: String,
    /// Icon of each page.
    pub(crate) branding_favicon: Option<Url>,
    /// Start everything, say so, and exit.
    pub(crate) verify_release: bool,
    /// Logging.
    pub(crate) log: LogConfig,
    /// Lives of what we issue.
    pub(crate) lives: Lives,
    /// Give a refresh token only where `offline_access` was granted.
    pub(crate) strict_offline_access: bool,
    /// Size up to which a request body is kept for one retry, in bytes.
    pub(crate) max_body: usize,
    /// Silence of an event stream after which it gets a comment line; zero is never.
    pub(crate) sse_keepalive: Duration,
    /// Requests that one session may make at the MCP endpoint.
    pub(crate) session_requests: Option<Rate>,
    /// Bound for open requests and streams after SIGTERM.
    pub(crate) drain: Duration,
    /// Browser origins let in at the MCP endpoint besides ours and loopback.
    pub(crate) allowed_origins: Vec<String>,
    /// Hosts that clients may redirect to.
    pub(crate) allowed_redirect_hosts: AllowedRedirectHosts,
    /// Clients that need not register.
    pub(crate) clients: Vec<authserver::PreregisteredClient>,
    /// Whether, and whose, client metadata documents are taken.
    pub(crate) client_documents: ClientDocumentsConfig,
    /// Whether authorization requests count only if they were pushed.
    pub(crate) require_pushed_requests: bool,
    /// Whether devices without a browser may ask for access.
    pub(crate) device_flow: bool,
    /// Who may register, and what they can do afterwards.
    pub(crate) registration: authserver::Registration,
    /// Roots added for provider and server.
    pub(crate) ca_files: Vec<PathBuf>,
    /// Bound of the memory for live sessions, in bytes.
    pub(crate) cache_bytes: u64,
    /// What the MCP server's process inherits; see [`environment`].
    pub(crate) inherited: Inherited,
    /// Where each value came from; see [`explain`].
    pub(crate) explained: Vec<Explained>,
}

/// The process's environment with that of `.env`.
#[derive(Clone)]
pub(crate) struct Inherited(pub(crate) BTreeMap<OsString, OsString>);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// What is bound. An IPv6 socket is for IPv6 only (`IPV6_V6ONLY`), so that both families can
    /// have the same port.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether each must be bound, because it was named. Otherwise the addresses are one of each
    /// family, and one that this machine does not have is passed over.
    pub(crate) strict: bool,
}

/// Whose `X-Forwarded-*` count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrustedProxies {
    /// Nobody's: `LOCAL_INSECURE`.
    None,
    /// The router in front adds the last entry; that one counts, whoever the peer is (a dyno).
    LastHop,
    /// Peers in these networks.
    Networks(Vec<IpNet>),
}

/// A protected MCP server.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    /// Where it is reached; its path is also the path at which we serve it.
    pub(crate) url: Url,
    /// How it is started; absent: it is already running.
    pub(crate) run: Option<RunConfig>,
    /// Index of its identity provider in [`Config::providers`].
    pub(crate) provider: usize,
    /// Paths passed to its origin without a token, GET and HEAD only.
    pub(crate) public_paths: Vec<String>,
    /// With which it may ask us what a token is.
    pub(crate) introspection_secret: Option<SecretString>,
}

/// How an MCP server is started.
#[derive(Clone, Debug)]
pub(crate) struct RunConfig {
    /// What is started.
    pub(crate) command: Command,
    /// Its working directory.
    pub(crate) directory: Option<PathBuf>,
    /// Variables added for it (`MCP_SERVER_RUN_ENV_JSON`).
    pub(crate) environment: Vec<(String, SecretString)>,
}

/// An identity provider.
#[derive(Clone, Debug)]
pub(crate) enum ProviderConfig {
    /// One elsewhere.
    Upstream {
        /// Where its metadata comes from.
        metadata: idp::upstream::MetadataSource,
        /// The issuer the operator vouches for.
        issuer: Option<String>,
        /// Our client id there.
        client_id: String,
        /// Our client secret there.
        client_secret: SecretString,
        /// Scopes asked there.
        scope: ScopeSet,
        /// What is added to each authorization request there.
        more_parameters: idp::upstream::MoreParameters,
    },
    /// Users of our own.
    Local {
        /// The users file.
        users_file: PathBuf,
    },
}

/// Where sessions are remembered.
#[derive(Clone, Debug)]
pub(crate) enum StoreConfig {
    /// In a file below this directory.
    Embedded {
        /// The data directory.
        directory: PathBuf,
    },
    /// On a server that other machines may use too.
    Redis(RedisConfig),
}

/// Where the predecessor's records are.
#[derive(Clone, Debug)]
pub(crate) enum PredecessorConfig {
    /// Nobody is taken over.
    Nowhere,
    /// In the Redis where sessions are remembered, under the same prefix.
    InStore,
    /// On a server of their own.
    At(RedisConfig),
}

/// A Redis or Valkey server.
#[derive(Clone, Debug)]
pub(crate) struct RedisConfig {
    /// Which variable names it.
    pub(crate) named_by: &'static str,
    /// Where it is.
    pub(crate) address: RedisAddress,
    /// What the names of all records begin with.
    pub(crate) prefix: String,
    /// Whether its certificate is verified.
    pub(crate) verifies: bool,
    /// More authorities that its certificate may be of.
    pub(crate) ca_file: Option<PathBuf>,
    /// Certificate and key that we prove ourselves with.
    pub(crate) identity_files: Option<(PathBuf, PathBuf)>,
}

/// Logging.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    /// Most verbose level written.
    pub(crate) level: LogLevel,
    /// Parts raised to debug by `DEBUG`.
    pub(crate) debug_targets: Vec<&'static str>,
    /// `app=` of each line.
    pub(crate) app_name: String,
    /// `environment=` of each line.
    pub(crate) environment: String,
    /// JSON lines instead of `key=value`.
    pub(crate) json: bool,
}

/// Levels of the log; the predecessor's names map onto these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// Only what needs an operator.
    Error,
    /// And what may.
    Warn,
    /// And what is worth a line.
    Info,
    /// And each request (`http`).
    Http,
    /// And details (`verbose`, `debug`).
    Debug,
    /// And everything (`silly`, `trace`).
    Trace,
}

/// How client metadata documents are taken.
#[derive(Clone, Debug)]
pub(crate) struct ClientDocumentsConfig {
    /// Whose; `None` where they are turned off.
    pub(crate) domains: Option<ClientDomains>,
    /// Whether they may lie on this machine.
    pub(crate) allows_loopback: bool,
}

/// Lives of what we issue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lives {
    /// Access token.
    pub(crate) access: Duration,
    /// A grant that is not refreshed.
    pub(crate) refresh_idle: Duration,
    /// A grant, absolutely.
    pub(crate) grant: Duration,
    /// How long a replaced refresh token is honoured from anywhere.
    pub(crate) refresh_window: Duration,
}

// === impl Config ===

impl Config {
    /// The redirect URI to register at the identity provider.
    pub(crate) fn redirect_uri(&self) -> String {
        self.base_url.join(&self.callback_path)
    }

    /// The URLs that people give their clients.
    pub(crate) fn mcp_urls(&self) -> Vec<String> {
        self.servers
            .iter()
            .map(|server| self.base_url.join(server.path()))
            .collect()
    }

    /// All scopes that a client can get.
    pub(crate) fn offered_scopes(&self) -> ScopeSet {
        let named = self.scope_details.iter().map(|detail| &detail.name);
        self.scopes.iter().chain(named).cloned().collect()
    }

    /// Whether people log in somewhere else, for any of the servers.
    pub(crate) fn has_upstream_provider(&self) -> bool {
        self.providers
            .iter()
            .any(|provider| matches!(provider, ProviderConfig::Upstream { .. }))
    }
}

// === impl Lives ===

impl Lives {
    /// The longest life of an access token, and so of what we sign, that can be configured. A
    /// token of a stranger who found it should not be of use for longer.
    pub(crate) const MAX_ACCESS: Duration = Duration::from_secs(7 * 24 * 3600);

    /// How long a signing key that was replaced is published: until the last token that it signed
    /// has expired, whatever was configured then, and until the last session that has no newer ID
    /// token, which its logout would show, has ended for want of use. A day more, for clocks that
    /// differ.
    pub(crate) fn of_replaced_keys(&self) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self::MAX_ACCESS.max(self.refresh_idle) + DAY
    }
}

// === impl ServerConfig ===

impl ServerConfig {
    /// The path at which it is served, below the base URL: `/mcp`, or `""` at the root.
    pub(crate) fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

// === impl Inherited ===

/// Values may be secrets: only their number is shown.
impl fmt::Debug for Inherited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Inherited({} variables)", self.0.len())
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// Reads a level by any of its names, case ignored.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Some(Self::Error),
            "warn" | "warning" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "http" => Some(Self::Http),
            "verbose" | "debug" => Some(Self::Debug),
            "silly" | "trace" => Some(Self::Trace),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
