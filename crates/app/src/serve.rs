//! The life of the process: started in order, watched, drained, stopped; nothing left behind.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use store::redis::RedisStore;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, timeout_at},
};

use crate::{
    config::Config,
    control::{Answers, ControlSocket, Status},
    listener::{Listeners, Serving},
    memory::{Held, Memory},
    seams::Seams,
    servers::{self, McpServers},
    signing_keys::KeyKeeper,
    wire::{self, Proxy},
};

/// The fraction of the drain that is kept for stopping the MCP servers: a fifth.
const STOP_SHARE: u32 = 5;

/// Everything that runs.
struct Running {
    proxy: Proxy,
    serving: Serving,
    servers: McpServers,
    seams: Seams,
    shared: Option<Arc<RedisStore>>,
}

/// The signals that ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// Why serving ends.
enum End {
    /// A signal asked for it.
    Signal(&'static str),
    /// An MCP server of ours has ended, with this exit code for us.
    McpServer(u8),
}

/// Serves until a signal or the end of an MCP server; returns the process's exit code. `announce`
/// is called once requests are answered.
///
/// # Errors
/// If something that is needed cannot be started; what was started is stopped again.
pub(crate) async fn serve(config: &Config, announce: impl FnOnce()) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let mut running = tokio::select! {
        started = start(config) => started?,
        // What is half started stops as it is dropped.
        name = signals.next() => {
            tracing::info!("{name} while starting: stopping");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let looking = servers::look_for(servers::elsewhere(config));
    if config.verify_release {
        looking.await;
        tracing::info!("Verified release launches. Exit status 0.");
        running.stop(config).await;
        return Ok(ExitCode::SUCCESS);
    }
    say_where(config);
    announce();
    running.in_background(looking);
    let end = tokio::select! {
        name = signals.next() => End::Signal(name),
        code = running.servers.first_exit() => End::McpServer(code),
    };
    let code = match end {
        End::Signal(name) => {
            tracing::info!("{name}: no new connections, open requests may finish");
            ExitCode::SUCCESS
        }
        End::McpServer(code) => {
            tracing::error!("the MCP server has ended; stopping with its exit code {code}");
            ExitCode::from(code)
        }
    };
    tokio::select! {
        () = running.stop(config) => {}
        name = signals.next() => tracing::warn!("{name} again: stopping at once"),
    }
    Ok(code)
}

/// Opens the store, starts the MCP servers, connects to the identity providers, listens: in this
/// order, so that a router finds us only once we can answer.
async fn start(config: &Config) -> Result<Running> {
    let seams = Seams::real();
    let memory = if config.verify_release {
        Memory::rehearse(config, &seams).await?
    } else {
        Memory::open(config, &seams).await?
    };
    if let Some(held) = &memory.held {
        answer_commands(config, held, &memory.keys, &seams).await;
    }
    let servers = McpServers::start(config).await?;
    let answering = async {
        let providers = wire::connect_providers(config, memory.keys.ring(), &seams).await?;
        let proxy = wire::assemble(config, &memory, &providers, &seams)?;
        let listeners = Listeners::bind(&config.listen)?;
        tracing::info!("listening at {}", listeners.addresses());
        memory.keep_keys()?;
        let serving = listeners.serve(&proxy.edge);
        anyhow::Ok((proxy, serving))
    };
    match answering.await {
        Ok((proxy, serving)) => {
            let running = Running {
                proxy,
                serving,
                servers,
                seams,
                shared: memory.shared,
            };
            if let Some(in_step) = memory.in_step {
                running.in_background(in_step.keep());
            }
            Ok(running)
        }
        Err(error) => {
            servers.stop(config.drain).await;
            Err(error)
        }
    }
}

/// Answers commands that concern a running proxy. Serving does not depend on it.
async fn answer_commands(config: &Config, held: &Held, keys: &Arc<KeyKeeper>, seams: &Seams) {
    let status = Status::of_this_process(
        config.base_url.issuer(),
        config.mcp_urls(),
        seams.clock.now(),
    );
    let answers = Answers {
        status,
        keys: Arc::clone(keys),
        store: Arc::clone(&held.store),
    };
    match ControlSocket::open(&held.directory, answers).await {
        Ok(socket) => {
            seams.tasks.spawn(socket.serve(seams.closing.clone()));
        }
        Err(error) => tracing::warn!(
            "commands such as `mcp-auth-proxy status` will not find this proxy: {error:#}"
        ),
    }
}

fn say_where(config: &Config) {
    for url in config.mcp_urls() {
        tracing::info!("MCP URL: {url}");
    }
    tracing::info!("issuer: {}", config.base_url.issuer());
    if config.has_upstream_provider() {
        tracing::info!(
            "redirect URI to register at the identity provider: {}",
            config.redirect_uri()
        );
    }
}

// === impl Running ===

impl Running {
    /// Does something beside serving, at most until the end.
    fn in_background(&self, doing: impl Future<Output = ()> + Send + 'static) {
        let closing = self.seams.closing.clone();
        self.seams.tasks.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = doing => {}
            }
        });
    }

    /// Open requests finish, event streams end, refreshes are stored, the MCP servers stop; all
    /// within the configured bound.
    async fn stop(self, config: &Config) {
        let end = Instant::now() + config.drain;
        self.proxy.health.drain();
        self.seams.closing.cancel();
        let requests_end = config.drain.saturating_sub(config.drain / STOP_SHARE);
        if !self.serving.drain(requests_end).await {
            tracing::warn!("not all requests finished in time; they are cut");
        }
        self.servers
            .stop(end.saturating_duration_since(Instant::now()))
            .await;
        self.seams.tasks.close();
        if timeout_at(end, self.seams.tasks.wait()).await.is_err() {
            tracing::warn!("a refresh of an identity token was still under way at the end");
        }
        if let Some(shared) = &self.shared {
            // One that is not told forgets us in half a minute.
            let _ = timeout_at(end, shared.say_goodbye()).await;
        }
        tracing::info!("stopped");
    }
}

// === impl Signals ===

impl Signals {
    fn listen() -> Result<Self> {
        let of = |kind| signal(kind).context("signals cannot be listened for");
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
