//! The machines of a run, and what stands around them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use testkit::{
    http::Http,
    process::Process,
    provider::{CLIENT_ID, CLIENT_SECRET, Provider, ProviderOptions},
    recorder::{Answer, Recorded, Recorder},
    redis::{Redis, Watched},
    rotating::{Rotating, RotatingOptions},
    witness::Witness,
};
use tokio::sync::watch;
use url::Url;

use super::size;
use crate::harness::{Proxy, ProxyBuilder, SOON};

/// What a run is played with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) machines: usize,
    pub(super) store: StoreKind,
    pub(super) identity: Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    Redis,
    /// A master, a replica, and three sentinels.
    Sentinels,
    Embedded,
}

/// Which provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// A refresh token that comes twice ends its session.
    Strict,
    /// It may come again for a while.
    ReuseWindow,
    /// npm `oidc-provider`, which is as strict, and slow.
    OpenId,
}

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By SIGKILL.
    Killed,
    /// By SIGTERM.
    Asked,
}

/// All that runs.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) machines: Vec<Machine>,
    pub(super) provider: Upstream,
    pub(super) witness: Witness,
    store: Store,
    _server: Recorder,
    /// Calls that arrived at the MCP server with a token that its provider does not honour.
    pub(super) refused_by_server: Arc<AtomicUsize>,
    trouble: Mutex<Trouble>,
}

/// One proxy.
#[derive(Debug)]
pub(super) struct Machine {
    proxy: tokio::sync::Mutex<Proxy>,
    pub(super) http: Http,
    is_up: AtomicBool,
    blows: AtomicUsize,
    ends: Mutex<Vec<Instant>>,
}

/// Where the machines keep sessions.
#[derive(Debug)]
enum Store {
    Redis(tokio::sync::Mutex<Redis>),
    Sentinels(tokio::sync::Mutex<Watched>),
    Embedded,
}

/// The provider.
#[derive(Debug)]
pub(super) enum Upstream {
    Rotating(Rotating),
    /// It tells of no end.
    OpenId(Box<Provider>, watch::Sender<bool>),
}

/// Whether something is away that calls may need.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Never,
    Now,
    Since(Instant),
}

/// Life of an identity access token.
pub(super) const ACCESS_TTL: Duration = Duration::from_secs(2);
/// A usual one: Okta's is 30 s at most, Auth0's is set by whoever runs it.
const REUSE_WINDOW: Duration = Duration::from_secs(30);
const PUBLIC: &str = "https://mcp.example";
/// How long after a trouble calls may still be put off: a refresh that failed is not tried again
/// for 5 s, and one that hangs is given up after 10 s.
const AFTERMATH: Duration = Duration::from_secs(20);

// === impl Plan ===

impl Default for Plan {
    fn default() -> Self {
        Self {
            machines: 3,
            store: StoreKind::Redis,
            identity: Identity::Strict,
        }
    }
}

impl Plan {
    pub(super) fn sentinels() -> Self {
        Self {
            store: StoreKind::Sentinels,
            ..Self::default()
        }
    }

    pub(super) fn embedded() -> Self {
        Self {
            machines: 1,
            store: StoreKind::Embedded,
            ..Self::default()
        }
    }
}

// === impl Fleet ===

impl Fleet {
    pub(super) async fn start(plan: Plan) -> Result<Self> {
        let witness = Witness::default();
        let builders = (0..plan.machines)
            .map(|_| Proxy::builder(&witness))
            .collect::<Result<Vec<_>>>()?;
        let redirect_uri = format!("{PUBLIC}/interaction/identity/callback");
        let provider = Upstream::start(plan.identity, redirect_uri, &witness).await?;
        let server = Recorder::start().await?;
        let refused_by_server = Arc::new(AtomicUsize::new(0));
        if let Upstream::Rotating(rotating) = &provider {
            let (holder, refused) = (rotating.holders(), Arc::clone(&refused_by_server));
            server.answer(move |request| call_of(request, &holder, &refused));
        }
        let store = Store::start(plan.store).await?;
        let mut machines = Vec::new();
        for (number, builder) in builders.into_iter().enumerate() {
            let builder = builder
                .behind_router(PUBLIC)?
                .env("MCP_AUTH_PROXY_TRUSTED_PROXIES", "127.0.0.0/8")
                .env("MAX_REQUESTS", "1000000")
                .env("LOG_LEVEL", "debug")
                .server(server.url());
            let builder = match store.url().await {
                Some(url) => builder.env("MCP_AUTH_PROXY_REDIS_URL", &url),
                None => builder,
            };
            let builder = provider.configure(builder, number)?;
            machines.push(Machine::start(builder).await?);
        }
        Ok(Self {
            machines,
            provider,
            witness,
            store,
            _server: server,
            refused_by_server,
            trouble: Mutex::new(Trouble::Never),
        })
    }

    /// The MCP endpoint, as clients know it.
    pub(super) fn mcp() -> Result<Url> {
        Ok(Url::parse(PUBLIC)?.join("/mcp")?)
    }

    pub(super) fn rotating(&self) -> Result<&Rotating> {
        match &self.provider {
            Upstream::Rotating(rotating) => Ok(rotating),
            Upstream::OpenId(..) => bail!("this run has another provider"),
        }
    }

    /// Ends a machine and starts it again.
    pub(super) async fn restart(&self, machine: usize, ending: Ending) -> Result<()> {
        self.machines[machine].restart(ending).await
    }

    /// Ends the store's server.
    pub(super) async fn stop_redis(&self, ending: Ending) -> Result<()> {
        let mut redis = self.redis()?.lock().await;
        self.trouble_begins();
        end(redis.process(), ending).await
    }

    /// Starts it again on what it has written down.
    pub(super) async fn start_redis(&self) -> Result<()> {
        self.redis()?.lock().await.start_again().await?;
        self.trouble_ends();
        Ok(())
    }

    /// Kills the master, waits until the sentinels have made another one, and starts the killed one
    /// again, as a replica.
    pub(super) async fn kill_master(&self) -> Result<()> {
        let mut watched = self.watched()?.lock().await;
        self.trouble_begins();
        let master = watched.master().await?;
        watched.servers()[master].process().kill()?;
        watched.other_master(master).await?;
        watched.servers()[master].start_again().await?;
        self.trouble_ends();
        Ok(())
    }

    /// Has the sentinels exchange a master that works, as for maintenance, and waits until they have.
    pub(super) async fn exchange_master(&self) -> Result<()> {
        let watched = self.watched()?.lock().await;
        self.trouble_begins();
        let master = watched.master().await?;
        watched.exchange_master().await?;
        watched.other_master(master).await?;
        self.trouble_ends();
        Ok(())
    }

    pub(super) fn trouble_begins(&self) {
        *self.trouble() = Trouble::Now;
    }

    pub(super) fn trouble_ends(&self) {
        *self.trouble() = Trouble::Since(Instant::now());
    }

    /// Whether calls may be put off.
    pub(super) fn is_in_trouble(&self) -> bool {
        match *self.trouble() {
            Trouble::Never => false,
            Trouble::Now => true,
            Trouble::Since(end) => end.elapsed() < AFTERMATH,
        }
    }

    /// Leaves the logs where somebody asks for them.
    pub(super) async fn keep_logs(&self, run: &str) -> Result<()> {
        let Some(report) = size::report() else {
            return Ok(());
        };
        for (number, machine) in self.machines.iter().enumerate() {
            let name = format!("{}-{number}.log", run.replace([' ', ','], "-"));
            std::fs::write(
                report.with_file_name(name),
                machine.proxy.lock().await.log(),
            )?;
        }
        Ok(())
    }

    fn redis(&self) -> Result<&tokio::sync::Mutex<Redis>> {
        match &self.store {
            Store::Redis(redis) => Ok(redis),
            Store::Sentinels(_) | Store::Embedded => bail!("this run has another store"),
        }
    }

    fn watched(&self) -> Result<&tokio::sync::Mutex<Watched>> {
        match &self.store {
            Store::Sentinels(watched) => Ok(watched),
            Store::Redis(_) | Store::Embedded => bail!("this run has another store"),
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn end(process: &mut Process, ending: Ending) -> Result<()> {
    match ending {
        Ending::Killed => process.kill(),
        Ending::Asked => {
            process.terminate()?;
            process.exited(SOON).await?;
            Ok(())
        }
    }
}

/// Answers who a call was made for; a token that the provider does not honour is refused.
fn call_of(
    request: &Recorded,
    holder: &dyn Fn(&str) -> Option<String>,
    refused: &AtomicUsize,
) -> Answer {
    let bearer = request
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .map_or("", |(_, token)| token);
    let Some(subject) = holder(bearer) else {
        refused.fetch_add(1, Ordering::SeqCst);
        return Answer::status(401);
    };
    let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let result = json!({ "subject": subject });
    Answer::json(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

// === impl Machine ===

impl Machine {
    async fn start(builder: ProxyBuilder) -> Result<Self> {
        let proxy = builder.start().await?;
        Ok(Self {
            http: proxy.http()?,
            proxy: tokio::sync::Mutex::new(proxy),
            is_up: AtomicBool::new(true),
            blows: AtomicUsize::new(0),
            ends: Mutex::default(),
        })
    }

    /// How often it was ended.
    pub(super) fn blows(&self) -> usize {
        self.blows.load(Ordering::SeqCst)
    }

    /// Whether a connection may break that was used when it had been ended so often.
    pub(super) fn may_break(&self, blows: usize) -> bool {
        !self.is_up.load(Ordering::SeqCst) || self.blows() != blows
    }

    /// When its processes had ended.
    pub(super) fn ends(&self) -> Vec<Instant> {
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn restart(&self, ending: Ending) -> Result<()> {
        let mut proxy = self.proxy.lock().await;
        self.is_up.store(false, Ordering::SeqCst);
        self.blows.fetch_add(1, Ordering::SeqCst);
        end(proxy.process()?, ending).await?;
        let ended = Instant::now();
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ended);
        proxy.start_again()?;
        proxy.answering().await?;
        self.is_up.store(true, Ordering::SeqCst);
        Ok(())
    }
}

// === impl Store ===

impl Store {
    async fn start(kind: StoreKind) -> Result<Self> {
        Ok(match kind {
            StoreKind::Redis => Self::Redis(tokio::sync::Mutex::new(Redis::start().await?)),
            StoreKind::Sentinels => {
                let watched = Watched::start(1, 3, &[], "").await?;
                Self::Sentinels(tokio::sync::Mutex::new(watched))
            }
            StoreKind::Embedded => Self::Embedded,
        })
    }

    async fn url(&self) -> Option<String> {
        match self {
            Self::Redis(redis) => Some(redis.lock().await.url()),
            Self::Sentinels(watched) => Some(watched.lock().await.url()),
            Self::Embedded => None,
        }
    }
}

// === impl Upstream ===

impl Upstream {
    async fn start(identity: Identity, redirect_uri: String, witness: &Witness) -> Result<Self> {
        let reuse_window = match identity {
            Identity::Strict => Duration::ZERO,
            Identity::ReuseWindow => REUSE_WINDOW,
            Identity::OpenId => {
                let options = ProviderOptions {
                    redirect_uri,
                    access_ttl: ACCESS_TTL.as_secs(),
                    auth_method: "client_secret_basic",
                };
                let provider = Provider::start(&options, witness).await?;
                return Ok(Self::OpenId(Box::new(provider), watch::Sender::new(false)));
            }
        };
        let options = RotatingOptions {
            redirect_uri,
            access_ttl: ACCESS_TTL,
            reuse_window,
        };
        Ok(Self::Rotating(Rotating::start(options, witness).await?))
    }

    fn configure(&self, builder: ProxyBuilder, machine: usize) -> Result<ProxyBuilder> {
        Ok(match self {
            Self::OpenId(provider, _) => builder.provider(provider),
            Self::Rotating(provider) => {
                let file = provider.metadata_file(machine)?.display().to_string();
                builder
                    .env("IDENTITY_SERVER_METADATA_FILE", &file)
                    .env("IDENTITY_CLIENT_ID", CLIENT_ID)
                    .env("IDENTITY_CLIENT_SECRET", CLIENT_SECRET)
                    .env("IDENTITY_SCOPE", "global")
            }
        })
    }

    /// Whether a person's session has ended there, as far as it tells.
    pub(super) fn ended(&self, subject: &str) -> watch::Receiver<bool> {
        match self {
            Self::Rotating(provider) => provider.ended(subject),
            Self::OpenId(_, ended) => ended.subscribe(),
        }
    }

    /// The MCP server's answers name who a call was made for.
    pub(super) const fn is_asked_by_server(&self) -> bool {
        matches!(self, Self::Rotating(_))
    }
}
