//! `mcp-auth-proxy move`: the sessions from the embedded store to Redis, or back.

mod keys;
mod report;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use domain::time::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};
use store::{
    embedded::EmbeddedStore,
    records::{Begun, MoveId, MoveState, NotMoved, Records, Transfer, TransferOptions, abandon},
    redis::{Process, RedisStore},
};
use tokio::time::{Instant, sleep};

use crate::{
    cli::{MoveArguments, MoveTask, Side},
    config::{self, MoveConfig},
    control::span,
    env::Environment,
    memory::{self, STORE_FILE},
    seams::Seams,
};

/// How long what a process says of itself outlives it.
const PROCESS_LIFE: Duration = Duration::from_secs(35);

/// Long enough that a process that runs is heard of again.
const PAUSE: Duration = Duration::from_secs(4);

/// Does what was asked and returns what to print.
///
/// # Errors
/// If it cannot be done; the sessions then are where they were.
pub(crate) async fn command(
    arguments: &MoveArguments,
    environment: &Environment,
    seams: &Seams,
) -> Result<String> {
    let config = config::load_move(&arguments.flags, environment)?;
    match arguments.task {
        MoveTask::Unmark(side) => unmark(side, &config, seams).await,
        MoveTask::Move {
            to,
            dry_run: true,
            overwrite,
        } => try_out(to, overwrite, &config, seams).await,
        MoveTask::Move {
            to,
            dry_run: false,
            overwrite,
        } => move_all(to, overwrite, &config, seams).await,
    }
}

/// Refuses a store that was moved away, or is only half filled.
///
/// # Errors
/// If it is, with what to do.
pub(crate) async fn refuse_marked(store: &dyn Records, side: Side, now: Timestamp) -> Result<()> {
    let Some(mark) = store.move_mark().await? else {
        return Ok(());
    };
    let (place, other, ago) = (store.place(), &mark.place, span(now.since(mark.at)));
    let side_name = side.as_str();
    let back = other_side(side).as_str();
    let elsewhere = match side {
        Side::Embedded => "set MCP_AUTH_PROXY_REDIS_URL to it",
        Side::Redis => "take MCP_AUTH_PROXY_REDIS_URL and REDIS_URL away",
    };
    match mark.state {
        MoveState::Away => bail!(
            "the sessions of {place} were moved to {other} {ago} ago: {elsewhere}, or move them \
             back with `mcp-auth-proxy move --to {side_name}`. To use this store as it was then: \
             `mcp-auth-proxy move --unmark {side_name}`"
        ),
        MoveState::Arriving => bail!(
            "{place} holds only part of the sessions: a move from {other}, begun {ago} ago, has \
             not ended. Run `mcp-auth-proxy move --to {side_name}` again, or use {back}, where all \
             of them still are. To use this store without them: `mcp-auth-proxy move --unmark \
             {side_name}`"
        ),
    }
}

async fn move_all(to: Side, overwrite: bool, config: &MoveConfig, seams: &Seams) -> Result<String> {
    let redis = connect(config, seams).await?;
    wait_until_alone(&redis).await?;
    let embedded = match to {
        Side::Redis => open_there(config, seams)?.with_context(|| nothing_there(config))?,
        Side::Embedded => make(config, seams)?,
    };
    let (source, target): (&dyn Records, &dyn Records) = match to {
        Side::Redis => (&embedded, &redis),
        Side::Embedded => (&redis, &embedded),
    };
    let options = TransferOptions {
        id: MoveId(seams.random.bytes()),
        now: seams.clock.now(),
        overwrite,
    };
    let begun = Transfer::begin(source, target, options).await;
    let transfer = match begun.map_err(|error| hint(error, to))? {
        Begun::Ready(transfer) => transfer,
        Begun::Before(mark) => return Ok(report::before(source, &mark, to, seams.clock.now())),
    };
    let bar = progress(source).await?;
    let counted = transfer.copy(|count| bar.set_position(count)).await?;
    bar.finish_and_clear();
    let keys = keys::carry(to, config, &redis, seams).await?;
    // A proxy that was started meanwhile has a session or two that were not copied.
    refuse_running(&redis.processes().await?)?;
    transfer.mark_source().await?;
    let running = redis.processes().await?;
    if !running.is_empty() {
        transfer.unmark_source().await?;
        refuse_running(&running)?;
    }
    transfer.release_target().await?;
    Ok(report::moved(source, target, &counted, keys, to))
}

async fn try_out(to: Side, overwrite: bool, config: &MoveConfig, seams: &Seams) -> Result<String> {
    let redis = connect(config, seams).await?;
    let embedded = open_there(config, seams)?;
    let embedded = embedded.as_ref().map(|store| store as &dyn Records);
    let (source, target): (&dyn Records, Option<&dyn Records>) = match to {
        Side::Redis => {
            let source = embedded.with_context(|| nothing_there(config))?;
            (source, Some(&redis))
        }
        Side::Embedded => (&redis, embedded),
    };
    let looked = Transfer::look(source, target, overwrite).await;
    if let Some(mark) = looked.map_err(|error| hint(error, to))? {
        return Ok(report::before(source, &mark, to, seams.clock.now()));
    }
    let bar = progress(source).await?;
    let counted = Transfer::count(source, |count| bar.set_position(count)).await?;
    bar.finish_and_clear();
    let target = target.map_or_else(
        || format!("the embedded store {}", file(config).display()),
        Records::place,
    );
    let keys = keys::look(to, config, &redis).await?;
    Ok(report::tried(
        source,
        &target,
        &counted,
        keys,
        &redis.processes().await?,
    ))
}

async fn unmark(side: Side, config: &MoveConfig, seams: &Seams) -> Result<String> {
    let (place, mark) = match side {
        Side::Embedded => {
            let store = open_there(config, seams)?.with_context(|| nothing_there(config))?;
            (store.place(), abandon(&store).await?)
        }
        Side::Redis => {
            let store = connect(config, seams).await?;
            (store.place(), abandon(&store).await?)
        }
    };
    Ok(report::unmarked(&place, mark.as_ref()))
}

async fn connect(config: &MoveConfig, seams: &Seams) -> Result<RedisStore> {
    let Some(redis) = &config.redis else {
        bail!(
            "which server? Set MCP_AUTH_PROXY_REDIS_URL for this command, also where the sessions \
             go from there to the embedded store"
        );
    };
    memory::connect(&config.serving, redis, seams).await
}

/// The embedded store, if there is one.
fn open_there(config: &MoveConfig, seams: &Seams) -> Result<Option<EmbeddedStore>> {
    let path = file(config);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(EmbeddedStore::open(&path, Arc::clone(&seams.clock))?))
}

fn make(config: &MoveConfig, seams: &Seams) -> Result<EmbeddedStore> {
    memory::make_private_directory(&config.directory)?;
    Ok(EmbeddedStore::open(
        &file(config),
        Arc::clone(&seams.clock),
    )?)
}

fn file(config: &MoveConfig) -> PathBuf {
    config.directory.join(STORE_FILE)
}

fn nothing_there(config: &MoveConfig) -> String {
    format!(
        "there is no store in {}; if the proxy keeps it elsewhere, set MCP_AUTH_PROXY_DATA_DIR to \
         that",
        config.directory.display()
    )
}

/// What was killed is taken to run for a while; what runs is heard of again and again.
async fn wait_until_alone(redis: &RedisStore) -> Result<()> {
    let mut known = redis.processes().await?;
    let end = Instant::now() + PROCESS_LIFE;
    let waiting = ProgressBar::new_spinner();
    while !known.is_empty() && Instant::now() < end {
        waiting.set_message("waiting whether processes that were heard of a moment ago have ended");
        waiting.tick();
        sleep(PAUSE).await;
        let heard = redis.processes().await?;
        let is_running = |process: &Process| {
            let before = known.iter().find(|before| before.name == process.name);
            before.is_none_or(|before| process.life > before.life)
        };
        let running = heard.iter().filter(|&process| is_running(process));
        refuse_running(&running.cloned().collect::<Vec<_>>())?;
        known = heard;
    }
    waiting.finish_and_clear();
    refuse_running(&known)
}

fn refuse_running(processes: &[Process]) -> Result<()> {
    if processes.is_empty() {
        return Ok(());
    }
    bail!(
        "proxies run on the server: {}. Stop them all and run this again; nothing counts as moved",
        report::names(processes)
    )
}

/// What to do about it.
fn hint(error: NotMoved, to: Side) -> anyhow::Error {
    let from = other_side(to).as_str();
    let hint = match &error {
        NotMoved::Elsewhere { .. } => format!(
            "move them from there; or, to move them as they were then, first take the mark off \
             with `mcp-auth-proxy move --unmark {from}`"
        ),
        NotMoved::Occupied { .. } => match to {
            Side::Redis => {
                "say --overwrite to forget those, or set MCP_AUTH_PROXY_REDIS_PREFIX to \
                            another name"
                    .to_owned()
            }
            Side::Embedded => "say --overwrite to forget those, or set MCP_AUTH_PROXY_DATA_DIR to \
                               another directory"
                .to_owned(),
        },
        NotMoved::Incomplete { .. } | NotMoved::Overtaken { .. } | NotMoved::Unavailable { .. } => {
            return error.into();
        }
    };
    anyhow::anyhow!("{error}: {hint}")
}

/// Shown only to a terminal.
async fn progress(source: &dyn Records) -> Result<ProgressBar> {
    let bar = ProgressBar::new(source.estimate().await?);
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of about {human_len} records")?;
    Ok(bar.with_style(style))
}

const fn other_side(side: Side) -> Side {
    match side {
        Side::Embedded => Side::Redis,
        Side::Redis => Side::Embedded,
    }
}
