use std::{ffi::OsString, sync::Arc};

use domain::secret::SecretString;
use gateway::process::Command;
use idp::local::LocalProvider;
use jose::signing::KeyRing;
use tempfile::TempDir;
use url::Url;

use super::{Prepared, port, prepare_below};
use crate::{
    cli::DemoArguments,
    config::{ProviderConfig, StoreConfig},
    env::Environment,
    system::{SystemClock, SystemRandom},
};

struct Setup {
    temporary: TempDir,
    arguments: DemoArguments,
    environment: Environment,
}

impl Setup {
    fn new() -> Self {
        Self {
            temporary: tempfile::tempdir().unwrap(),
            arguments: DemoArguments::default(),
            environment: Environment::of([("PATH", "/usr/bin")]),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment = self.environment.with(name, value);
        self
    }

    async fn prepare(&self) -> anyhow::Result<Prepared> {
        prepare_below(
            self.temporary.path(),
            &self.arguments,
            &self.environment,
            &SystemRandom,
            |_| Ok("$argon2id$v=19$m=19456,t=2,p=1$NXZJLhk2RGYu8KdKSYSFfw$RJ+KD1rtdVAG/7cRumNCgcV91H+NrkeyMFG+u2M+w2U".to_owned()),
        )
        .await
    }
}

/// One that no other test looks at.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_demo_needs_nothing() {
    let setup = Setup::new();
    let demo = setup.prepare().await.unwrap();
    let config = &demo.config;
    let port = config.listen.addresses.first().unwrap().port();
    assert!(port >= port::PREFERRED);
    assert_eq!(config.base_url.issuer(), format!("http://localhost:{port}"));
    assert!(
        config
            .listen
            .addresses
            .iter()
            .all(|address| address.ip().is_loopback())
    );
    assert_eq!(config.listen.addresses.len(), 2);
    assert!(config.local_insecure);
    assert!(config.servers[0].run.is_none());
    assert!(demo.warnings.is_empty());

    let StoreConfig::Embedded { directory } = &config.store else {
        panic!("{:?}", config.store);
    };
    assert!(directory.starts_with(setup.temporary.path()));
    let ProviderConfig::Local { users_file } = &config.providers[0] else {
        panic!("{:?}", config.providers);
    };
    assert!(users_file.starts_with(directory) && users_file.exists());

    let text = demo.announcement.expose();
    assert!(
        text.contains(&format!("MCP URL    http://localhost:{port}/mcp\n")),
        "{text}"
    );
    assert!(text.contains("whoami"), "{text}");
    let answer = reqwest::get(config.servers[0].url.clone()).await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn the_printed_password_logs_the_user_in() {
    let setup = Setup::new();
    let hash = |password: &SecretString| Ok(LocalProvider::hash_password(password)?);
    let (arguments, environment) = (&setup.arguments, &setup.environment);
    let demo = prepare_below(
        setup.temporary.path(),
        arguments,
        environment,
        &SystemRandom,
        hash,
    )
    .await
    .unwrap();
    let ProviderConfig::Local { users_file } = &demo.config.providers[0] else {
        panic!("{:?}", demo.config.providers);
    };
    let keys = crate::signing_keys::generate().unwrap();
    let clock = Arc::new(SystemClock);
    let (keys, _) = KeyRing::parse(keys.expose(), clock.clone()).unwrap();
    let issuer = demo.config.base_url.issuer();
    let provider = LocalProvider::load(users_file, issuer, Arc::new(keys), clock).unwrap();
    let url = demo.config.servers[0].url.as_str();
    assert!(provider.login("demo", &password(&demo), url).await.is_ok());
    let wrong = SecretString::new("abcd-abcd-abcd-abcd");
    assert!(provider.login("demo", &wrong, url).await.is_err());
}

fn password(demo: &Prepared) -> SecretString {
    let text = demo.announcement.expose();
    let line = text.lines().find(|line| line.contains("password")).unwrap();
    SecretString::new(line.split_whitespace().nth(1).unwrap())
}

#[tokio::test]
async fn what_is_set_for_a_real_proxy_does_not_count() {
    let setup = Setup::new()
        .with("IDENTITY_SERVER_URL", "https://id.example")
        .with("IDENTITY_CLIENT_SECRET_FILE", "/nowhere")
        .with("MCP_SERVER_URL", "http://localhost:9/other")
        .with("MCP_SERVER_RUN_COMMAND", "false")
        .with("MCP_AUTH_PROXY_NEW_NAME", "x")
        .with("MCP_AUTH_PROXY_VERIFY_RELEASE", "true")
        .with("REDIS_URL", "redis://localhost")
        .with("DYNO", "web.1")
        .with("LOG_LEVEL", "debug");
    let demo = setup.prepare().await.unwrap();
    assert!(demo.warnings.is_empty(), "{:?}", demo.warnings);
    assert!(demo.config.servers[0].run.is_none());
    assert_eq!(demo.config.servers[0].url.path(), "/mcp");
    assert!(matches!(
        demo.config.providers[..],
        [ProviderConfig::Local { .. }]
    ));
    assert!(!demo.config.verify_release);
    assert_eq!(demo.config.log.level, crate::config::LogLevel::Debug);
    // But the newcomer's own server goes on seeing what is its own.
    let inherited = &demo.config.inherited.0;
    assert!(inherited.contains_key(&OsString::from("REDIS_URL")));
}

#[tokio::test]
async fn port_and_base_url_can_be_told() {
    let free = free_port();
    let mut setup = Setup::new()
        .with("PORT", &free.to_string())
        .with("BASE_URL", "https://demo.example");
    let demo = setup.prepare().await.unwrap();
    assert_eq!(demo.config.listen.addresses[0].port(), free);
    assert_eq!(demo.config.base_url.issuer(), "https://demo.example");
    assert!(
        demo.config
            .listen
            .addresses
            .iter()
            .all(|address| address.ip().is_loopback())
    );
    assert!(!demo.announcement.expose().contains("cloudflared"));
    drop(demo);

    setup.arguments.base_url = Some("https://other.example".to_owned());
    let demo = setup.prepare().await.unwrap();
    assert_eq!(demo.config.base_url.issuer(), "https://other.example");
    drop(demo);

    let setup = setup.with("PORT", "many");
    let error = setup.prepare().await.unwrap_err();
    assert!(error.to_string().contains("PORT"), "{error}");
}

#[tokio::test]
async fn a_command_is_started_where_the_demo_looks_for_it() {
    let mut setup = Setup::new();
    setup.arguments.command = vec!["node".to_owned(), "my server.js".to_owned()];
    let demo = setup.prepare().await.unwrap();
    let server = &demo.config.servers[0];
    assert_eq!(server.url.as_str(), "http://localhost:3000/mcp");
    let Some(Command::Program { program, arguments }) =
        server.run.as_ref().map(|run| run.command.clone())
    else {
        panic!("{server:?}");
    };
    assert_eq!(
        (program.as_str(), arguments),
        ("node", vec!["my server.js".to_owned()])
    );
    assert!(!demo.announcement.expose().contains("whoami"));
    drop(demo);

    // With a URL of its own, whose port is left to it.
    let free = free_port();
    let url = format!("http://localhost:{free}/tools");
    setup.arguments.server = Some(Url::parse(&url).unwrap());
    let demo = setup.prepare().await.unwrap();
    assert_eq!(demo.config.servers[0].url.as_str(), url);
    assert_ne!(demo.config.listen.addresses[0].port(), free);
    drop(demo);

    setup.arguments.command = vec![" ".to_owned()];
    assert!(setup.prepare().await.is_err());
}

#[tokio::test]
async fn a_server_of_ones_own_keeps_its_path() {
    let mut setup = Setup::new();
    setup.arguments.server = Some(Url::parse("https://mcp.example/v1/mcp/").unwrap());
    let demo = setup.prepare().await.unwrap();
    let text = demo.announcement.expose();
    assert!(
        text.contains("/v1/mcp\n") && !text.contains("whoami"),
        "{text}"
    );
}

#[tokio::test]
async fn one_demo_at_a_time_and_the_next_has_the_same_user() {
    let mut setup = Setup::new();
    let demo = setup.prepare().await.unwrap();
    let first = password(&demo);
    assert!(!format!("{demo:?}").contains(first.expose()));
    let error = setup.prepare().await.unwrap_err().to_string();
    assert!(
        error.contains("running already") && error.contains("/mcp"),
        "{error}"
    );
    drop(demo);

    let demo = setup.prepare().await.unwrap();
    assert!(password(&demo) == first);
    drop(demo);
    setup.arguments.fresh = true;
    assert!(password(&setup.prepare().await.unwrap()) != first);
}
