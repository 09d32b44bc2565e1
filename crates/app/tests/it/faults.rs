//! Sessions never die: real proxies under load, while one thing after another fails.
//!
//! In each run people log in, each with a client of their own; then each client calls over all
//! machines at once, again and again, and refreshes its own tokens now and then, while identity
//! tokens live two seconds at a provider that ends a session whose refresh token comes twice.
//! Meanwhile something is killed, stopped, restarted or hangs. What may happen is in
//! [`outcome::Outcome`].
//!
//! Sessions and time are parameters: short here, as long as wanted by `cargo xtask faults`.

mod fleet;
mod load;
mod outcome;
mod size;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use testkit::{
    client::{Tokens, endpoint},
    http::Reply,
    rotating::TokenFault,
    wait,
};
use tokio::time::{Instant, sleep};

use self::{
    fleet::{Ending, Fleet, Identity, Plan},
    load::Load,
    outcome::Outcome,
    size::Size,
};
use crate::harness::{SOON, ping};

/// A run: load over a fleet, and harm that is done to it until `end`.
async fn run(
    name: &str,
    plan: Plan,
    harm: impl AsyncFnOnce(&Fleet, Instant) -> Result<()>,
) -> Result<Outcome> {
    let size = Size::of_run();
    let fleet = Arc::new(Fleet::start(plan).await?);
    let load = Load::log_in(&fleet, size.sessions).await?;
    let end = Instant::now() + size.time;
    let calling = load.call_until(end);
    harm(&fleet, end).await?;
    calling.join_all().await;
    load.call_everywhere_once_more().await;
    let outcome = Outcome::of(name, size, &load, &fleet).await?;
    fleet.keep_logs(name).await?;
    Ok(outcome)
}

async fn no_harm(_: &Fleet, _: Instant) -> Result<()> {
    Ok(())
}

/// Ends one machine after another, and starts it again at once.
async fn each_in_turn(fleet: &Fleet, end: Instant, ending: Ending) -> Result<()> {
    let pause = Size::of_run().pause();
    for turn in 0.. {
        if Instant::now() + pause >= end {
            break;
        }
        sleep(pause).await;
        fleet.restart(turn % fleet.machines.len(), ending).await?;
    }
    Ok(())
}

/// The provider fails so for a third of the time.
async fn failing_provider(fleet: &Fleet, fault: TokenFault) -> Result<()> {
    let third = Size::of_run().time / 3;
    sleep(third / 4).await;
    fleet.trouble_begins();
    fleet.rotating()?.fail(fault);
    sleep(third).await;
    fleet.rotating()?.fail(TokenFault::None);
    fleet.trouble_ends();
    Ok(())
}

async fn failing_store(fleet: &Fleet, end: Instant, ending: Ending) -> Result<()> {
    let pause = Size::of_run().pause();
    while Instant::now() + pause < end {
        sleep(pause).await;
        fleet.stop_redis(ending).await?;
        fleet.start_redis().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_machines_ask_once_for_each_token_that_ends() -> Result<()> {
    let outcome = run("nothing fails", Plan::default(), no_harm).await?;
    outcome.nothing_is_lost()?;
    outcome.nothing_is_put_off()?;
    outcome.each_token_that_ends_is_renewed_once()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_machines_are_one_client_to_an_openid_provider() -> Result<()> {
    let plan = Plan {
        identity: Identity::OpenId,
        ..Plan::default()
    };
    let outcome = run("nothing fails, npm oidc-provider", plan, no_harm).await?;
    outcome.nothing_is_lost()?;
    outcome.nothing_is_put_off()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_no_session_but_one_whose_answer_died_with_it() -> Result<()> {
    let harm = async |fleet: &Fleet, end| each_in_turn(fleet, end, Ending::Killed).await;
    let outcome = run("proxies killed in turn", Plan::default(), harm).await?;
    outcome.nothing_else_is_lost()?;
    outcome.nothing_is_put_off()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_no_session_where_the_provider_has_a_reuse_window() -> Result<()> {
    let plan = Plan {
        identity: Identity::ReuseWindow,
        ..Plan::default()
    };
    let harm = async |fleet: &Fleet, end| each_in_turn(fleet, end, Ending::Killed).await;
    let outcome = run("proxies killed in turn, reuse window", plan, harm).await?;
    outcome.nothing_is_lost()?;
    outcome.nothing_is_put_off()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_no_session_on_the_embedded_store_but_one_whose_answer_died_with_it()
-> Result<()> {
    let harm = async |fleet: &Fleet, end| each_in_turn(fleet, end, Ending::Killed).await;
    let outcome = run("embedded store, proxy killed", Plan::embedded(), harm).await?;
    outcome.nothing_else_is_lost()?;
    outcome.nothing_is_put_off()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_no_session_on_the_embedded_store_with_a_reuse_window() -> Result<()> {
    let plan = Plan {
        identity: Identity::ReuseWindow,
        ..Plan::embedded()
    };
    let harm = async |fleet: &Fleet, end| each_in_turn(fleet, end, Ending::Killed).await;
    let outcome = run("embedded store, proxy killed, reuse window", plan, harm).await?;
    outcome.nothing_is_lost()?;
    outcome.nothing_is_put_off()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing() -> Result<()> {
    let harm = async |fleet: &Fleet, end| each_in_turn(fleet, end, Ending::Asked).await;
    let outcome = run("proxies stopped in turn", Plan::default(), harm).await?;
    outcome.nothing_is_lost()?;
    outcome.nothing_is_put_off()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, end| failing_store(fleet, end, Ending::Killed).await;
    let outcome = run("Redis killed", Plan::default(), harm).await?;
    outcome.nothing_is_lost()
}

/// Tokens that the provider has just rotated are kept until there is a store for them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stays_away_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, _| {
        let third = Size::of_run().time / 3;
        sleep(third).await;
        fleet.stop_redis(Ending::Killed).await?;
        sleep(third).await;
        fleet.start_redis().await
    };
    let outcome = run("Redis away", Plan::default(), harm).await?;
    outcome.nothing_is_lost()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_redis_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, end| failing_store(fleet, end, Ending::Asked).await;
    let outcome = run("Redis restarted", Plan::default(), harm).await?;
    outcome.nothing_is_lost()
}

/// Once; the next failover would wait for the copy of the server that came back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_after_a_kill_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, _| {
        sleep(Size::of_run().time / 3).await;
        fleet.kill_master().await
    };
    let outcome = run("master killed, failover", Plan::sentinels(), harm).await?;
    outcome.nothing_is_lost()
}

/// The old master takes writes until it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchanged_master_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, _| {
        sleep(Size::of_run().time / 3).await;
        fleet.exchange_master().await
    };
    let outcome = run("master exchanged", Plan::sentinels(), harm).await?;
    outcome.nothing_is_lost()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_hangs_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, _| failing_provider(fleet, TokenFault::Hangs).await;
    let outcome = run("provider hangs", Plan::default(), harm).await?;
    outcome.nothing_is_lost()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_with_faults_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, _| failing_provider(fleet, TokenFault::Answers(500)).await;
    let outcome = run("provider answers 500", Plan::default(), harm).await?;
    outcome.nothing_is_lost()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_wants_fewer_requests_ends_no_session() -> Result<()> {
    let harm = async |fleet: &Fleet, _| failing_provider(fleet, TokenFault::Answers(429)).await;
    let outcome = run("provider answers 429", Plan::default(), harm).await?;
    outcome.nothing_is_lost()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_uses_of_a_refresh_token_over_three_machines_agree() -> Result<()> {
    let fleet = Arc::new(Fleet::start(Plan::default()).await?);
    let load = Load::log_in(&fleet, 4).await?;
    for session in &load.sessions {
        let refresh = session.tokens().refresh;
        let racers: Vec<_> = (0..16)
            .map(|index| {
                let client = session.at(index % fleet.machines.len()).clone();
                let refresh = refresh.clone();
                tokio::spawn(async move { client.refresh(&refresh).await })
            })
            .collect();
        let mut line = Vec::new();
        for racer in racers {
            line.push(Tokens::of(&racer.await??)?);
        }
        ensure!(line.iter().all(|tokens| tokens.refresh == line[0].refresh));
        for (tokens, machine) in line.iter().zip((0..fleet.machines.len()).cycle().skip(1)) {
            let reply = session.at(machine).call(&tokens.access, &ping()).await?;
            ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_refused_by_every_machine() -> Result<()> {
    let fleet = Arc::new(Fleet::start(Plan::default()).await?);
    let load = Load::log_in(&fleet, 6).await?;
    let mut slowest = Duration::ZERO;
    for (turn, session) in load.sessions.iter().enumerate() {
        let tokens = session.tokens();
        // All have it in memory.
        for machine in 0..fleet.machines.len() {
            let reply = session.at(machine).call(&tokens.access, &ping()).await?;
            ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        }
        let here = session.at(turn % fleet.machines.len());
        let revocation = endpoint(&here.metadata, "revocation_endpoint")?;
        let form = [("token", tokens.refresh.as_str()), ("client_id", here.id())];
        let machine = &fleet.machines[turn % fleet.machines.len()];
        let revoked = Reply::to(machine.http.post(&revocation).form(&form)).await?;
        ensure!(revoked.status == 200, "{}", revoked.text());
        let answered = Instant::now();
        for machine in 0..fleet.machines.len() {
            wait::until("a refusal", SOON, || async {
                let reply = session.at(machine).call(&tokens.access, &ping()).await?;
                Ok((reply.status == 401).then_some(()))
            })
            .await?;
        }
        slowest = slowest.max(answered.elapsed());
    }
    outcome::note("an end reaches every machine", slowest)?;
    // Also where the announcement was lost.
    ensure!(slowest < Duration::from_secs(5), "{slowest:?}");
    Ok(())
}
