//! Sessions that move from the embedded store to a server and back.

use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::{
    client::{OAuthClient, Tokens, discover, endpoint},
    http::Reply,
    redis::Redis,
};

use crate::harness::{SOON, Stage, ping};

const URL: &str = "MCP_AUTH_PROXY_REDIS_URL";

/// A proxy and a server that its sessions may move to.
struct Mover {
    stage: Stage,
    redis: Redis,
}

// === impl Mover ===

impl Mover {
    async fn open() -> Result<Self> {
        Ok(Self {
            stage: Stage::open().await?,
            redis: Redis::start().await?,
        })
    }

    async fn stop(&mut self) -> Result<()> {
        let process = self.stage.proxy.process()?;
        process.terminate()?;
        process.exited(SOON).await?;
        Ok(())
    }

    async fn start_on_redis(&mut self) -> Result<()> {
        self.stage.proxy.reconfigure(URL, Some(&self.redis.url()));
        self.stage.proxy.start_again()?;
        self.stage.proxy.answering().await
    }

    async fn start_on_file(&mut self) -> Result<()> {
        self.stage.proxy.reconfigure(URL, None);
        self.stage.proxy.start_again()?;
        self.stage.proxy.answering().await
    }

    /// Runs a command to its end that knows both stores.
    fn run(&mut self, arguments: &[&str]) -> Result<(bool, String)> {
        self.stage.proxy.reconfigure(URL, Some(&self.redis.url()));
        Ok(said(&self.stage.proxy.run(arguments)?))
    }

    fn done(&mut self, arguments: &[&str]) -> Result<String> {
        let (done, text) = self.run(arguments)?;
        ensure!(done, "{text}");
        Ok(text)
    }

    /// A start that is refused says why.
    async fn refused_start(&mut self, redis: bool) -> Result<String> {
        let url = self.redis.url();
        self.stage.proxy.reconfigure(URL, redis.then_some(&url));
        let before = self.stage.proxy.log().len();
        self.stage.proxy.start_again()?;
        let status = self.stage.proxy.process()?.exited(SOON).await?;
        assert_eq!(status.code(), Some(1));
        Ok(self.stage.proxy.log().split_off(before))
    }

    async fn signing_keys(&self) -> Result<Value> {
        let metadata = discover(&self.stage.http()?, &self.stage.mcp()?).await?;
        let jwks = self.stage.http()?.get(&endpoint(&metadata, "jwks_uri")?);
        Reply::to(jwks).await?.json()
    }

    /// Who a call reaches the MCP server for.
    async fn caller(&self, client: &OAuthClient, tokens: &Tokens) -> Result<Option<String>> {
        let reply = client.call(&tokens.access, &ping()).await?;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        self.stage.subject_at_server().await
    }

    async fn revoke(&self, client: &OAuthClient, tokens: &Tokens) -> Result<()> {
        let metadata = discover(&self.stage.http()?, &self.stage.mcp()?).await?;
        let form = [
            ("token", tokens.refresh.as_str()),
            ("client_id", client.id()),
        ];
        let address = endpoint(&metadata, "revocation_endpoint")?;
        let reply = Reply::to(self.stage.http()?.post(&address).form(&form)).await?;
        ensure!(reply.status == 200, "{}", reply.text());
        Ok(())
    }
}

/// What a command said, and whether it did what it was asked.
fn said(output: &Output) -> (bool, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[tokio::test]
async fn clients_go_on_without_a_login_on_a_server_and_back() -> Result<()> {
    let mut mover = Mover::open().await?;
    let (client, alice) = mover.stage.logged_in("alice").await?;
    let bob = client.log_in(&mut mover.stage.browser()?, "bob").await?;
    let keys = mover.signing_keys().await?;
    mover.stop().await?;

    let text = mover.done(&["move", "--to", "redis"])?;
    assert!(text.contains("2  grants, ended ones included"), "{text}");
    assert!(text.contains("1  registered clients"), "{text}");
    mover.start_on_redis().await?;

    // The tokens they have, the keys that verifiers know, and a new generation.
    assert_eq!(
        mover.caller(&client, &alice).await?.as_deref(),
        Some("alice")
    );
    assert_eq!(mover.caller(&client, &bob).await?.as_deref(), Some("bob"));
    assert_eq!(mover.signing_keys().await?, keys);
    let rotated = Tokens::of(&client.refresh(&alice.refresh).await?)?;
    assert_eq!(
        mover.caller(&client, &rotated).await?.as_deref(),
        Some("alice")
    );
    mover.revoke(&client, &bob).await?;
    assert_eq!(client.call(&bob.access, &ping()).await?.status, 401);
    let (_, carol) = mover.stage.logged_in("carol").await?;
    let found = mover.stage.witness.found_in(&mover.redis.files()?);
    ensure!(found.is_empty(), "secrets stand on the server: {found:?}");

    mover.stop().await?;
    mover.done(&["move", "--to", "embedded"])?;
    mover.start_on_file().await?;

    assert_eq!(
        mover.caller(&client, &rotated).await?.as_deref(),
        Some("alice")
    );
    Tokens::of(&client.refresh(&rotated.refresh).await?)?;
    assert_eq!(mover.signing_keys().await?, keys);
    // Ended on the server: what the file held before the first move is forgotten.
    assert_eq!(client.call(&bob.access, &ping()).await?.status, 401);
    assert_eq!(client.refresh(&bob.refresh).await?.error(), "invalid_grant");
    assert_eq!(
        mover.caller(&client, &carol).await?.as_deref(),
        Some("carol")
    );
    client.log_in(&mut mover.stage.browser()?, "bob").await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_moved_from_under_a_running_proxy() -> Result<()> {
    let mut mover = Mover::open().await?;
    let (done, text) = mover.run(&["move", "--to", "redis"])?;
    assert!(
        !done && text.contains("in use by another process"),
        "{text}"
    );

    mover.stop().await?;
    mover.start_on_redis().await?;
    let (client, tokens) = mover.stage.logged_in("alice").await?;
    for to in ["embedded", "redis"] {
        let (done, text) = mover.run(&["move", "--to", to])?;
        assert!(
            !done && text.contains("proxies run on the server"),
            "{text}"
        );
        assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
    // Looking is allowed, and says what is to be stopped.
    let text = mover.done(&["move", "--to", "embedded", "--dry-run", "--overwrite"])?;
    assert!(text.contains("1  grants"), "{text}");
    assert!(text.contains("to be stopped before"), "{text}");
    assert_eq!(
        mover.caller(&client, &tokens).await?.as_deref(),
        Some("alice")
    );
    Ok(())
}

/// It could not say that it goes.
#[tokio::test]
async fn a_proxy_that_was_killed_is_waited_for() -> Result<()> {
    let mut mover = Mover::open().await?;
    mover.stop().await?;
    mover.start_on_redis().await?;
    let (client, alice) = mover.stage.logged_in("alice").await?;
    mover.stage.proxy.process()?.kill()?;
    // What it said of itself ends sooner than it would, so that the story does too.
    let names = mover.redis.command(&["KEYS", "oidc:v1:p:*"]).await?;
    let name = names.lines().find(|line| line.starts_with("oidc:"));
    let name = name.context("a process is known")?;
    mover.redis.command(&["PEXPIRE", name, "5000"]).await?;
    mover.done(&["move", "--to", "embedded"])?;
    mover.start_on_file().await?;
    let caller = mover.caller(&client, &alice).await?;
    assert_eq!(caller.as_deref(), Some("alice"));
    Ok(())
}

#[tokio::test]
async fn a_store_that_was_moved_lets_no_proxy_start_until_it_is_told_to() -> Result<()> {
    let mut mover = Mover::open().await?;
    let (client, alice) = mover.stage.logged_in("alice").await?;
    mover.stop().await?;

    let text = mover.done(&["move", "--to", "redis", "--dry-run"])?;
    assert!(text.contains("Nothing was changed"), "{text}");
    assert_eq!(mover.redis.command(&["DBSIZE"]).await?, ":0\r\n");
    mover.start_on_file().await?;
    assert_eq!(
        mover.caller(&client, &alice).await?.as_deref(),
        Some("alice")
    );
    mover.stop().await?;

    mover.done(&["move", "--to", "redis"])?;
    let again = mover.done(&["move", "--to", "redis"])?;
    assert!(again.contains("nothing is left to do"), "{again}");
    let log = mover.refused_start(false).await?;
    assert!(log.contains("were moved to redis://127.0.0.1"), "{log}");
    assert!(log.contains("move --unmark embedded"), "{log}");

    mover.done(&["move", "--unmark", "embedded"])?;
    mover.start_on_file().await?;
    assert_eq!(
        mover.caller(&client, &alice).await?.as_deref(),
        Some("alice")
    );
    mover.stop().await?;

    // Both have sessions now: which ones shall be forgotten is not for us to say.
    let (done, text) = mover.run(&["move", "--to", "redis"])?;
    assert!(!done && text.contains("holds sessions already"), "{text}");
    mover.done(&["move", "--to", "redis", "--overwrite"])?;
    mover.start_on_redis().await?;
    assert_eq!(
        mover.caller(&client, &alice).await?.as_deref(),
        Some("alice")
    );
    Ok(())
}

#[tokio::test]
async fn a_half_filled_server_lets_no_proxy_start_and_can_be_filled_anew() -> Result<()> {
    let mut mover = Mover::open().await?;
    let (client, alice) = mover.stage.logged_in("alice").await?;
    mover.stop().await?;
    // As an interrupted move leaves it.
    let mark = "arriving 0123456789abcdef0123456789abcdef 1700000000 the embedded store /gone";
    mover.redis.command(&["SET", "oidc:v1:move", mark]).await?;
    let ghost = "oidc:v1:x:{00000000000000000000000000000000000000000000000000000000000000ff}";
    mover
        .redis
        .command(&["SET", ghost, "12345678", "EX", "600"])
        .await?;
    let log = mover.refused_start(true).await?;
    assert!(log.contains("holds only part of the sessions"), "{log}");
    assert!(log.contains("move --to redis"), "{log}");

    mover.done(&["move", "--to", "redis"])?;
    assert_eq!(mover.redis.command(&["EXISTS", ghost]).await?, ":0\r\n");
    mover.start_on_redis().await?;
    assert_eq!(
        mover.caller(&client, &alice).await?.as_deref(),
        Some("alice")
    );
    Ok(())
}
