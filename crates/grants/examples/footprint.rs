//! What sessions take up in each store, with the records that the proxy writes:
//!
//! `cargo run -p grants --example footprint -- [sessions]`
//!
//! Each session has a client of its own that registered, a login, a redeemed code, a refresh, and a
//! call after each. It starts a Redis server of its own.
#![expect(
    clippy::print_stdout,
    reason = "it speaks to the person at the terminal"
)]

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use domain::{
    address::ClientNetwork,
    base_url::BaseUrl,
    id::{ClientId, Subject},
    pkce::{CodeChallenge, CodeVerifier},
    random::Random,
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::{Clock, Timestamp},
};
use grants::{CompletedLogin, GrantSettings, Grants, Redemption, Rotation};
use idp::provider::{Identity, IdentityRefresher, IdentityTokens, RefreshError};
use serde_json::{Map, json};
use store::{
    Store,
    embedded::EmbeddedStore,
    redis::{RedisAddress, RedisSettings, RedisStore, RedisTls},
    seal::sha256,
};
use testkit::redis::Redis;
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_util::task::TaskTracker;

const ISSUER: &str = "https://mcp.example.com";
const PROVIDER: &str = "https://login.example.com/realms/company";
const REDIRECT_URI: &str = "http://127.0.0.1:33418/oauth/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sessions that are made at once.
const AT_ONCE: usize = 64;

/// What the identity provider gives, in bytes.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    name: &'static str,
    access: usize,
    refresh: usize,
    id_token: Option<usize>,
}

/// As GitHub and Heroku give them.
const OPAQUE: Tokens = Tokens {
    name: "opaque identity tokens (40, 80 bytes)",
    access: 40,
    refresh: 80,
    id_token: None,
};

/// As Keycloak gives them to a user with a few roles.
const JWT: Tokens = Tokens {
    name: "JWTs (access 1,300, refresh 700, ID 1,100 bytes)",
    access: 1300,
    refresh: 700,
    id_token: Some(1100),
};

#[derive(Debug)]
struct Now;

#[derive(Debug)]
struct System;

/// One that is never asked: no token of its runs out.
#[derive(Debug)]
struct Provider;

impl Clock for Now {
    #[expect(
        clippy::disallowed_methods,
        reason = "a real server lives in real time"
    )]
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_unix(since.unwrap_or_default().as_secs())
    }
}

impl Random for System {
    fn fill(&self, buffer: &mut [u8]) {
        assert!(aws_lc_rs::rand::fill(buffer).is_ok(), "no random bytes");
    }
}

#[async_trait]
impl IdentityRefresher for Provider {
    fn issuer(&self) -> &str {
        PROVIDER
    }

    fn can_refresh(&self, _: &IdentityTokens) -> bool {
        true
    }

    async fn refresh(
        &self,
        _: &Subject,
        _: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        Err(RefreshError::NoRefreshToken)
    }
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let sessions = arguments.next();
    let sessions: u64 = sessions.map_or(Ok(20_000), |text| text.parse())?;
    let only = arguments.next();
    for (name, tokens) in [("opaque", OPAQUE), ("jwt", JWT)] {
        match only.as_deref() {
            // Each alone in a process, so that its memory can be told.
            None => {
                let mut alone = Command::new(std::env::current_exe()?);
                let done = alone.args([&sessions.to_string(), name]).status()?;
                ensure!(done.success(), "{name}: {done}");
            }
            Some(only) if only == name => {
                let runtime = Runtime::new()?;
                runtime.block_on(on_redis(sessions, tokens))?;
                runtime.block_on(in_a_file(sessions, tokens))?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

async fn on_redis(sessions: u64, tokens: Tokens) -> Result<()> {
    let redis = Redis::start_with(&["--appendfsync", "no"]).await?;
    let settings = RedisSettings {
        address: RedisAddress::parse(&redis.url())?,
        tls: RedisTls::default(),
        prefix: "oidc:".to_owned(),
    };
    let before = used_memory(&redis).await?;
    let store = RedisStore::connect(&settings, Arc::new(System), &Now).await?;
    let process = resident()?;
    let (took, _grants) = fill(Arc::new(store), sessions, tokens).await?;
    let after = used_memory(&redis).await?;
    say("Redis", sessions, tokens, after - before, took);
    let cached = resident()?.saturating_sub(process) / sessions;
    println!("    in the memory of the proxy: {cached} bytes");
    for (kind, pattern) in [
        ("grant", "oidc:v1:g:*"),
        ("identity session", "oidc:v1:i:*"),
        ("registration", "oidc:v1:c:*"),
        ("grants of a person", "oidc:v1:u:*"),
    ] {
        let found = redis
            .command(&["SCAN", "0", "MATCH", pattern, "COUNT", "1000"])
            .await?;
        let key = found.lines().find(|line| line.starts_with("oidc:"));
        let key = key.context("a record of each kind")?;
        let usage = redis.command(&["MEMORY", "USAGE", key]).await?;
        println!("    {kind}: {} bytes", usage.trim_start_matches(':').trim());
    }
    Ok(())
}

async fn in_a_file(sessions: u64, tokens: Tokens) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("sessions.redb");
    let store = EmbeddedStore::open(&path, Arc::new(Now))?;
    let (took, _grants) = fill(Arc::new(store), sessions, tokens).await?;
    say("the file", sessions, tokens, blocks(&path)?, took);
    Ok(())
}

fn say(place: &str, sessions: u64, tokens: Tokens, bytes: u64, took: Duration) {
    println!(
        "{place}, {}: {sessions} sessions, {} bytes each ({:.0} a second)",
        tokens.name,
        bytes / sessions,
        f64::from(u32::try_from(sessions).unwrap_or(u32::MAX)) / took.as_secs_f64()
    );
}

/// What the file takes up on the disk.
fn blocks(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)?.blocks() * 512)
}

async fn used_memory(redis: &Redis) -> Result<u64> {
    let info = redis.command(&["INFO", "memory"]).await?;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.context("INFO tells the memory")?.trim().parse()?)
}

/// Memory of this process, in bytes.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.context("Linux tells the memory")?;
    Ok(kilobytes.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// All sessions, in the memory of the proxy too.
async fn fill(
    store: Arc<dyn Store>,
    sessions: u64,
    tokens: Tokens,
) -> Result<(Duration, Arc<Grants>)> {
    let tracker = TaskTracker::new();
    let grants = Arc::new(Grants::new(
        settings(),
        Arc::clone(&store),
        vec![Arc::new(Provider)],
        Arc::new(Now),
        Arc::new(System),
        tracker.clone(),
    ));
    let began = Instant::now();
    let mut under_way = JoinSet::new();
    for number in 0..sessions {
        if under_way.len() == AT_ONCE {
            under_way
                .join_next()
                .await
                .context("one is under way")???;
        }
        let (store, grants) = (Arc::clone(&store), Arc::clone(&grants));
        under_way.spawn(async move { connect(&*store, &grants, number, tokens).await });
    }
    while let Some(done) = under_way.join_next().await {
        done??;
    }
    tracker.close();
    tracker.wait().await;
    Ok((began.elapsed(), grants))
}

async fn connect(store: &dyn Store, grants: &Grants, number: u64, tokens: Tokens) -> Result<()> {
    let random: &dyn Random = &System;
    let client = ClientId::parse(format!("{:032x}", u128::from_be_bytes(random.bytes())))?;
    store
        .register_client(&client, registration(), 30 * DAY)
        .await?;
    store.extend_client(&client, 365 * DAY).await?;
    let code = grants.open(login(client.clone(), number, tokens)?).await?;
    let verifier = CodeVerifier::parse(VERIFIER).context("a verifier")?;
    let network = ClientNetwork::of([198, 51, 100, 7].into());
    let first = grants
        .redeem(Redemption {
            code: code.expose(),
            client: &client,
            redirect_uri: Some(REDIRECT_URI),
            verifier: Some(&verifier),
            resource: None,
            network,
        })
        .await?;
    let resource = resource()?;
    grants
        .authenticate(first.access_token.expose(), &resource, network)
        .await?;
    let refresh = first.refresh_token.context("a refresh token")?;
    let second = grants
        .rotate(Rotation {
            refresh_token: refresh.expose(),
            client: &client,
            is_confidential: false,
            scopes: None,
            resource: None,
            network,
        })
        .await?;
    grants
        .authenticate(second.access_token.expose(), &resource, network)
        .await?;
    Ok(())
}

fn settings() -> GrantSettings {
    GrantSettings {
        issuer: ISSUER.to_owned(),
        access_life: DAY / 24,
        refresh_idle: 14 * DAY,
        grant_life: 90 * DAY,
        refresh_window: DAY / 24,
        strict_offline_access: false,
        cache_bytes: 1 << 34,
        store_grace: Duration::from_secs(60),
        session_requests: None,
    }
}

fn resource() -> Result<Resource> {
    Ok(Resource::at(&BaseUrl::parse(ISSUER)?, "/mcp"))
}

fn login(client: ClientId, number: u64, tokens: Tokens) -> Result<CompletedLogin> {
    let now = Now.now();
    let claims = json!({
        "email": format!("user{number}@example.com"), "email_verified": true,
        "name": "Ada Lovelace", "preferred_username": format!("user{number}"),
        "groups": ["engineering", "on-call", "everybody"],
    });
    Ok(CompletedLogin {
        client,
        resource: resource()?,
        scopes: ScopeSet::parse("openid offline_access")?,
        identity: Identity {
            issuer: PROVIDER.to_owned(),
            subject: Subject::parse(format!("f81d4fae-7dec-11d0-a765-{number:012}"))?,
            claims: claims.as_object().cloned().unwrap_or_default(),
            auth_time: Some(now),
            tokens: IdentityTokens {
                access_token: token(tokens.access),
                refresh_token: Some(token(tokens.refresh)),
                expires_at: None,
                issued_at: now,
                scope: "openid profile email".to_owned(),
                id_token: tokens.id_token.map(token),
                extra: Map::new(),
            },
        },
        code_challenge: CodeChallenge::from_digest(sha256(VERIFIER.as_bytes())),
        redirect_uri: REDIRECT_URI.to_owned(),
        nonce: None,
    })
}

fn token(bytes: usize) -> SecretString {
    let mut random = vec![0; bytes];
    System.fill(&mut random);
    let letters = random.iter().map(|byte| char::from(b'a' + byte % 26));
    SecretString::new(letters.collect::<String>())
}

/// As a client sends it, and a little more.
fn registration() -> Vec<u8> {
    json!({
        "client_id_issued_at": 1_764_000_000, "client_name": "Example Editor",
        "client_uri": "https://editor.example", "logo_uri": "https://editor.example/logo.svg",
        "redirect_uris": [REDIRECT_URI, "https://editor.example/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "application_type": "native",
        "scope": "openid offline_access", "software_id": "2d0a3f0c-5a7e-4f7e-9a3e-2f3d7f8b9c10",
        "software_version": "1.96.2",
    })
    .to_string()
    .into_bytes()
}
