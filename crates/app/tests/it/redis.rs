//! Sessions on a Redis server, which two proxies share.

mod losses;
mod several;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::{
    browser::Browser,
    client::{OAuthClient, REDIRECT_URI, Tokens, discover, endpoint},
    http::{Http, Reply},
    port::Port,
    redis::Redis,
    wait,
};

use crate::harness::{Proxy, SOON, Stage, ping};

/// A stage whose proxy keeps its sessions on a server, and a second proxy on the same.
pub(crate) struct Twins {
    pub(crate) first: Stage,
    pub(crate) second: Proxy,
    pub(crate) redis: Redis,
}

// === impl Twins ===

impl Twins {
    async fn open(access_ttl: u64) -> Result<Self> {
        Self::open_with(access_ttl, &[]).await
    }

    /// The same with further variables for both.
    pub(crate) async fn open_with(access_ttl: u64, variables: &[(&str, &str)]) -> Result<Self> {
        Self::on(Redis::start().await?, access_ttl, variables).await
    }

    async fn on(redis: Redis, access_ttl: u64, variables: &[(&str, &str)]) -> Result<Self> {
        let (first, second) = pair(&redis.url(), access_ttl, variables).await?;
        Ok(Self {
            first,
            second,
            redis,
        })
    }

    /// The way to the first proxy, and the way to the second.
    fn ways(&self) -> Result<[Http; 2]> {
        Ok([self.first.http()?, self.second.http()?])
    }

    /// Nothing that a client holds stands on the server.
    fn keeps_no_secret(&self) -> Result<()> {
        let found = self.first.witness.found_in(&self.redis.files()?);
        ensure!(self.first.witness.count() > 0, "no secret is known");
        ensure!(found.is_empty(), "secrets stand on the server: {found:?}");
        Ok(())
    }
}

/// A stage whose proxy keeps its sessions there, and a second proxy.
async fn pair(
    redis_url: &str,
    access_ttl: u64,
    variables: &[(&str, &str)],
) -> Result<(Stage, Proxy)> {
    let mut first = Stage::builder()?
        .env("MCP_AUTH_PROXY_REDIS_URL", redis_url)
        .access_ttl(access_ttl);
    for (name, value) in variables {
        first = first.env(name, value);
    }
    let first = first.open().await?;
    let public = first.proxy.url("")?;
    let mut second = Proxy::builder(&first.witness)?
        .serving(public.as_str().trim_end_matches('/'))?
        .env("MCP_AUTH_PROXY_REDIS_URL", redis_url)
        .server(first.recorder.url())
        .provider(&first.provider);
    for (name, value) in variables {
        second = second.env(name, value);
    }
    let second = second.start().await?;
    Ok((first, second))
}

#[tokio::test]
async fn two_proxies_serve_the_same_sessions() -> Result<()> {
    let twins = Twins::open(3600).await?;
    let [first, second] = twins.ways()?;
    let client = twins.first.client().await?;
    // Registered at the one, logged in at the other, and the other way round.
    let mut tokens = Vec::new();
    for (way, user) in [(&second, "alice"), (&first, "bob")] {
        let mut browser = Browser::new(way.clone(), REDIRECT_URI, twins.first.witness.clone());
        tokens.push(client.at(way).log_in(&mut browser, user).await?);
    }
    for way in [&first, &second] {
        for (tokens, user) in tokens.iter().zip(["alice", "bob"]) {
            let reply = client.at(way).call(&tokens.access, &ping()).await?;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(
                twins.first.subject_at_server().await?.as_deref(),
                Some(user)
            );
        }
    }
    // One set of keys for both.
    let metadata = discover(&first, &twins.first.mcp()?).await?;
    let jwks = endpoint(&metadata, "jwks_uri")?;
    let keys = Reply::to(first.get(&jwks)).await?.json()?;
    assert_eq!(keys, Reply::to(second.get(&jwks)).await?.json()?);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(3));
    twins.keeps_no_secret()
}

#[tokio::test]
async fn sixteen_refreshes_over_both_agree() -> Result<()> {
    let twins = Twins::open(3600).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    let ways = twins.ways()?;
    let racers = (0..16).map(|index: usize| {
        let (client, refresh) = (client.at(&ways[index % 2]), tokens.refresh.clone());
        tokio::spawn(async move { client.refresh(&refresh).await })
    });
    let mut line = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        line.push(Tokens::of(&racer.await??)?);
    }
    assert!(line.iter().all(|tokens| tokens.refresh == line[0].refresh));
    for way in &ways {
        let reply = client.at(way).call(&line[0].access, &ping()).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    Ok(())
}

/// The provider's refresh tokens rotate: one that is used twice ends the session there.
#[tokio::test]
async fn calls_over_both_outlive_identity_tokens_and_refresh_each_once() -> Result<()> {
    let twins = Twins::open(2).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    let ways = twins.ways()?;
    let began = Instant::now();
    let callers = (0..8).map(|index: usize| {
        let (client, access) = (client.at(&ways[index % 2]), tokens.access.clone());
        tokio::spawn(async move { call_for(&client, &access, Duration::from_secs(7)).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    // Each lives 2 s and is renewed 0.4 s ahead of its end.
    let most = began.elapsed().as_millis() / 1600 + 1;
    let refreshes = twins.first.control().refreshes().await?;
    assert!(refreshes >= 2, "{refreshes}");
    assert!(refreshes as u128 <= most, "{refreshes} of at most {most}");
    let refused = twins.first.control();
    assert_eq!(refused.token_requests("refresh_token", 400).await?, 0);
    Ok(())
}

async fn call_for(client: &OAuthClient, access: &str, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let reply = client.call(access, &ping()).await?;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_revoked_at_one_is_refused_by_the_other() -> Result<()> {
    let twins = Twins::open(3600).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    let [_, second] = twins.ways()?;
    let there = client.at(&second);
    assert_eq!(there.call(&tokens.access, &ping()).await?.status, 200);
    revoked_at(&twins.first, &client, &tokens).await?;
    refused_at(&there, &tokens).await
}

/// Revokes a session at the first proxy.
async fn revoked_at(first: &Stage, client: &OAuthClient, tokens: &Tokens) -> Result<()> {
    let way = first.http()?;
    let metadata = discover(&way, &first.mcp()?).await?;
    let form = [
        ("token", tokens.refresh.as_str()),
        ("client_id", client.id()),
    ];
    let revoked = way.post(&endpoint(&metadata, "revocation_endpoint")?);
    assert_eq!(Reply::to(revoked.form(&form)).await?.status, 200);
    Ok(())
}

/// Waits until a session is over at another proxy, which has to be soon.
async fn refused_at(there: &OAuthClient, tokens: &Tokens) -> Result<()> {
    let began = Instant::now();
    wait::until("the other to refuse", SOON, || async {
        let reply = there.call(&tokens.access, &ping()).await?;
        Ok((reply.status == 401).then_some(()))
    })
    .await?;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(
        there.refresh(&tokens.refresh).await?.error(),
        "invalid_grant"
    );
    Ok(())
}

#[tokio::test]
async fn sessions_go_on_while_the_server_is_away_and_after() -> Result<()> {
    let mut twins = Twins::open(3600).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    twins.redis.process().kill()?;

    let reply = client.call(&tokens.access, &ping()).await?;
    assert_eq!(reply.status, 200, "from memory: {}", reply.text());
    let refused = client.refresh(&tokens.refresh).await?;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.error(), "temporarily_unavailable");
    assert!(!refused.header("retry-after").is_empty());
    let readiness = twins.first.proxy.url("/readyz")?;
    let http = twins.first.http()?;
    assert_eq!(Reply::to(http.get(&readiness)).await?.status, 503);

    twins.redis.start_again().await?;
    wait::until("the proxy to be ready", SOON, || async {
        let reply = Reply::to(http.get(&readiness)).await?;
        Ok((reply.status == 200).then_some(()))
    })
    .await?;
    for way in twins.ways()? {
        let client = client.at(&way);
        assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
        Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    }
    twins.first.logged_in("bob").await?;
    Ok(())
}

#[tokio::test]
async fn killing_a_proxy_loses_nothing_and_the_other_goes_on() -> Result<()> {
    let mut twins = Twins::open(3600).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    let [_, second] = twins.ways()?;
    let rotated = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    twins.first.proxy.process()?.kill()?;
    let there = client.at(&second);
    assert_eq!(there.call(&rotated.access, &ping()).await?.status, 200);
    let again = Tokens::of(&there.refresh(&rotated.refresh).await?)?;
    twins.first.proxy.start_again()?;
    twins.first.proxy.answering().await?;
    assert_eq!(client.call(&again.access, &ping()).await?.status, 200);
    Tokens::of(&client.refresh(&again.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_looks_at_the_server_and_leaves_it_as_it_is() -> Result<()> {
    let redis = Redis::start().await?;
    let stage = Stage::open().await?;
    let mut rehearsal = Proxy::builder(&stage.witness)?
        .redis(&redis)
        .env("MCP_AUTH_PROXY_VERIFY_RELEASE", "true")
        .server(stage.recorder.url())
        .provider(&stage.provider)
        .spawn()?;
    let status = rehearsal.process()?.exited(SOON).await?;
    assert!(status.success(), "{}", rehearsal.log());
    assert!(rehearsal.log().contains("Verified release launches"));
    assert_eq!(redis.command(&["DBSIZE"]).await?, ":0\r\n");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_stops_the_start_with_what_to_do() -> Result<()> {
    let stage = Stage::open().await?;
    let port = Port::reserve()?;
    stage.witness.remember("the-password-of-redis");
    let url = format!("redis://:the-password-of-redis@127.0.0.1:{}", port.number());
    let mut proxy = Proxy::builder(&stage.witness)?
        .env("REDIS_URL", &url)
        .server(stage.recorder.url())
        .provider(&stage.provider)
        .spawn()?;
    let status = proxy.process()?.exited(SOON).await?;
    assert_eq!(status.code(), Some(1));
    let log = proxy.log();
    assert!(log.contains("does not answer"), "{log}");
    assert!(
        log.contains(&format!("127.0.0.1:{}", port.number())),
        "{log}"
    );
    Ok(())
}
