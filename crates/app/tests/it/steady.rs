//! What calls of live sessions cost a server that several machines share: nothing.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use testkit::{
    client::{OAuthClient, Tokens},
    redis::Redis,
    wait,
};

use crate::harness::{SOON, Stage, ping};

const SESSIONS: usize = 20;

/// Calls of all sessions in one measurement.
const CALLS: usize = 5000;

/// Beats in one measurement: longer than memory counts without a confirmation.
const BEATS: u64 = 4;

/// A machine that stands still for seconds hears no beat in time, and then has to look.
const TRIES: usize = 3;

/// A server's count of commands, by their name.
#[derive(Debug)]
struct Commands(BTreeMap<String, u64>);

/// What was counted over calls.
#[derive(Debug)]
struct Measured {
    calls: usize,
    took: Duration,
    beats: u64,
    /// All but beats, and what counting takes.
    others: BTreeMap<String, u64>,
}

// === impl Commands ===

impl Commands {
    async fn of(redis: &Redis) -> Result<Self> {
        let stats = redis.command(&["INFO", "commandstats"]).await?;
        let counts: BTreeMap<_, _> = stats
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
                Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
            })
            .collect();
        ensure!(counts.contains_key("set"), "{stats}");
        Ok(Self(counts))
    }

    /// Each beat is one.
    fn beats(&self) -> u64 {
        self.0.get("set").copied().unwrap_or_default()
    }

    fn others(&self) -> BTreeMap<String, u64> {
        let counted = self.0.iter();
        counted
            .filter(|(name, _)| !matches!(name.as_str(), "set" | "info"))
            .map(|(name, count)| (name.clone(), *count))
            .collect()
    }

    fn others_since(&self, before: &Self) -> BTreeMap<String, u64> {
        let mut others = self.others();
        for (name, count) in &mut others {
            *count -= before.0.get(name).copied().unwrap_or_default();
        }
        others.retain(|_, count| *count > 0);
        others
    }
}

// === impl Measured ===

impl Measured {
    /// Calls a second.
    fn rate(&self) -> u128 {
        self.calls as u128 * 1000 / self.took.as_millis().max(1)
    }
}

/// Waits until all that a first call of a session notes has been noted.
async fn quiet(redis: &Redis) -> Result<()> {
    let known = RefCell::new(Commands::of(redis).await?);
    wait::until("the proxy to have noted what it saw", SOON, || async {
        let now = Commands::of(redis).await?;
        if now.others() != known.borrow().others() {
            known.replace(now);
            return Ok(None);
        }
        Ok((now.beats() >= known.borrow().beats() + 2).then_some(()))
    })
    .await
}

/// Each session calls until there are enough calls and beats in sum.
async fn measure(
    redis: &Redis,
    client: &Arc<OAuthClient>,
    sessions: &[Tokens],
) -> Result<Measured> {
    let before = Commands::of(redis).await?;
    let began = Instant::now();
    let (calls, is_over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let callers: Vec<_> = sessions
        .iter()
        .map(|tokens| {
            let (client, access) = (Arc::clone(client), tokens.access.clone());
            let (calls, is_over) = (Arc::clone(&calls), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    let reply = client.call(&access, &ping()).await?;
                    ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
                    calls.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            })
        })
        .collect();
    wait::until("enough calls", 6 * SOON, || async {
        let now = Commands::of(redis).await?;
        let is_enough =
            calls.load(Ordering::SeqCst) >= CALLS && now.beats() >= before.beats() + BEATS;
        Ok(is_enough.then_some(()))
    })
    .await?;
    is_over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await??;
    }
    let (took, after) = (began.elapsed(), Commands::of(redis).await?);
    Ok(Measured {
        calls: calls.load(Ordering::SeqCst),
        took,
        beats: after.beats() - before.beats(),
        others: after.others_since(&before),
    })
}

#[tokio::test]
async fn calls_of_live_sessions_ask_the_server_nothing() -> Result<()> {
    let redis = Redis::start().await?;
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_REDIS_URL", &redis.url())
        .env("LOG_LEVEL", "info")
        .open()
        .await?;
    let client = Arc::new(stage.client().await?);
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let user = format!("user{number}");
        sessions.push(client.log_in(&mut stage.browser()?, &user).await?);
    }
    for tokens in &sessions {
        assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    }
    quiet(&redis).await?;

    let mut measured = Vec::new();
    while measured.len() < TRIES {
        let run = measure(&redis, &client, &sessions).await?;
        eprintln!("{} calls a second: {run:?}", run.rate());
        // A beat every two seconds, and one on each side.
        let most = run.took.as_secs() / 2 + 2;
        ensure!(run.beats <= most, "more beats than {most}: {run:?}");
        if run.others.is_empty() {
            // What is left does not depend on the calls: at 500 a second they are so many.
            let calls_of_a_busy_proxy = 500 * run.took.as_secs();
            ensure!(run.beats * 100 < calls_of_a_busy_proxy, "{run:?}");
            return Ok(());
        }
        measured.push(run);
    }
    Err(anyhow::anyhow!("{measured:?}")).context("calls of live sessions ask the server")
}
