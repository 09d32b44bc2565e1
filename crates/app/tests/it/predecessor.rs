//! Users of the Node.js predecessor go on: what it left in its Redis is filled in by the library that
//! it was built on, with identity tokens of a real login.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::{
    browser::Browser,
    client::{OAuthClient, REDIRECT_URI, Tokens, endpoint},
    http::Reply,
    predecessor::{Filled, Predecessor, identity_of},
    process::Process,
    provider::{Provider, ProviderOptions},
    recorder::Recorder,
    redis::Redis,
    wait,
    witness::Witness,
};

use crate::harness::{Proxy, ProxyBuilder, SOON, ping};

/// The predecessor and all around it, and the proxy that is to follow it.
struct Succession {
    old: Predecessor,
    redis: Redis,
    provider: Provider,
    recorder: Recorder,
    witness: Witness,
    next: ProxyBuilder,
}

/// The proxy that followed.
struct Followed {
    proxy: Proxy,
    provider: Provider,
    recorder: Recorder,
    redis: Redis,
    old: Predecessor,
    witness: Witness,
}

// === impl Succession ===

impl Succession {
    async fn begin() -> Result<Self> {
        let witness = Witness::default();
        let redis = Redis::start().await?;
        let recorder = Recorder::start().await?;
        let next = Proxy::builder(&witness)?;
        let options = ProviderOptions {
            redirect_uri: next.redirect_uri(),
            access_ttl: 3600,
            auth_method: "client_secret_basic",
        };
        let provider = Provider::start(&options, &witness).await?;
        let next = next.server(recorder.url()).provider(&provider);
        Ok(Self {
            old: Predecessor::start(&redis, &witness).await?,
            redis,
            provider,
            recorder,
            witness,
            next,
        })
    }

    /// A person logs in through a client of the predecessor.
    async fn log_in(&self, registration: &Value, user: &str) -> Result<Tokens> {
        let callback = self.next.redirect_uri();
        let identity = identity_of(&self.provider, &callback, user, &self.witness).await?;
        self.old.log_in(registration, &identity).await
    }

    /// The binary is swapped, and nothing else.
    async fn follow(mut self) -> Result<Followed> {
        self.next = self.next.redis(&self.redis);
        self.start().await
    }

    async fn start(self) -> Result<Followed> {
        Ok(Followed {
            proxy: self.next.start().await?,
            provider: self.provider,
            recorder: self.recorder,
            redis: self.redis,
            old: self.old,
            witness: self.witness,
        })
    }

    /// Runs the import, and returns what it says.
    fn import(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [&["import-predecessor", "--json"], arguments].concat();
        let output = self.next.run(&arguments)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{errors}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    async fn keys(&self) -> Result<String> {
        self.redis.command(&["DBSIZE"]).await
    }
}

// === impl Followed ===

impl Followed {
    /// A client that knows only what the predecessor told it.
    async fn client(&self, registration: &Value) -> Result<OAuthClient> {
        let mcp = self.proxy.url("/mcp")?;
        OAuthClient::known(&self.proxy.http()?, &mcp, &self.witness, registration).await
    }

    /// Whom a call is made for.
    async fn calls(&self, client: &OAuthClient, access: &str) -> Result<String> {
        let reply = client.call(access, &ping()).await?;
        ensure!(reply.status == 200, "{}: {}", reply.status, reply.text());
        let last = self.recorder.last().context("the server was called")?;
        let header = last.headers.get("authorization").context("a token")?;
        let (_, token) = header.to_str()?.split_once(' ').context("a scheme")?;
        let subject = self.provider.control().subject_of(token).await?;
        subject.context("a token of the provider")
    }

    /// Nothing that a client holds stands in a record of ours.
    async fn keeps_no_secret(&self) -> Result<()> {
        let script = "local all = {}
            for _, key in ipairs(redis.call('KEYS', 'oidc:v1:*')) do
                if redis.call('TYPE', key).ok == 'string' then
                    all[#all + 1] = key .. redis.call('GET', key)
                end
            end
            return table.concat(all)";
        let records = self.redis.command(&["EVAL", script, "0"]).await?;
        ensure!(records.contains("oidc:v1:m:"), "{records}");
        let found = self.witness.found_in(records.as_bytes());
        ensure!(found.is_empty(), "secrets stand on the server: {found:?}");
        Ok(())
    }

    async fn is_refused(&self, client: &OAuthClient, access: &str) -> Result<bool> {
        Ok(client.call(access, &ping()).await?.status == 401)
    }
}

#[tokio::test]
async fn users_of_the_predecessor_go_on_without_a_login() -> Result<()> {
    let succession = Succession::begin().await?;
    let registration = succession.old.register("An old client").await?;
    let tokens = succession.log_in(&registration, "alice").await?;
    let followed = succession.follow().await?;
    let client = followed.client(&registration).await?;

    for _ in 0..3 {
        assert_eq!(followed.calls(&client, &tokens.access).await?, "alice");
    }
    let last = followed.recorder.last().context("the server was called")?;
    let header = |name: &str| last.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("x-dynamic-client-id"), Some(client.id()));
    assert_eq!(
        header("x-authorization-scope"),
        Some("openid profile email")
    );

    let first = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(followed.calls(&client, &first.access).await?, "alice");
    // The answer was lost; and a sibling that has not heard of it.
    let again = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(again.refresh, first.refresh);
    let second = Tokens::of(&client.refresh(&first.refresh).await?)?;
    for access in [&tokens.access, &first.access, &second.access] {
        assert_eq!(followed.calls(&client, access).await?, "alice");
    }
    // The identity was renewed once, for all of them; nobody logged in.
    let control = followed.provider.control();
    assert_eq!(control.refreshes().await?, 1);
    assert_eq!(control.token_requests("authorization_code", 200).await?, 1);
    followed.keeps_no_secret().await?;

    // Revoked by the oldest token, all of it ends.
    let revocation = endpoint(&client.metadata, "revocation_endpoint")?;
    let form = [
        ("token", tokens.refresh.as_str()),
        ("client_id", client.id()),
    ];
    let revoked = followed.proxy.http()?.post(&revocation).form(&form);
    assert_eq!(Reply::to(revoked).await?.status, 200);
    for access in [&tokens.access, &second.access] {
        assert!(followed.is_refused(&client, access).await?);
    }
    let ended = client.refresh(&tokens.refresh).await?;
    assert_eq!(ended.error(), "invalid_grant");
    Ok(())
}

#[tokio::test]
async fn two_users_of_one_client_are_kept_apart_from_then_on() -> Result<()> {
    let succession = Succession::begin().await?;
    let registration = succession.old.register("A client for all").await?;
    let alice = succession.log_in(&registration, "alice").await?;
    // At the predecessor this login took alice's place.
    let bob = succession.log_in(&registration, "bob").await?;
    let followed = succession.follow().await?;
    let client = followed.client(&registration).await?;

    assert!(followed.is_refused(&client, &alice.access).await?);
    let refused = client.refresh(&alice.refresh).await?;
    assert_eq!(refused.error(), "invalid_grant");
    assert_eq!(followed.calls(&client, &bob.access).await?, "bob");
    let bob = Tokens::of(&client.refresh(&bob.refresh).await?)?;

    // She logs in once more, through the client that the predecessor registered.
    let http = followed.proxy.http()?;
    let mut browser = Browser::new(http, REDIRECT_URI, followed.witness.clone());
    let alice = client.log_in(&mut browser, "alice").await?;
    for _ in 0..2 {
        assert_eq!(followed.calls(&client, &alice.access).await?, "alice");
        assert_eq!(followed.calls(&client, &bob.access).await?, "bob");
    }
    Tokens::of(&client.refresh(&alice.refresh).await?)?;
    assert_eq!(followed.calls(&client, &bob.access).await?, "bob");
    Ok(())
}

/// As while one release replaces the other: requests reach either.
#[tokio::test]
async fn old_and_new_may_overlap() -> Result<()> {
    let succession = Succession::begin().await?;
    let registration = succession.old.register("An old client").await?;
    let followed = succession.follow().await?;
    let client = followed.client(&registration).await?;
    // A login at the old one, after the new one began.
    let callback = format!("{}/interaction/identity/callback", origin(&followed)?);
    let identity = identity_of(&followed.provider, &callback, "alice", &followed.witness).await?;
    let first = followed.old.log_in(&registration, &identity).await?;
    // Refreshed there, and used here.
    let second = followed.old.refresh(&registration, &first.refresh).await?;
    assert_eq!(followed.calls(&client, &second.access).await?, "alice");
    // A sibling holds the token that was replaced there a moment ago.
    let sibling = Tokens::of(&client.refresh(&first.refresh).await?)?;
    let third = Tokens::of(&client.refresh(&second.refresh).await?)?;
    assert_eq!(sibling.refresh, third.refresh);
    assert_eq!(followed.calls(&client, &third.access).await?, "alice");
    assert_eq!(followed.calls(&client, &first.access).await?, "alice");
    Ok(())
}

#[tokio::test]
async fn sessions_move_into_the_embedded_store_and_need_the_old_redis_no_more() -> Result<()> {
    let mut succession = Succession::begin().await?;
    let registration = succession.old.register("An old client").await?;
    let idle = succession.old.register("A client nobody uses").await?;
    let tokens = succession.log_in(&registration, "alice").await?;
    let url = succession.redis.url();
    succession.next = succession
        .next
        .env("MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL", &url);

    let before = succession.keys().await?;
    let rehearsed = succession.import(&["--dry-run"])?;
    assert_eq!(rehearsed["dry_run"], true);
    for run in 0..2 {
        let report = succession.import(&[])?;
        let found = json!({ "clients": 2, "grants": 1, "access_tokens": 1, "refresh_tokens": 1 });
        assert_eq!(report["found"], found);
        let fate = ["taken_over", "before"][run];
        for kind in ["access_tokens", "refresh_tokens", "clients"] {
            assert_eq!(report[kind][fate], 1, "{report}");
        }
        assert_eq!(report["clients"]["without_session"], 1, "{report}");
        assert_eq!(rehearsed["found"], report["found"]);
    }
    assert_eq!(
        succession.keys().await?,
        before,
        "the records are only read"
    );

    succession.redis.process().kill()?;
    succession.next = succession
        .next
        .without("MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL");
    let followed = succession.start().await?;
    let client = followed.client(&registration).await?;
    assert_eq!(followed.calls(&client, &tokens.access).await?, "alice");
    let first = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(followed.calls(&client, &first.access).await?, "alice");
    let stranger = followed.client(&idle).await?;
    let unknown = stranger.refresh(&tokens.refresh).await?;
    assert_eq!(unknown.error(), "invalid_client");
    Ok(())
}

#[tokio::test]
async fn an_import_that_is_killed_is_run_again() -> Result<()> {
    const USERS: usize = 300;
    let mut succession = Succession::begin().await?;
    succession.next = succession.next.redis(&succession.redis);
    let registration = succession.old.register("An old client").await?;
    let tokens = succession.log_in(&registration, "alice").await?;
    let filled = succession.old.fill(USERS).await?;

    let mut killed = Killed::start(&succession)?;
    wait::until("the import to be under way", SOON, || async {
        let taken = count(&succession.redis, "oidc:v1:m:*").await?;
        Ok((taken > 50).then_some(()))
    })
    .await?;
    let was_running = killed.kill()?;
    ensure!(was_running, "it was done before it was killed");

    let report = succession.import(&[])?;
    let both = |kind: &str| {
        let number = |fate: &str| report[kind][fate].as_u64().unwrap_or_default();
        number("taken_over") + number("before")
    };
    assert_eq!(both("access_tokens"), USERS as u64 + 1, "{report}");
    assert_eq!(both("refresh_tokens"), USERS as u64 + 1, "{report}");
    assert!(report["refresh_tokens"]["taken_over"] != 0, "{report}");
    let grants = count(&succession.redis, "oidc:v1:g:*").await?;
    assert_eq!(
        grants,
        USERS + 1,
        "one for each, however often it was begun"
    );
    let again = succession.import(&[])?;
    assert_eq!(again["refresh_tokens"]["before"], USERS + 1, "{again}");

    // The old records may go now.
    forget_the_old(&succession.redis).await?;
    let followed = succession.follow().await?;
    let client = followed.client(&registration).await?;
    assert_eq!(followed.calls(&client, &tokens.access).await?, "alice");
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    for Filled {
        client, refresh, ..
    } in filled.iter().step_by(29)
    {
        let registration = json!({ "client_id": client });
        let client = followed.client(&registration).await?;
        Tokens::of(&client.refresh(refresh).await?)?;
    }
    Ok(())
}

#[tokio::test]
async fn where_it_is_switched_off_nobody_is_taken_over() -> Result<()> {
    let mut succession = Succession::begin().await?;
    let registration = succession.old.register("An old client").await?;
    let tokens = succession.log_in(&registration, "alice").await?;
    succession.next = succession.next.env("MCP_AUTH_PROXY_PREDECESSOR", "off");
    let followed = succession.follow().await?;
    let client = followed.client(&registration).await?;
    assert!(followed.is_refused(&client, &tokens.access).await?);
    let refused = client.refresh(&tokens.refresh).await?;
    assert_eq!(refused.error(), "invalid_client");
    Ok(())
}

#[tokio::test]
async fn without_a_redis_the_import_says_what_to_set() -> Result<()> {
    let succession = Succession::begin().await?;
    let output = succession.next.run(&["import-predecessor"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for name in [
        "MCP_AUTH_PROXY_REDIS_URL",
        "MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL",
    ] {
        assert!(said.contains(name), "{said}");
    }
    Ok(())
}

/// An import that is going to be killed.
struct Killed {
    process: Process,
    _directory: tempfile::TempDir,
}

// === impl Killed ===

impl Killed {
    fn start(succession: &Succession) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command: Command = succession.next.binary();
        command.args(["import-predecessor", "--json"]);
        let output = directory.path().join("output");
        Ok(Self {
            process: Process::start("the import", command, &output)?,
            _directory: directory,
        })
    }

    /// Whether it was still running.
    fn kill(&mut self) -> Result<bool> {
        let was_running = self.process.ended()?.is_none();
        self.process.kill()?;
        Ok(was_running)
    }
}

fn origin(followed: &Followed) -> Result<String> {
    let url = followed.proxy.url("")?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

async fn count(redis: &Redis, pattern: &str) -> Result<usize> {
    let script = "return #redis.call('KEYS', ARGV[1])";
    let answer = redis.command(&["EVAL", script, "0", pattern]).await?;
    Ok(answer.trim().trim_start_matches(':').parse()?)
}

async fn forget_the_old(redis: &Redis) -> Result<()> {
    let script = "for _, key in ipairs(redis.call('KEYS', 'oidc:*')) do
        if string.sub(key, 1, 8) ~= 'oidc:v1:' then redis.call('DEL', key) end
    end";
    redis.command(&["EVAL", script, "0"]).await?;
    Ok(())
}
