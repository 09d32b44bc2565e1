use std::net::SocketAddr;

use gateway::process::Command;
use idp::upstream::{MetadataSource, MoreParameters};

use super::*;
use crate::env::Platform;

fn addresses(config: &Config) -> Vec<String> {
    config
        .listen
        .addresses
        .iter()
        .map(SocketAddr::to_string)
        .collect()
}

#[test]
fn the_least_configuration_serves_with_the_defaults() {
    let config = config(&[]);

    assert_eq!(config.base_url.issuer(), "https://mcp.example.com");
    assert_eq!(
        config.redirect_uri(),
        "https://mcp.example.com/interaction/identity/callback"
    );
    assert_eq!(addresses(&config), ["0.0.0.0:3001", "[::]:3001"]);
    assert!(!config.listen.strict);
    assert!(!config.local_insecure);
    assert!(matches!(&config.trusted_proxies, TrustedProxies::Networks(list) if list.len() == 8));
    assert_eq!(config.servers.len(), 1);
    assert_eq!(config.servers[0].url.as_str(), "http://localhost:3000/mcp");
    assert_eq!(config.servers[0].path(), "/mcp");
    assert!(config.servers[0].run.is_none());
    assert_eq!(config.scopes.to_string(), "openid offline_access");
    assert!(config.signing_keys.is_none());
    assert_eq!(config.max_requests, Some(60));
    assert_eq!(config.max_requests_window, Duration::from_secs(60));
    assert_eq!(config.max_body, 1 << 20);
    assert_eq!(config.sse_keepalive, Duration::from_secs(25));
    assert_eq!(config.drain, Duration::from_secs(25));
    assert_eq!(config.cache_bytes, 64 << 20);
    assert_eq!(config.branding_title, "Login for Model Context Protocol");
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.log.app_name, "mcp-auth-proxy");
    assert_eq!(config.log.environment, "development");
    assert!(!config.log.json && !config.verify_release && !config.strict_offline_access);
    assert!(config.device_flow);
    let StoreConfig::Embedded { directory } = &config.store else {
        panic!("{:?}", config.store)
    };
    assert_eq!(
        directory.to_str(),
        Some("/home/me/.local/state/mcp-auth-proxy")
    );
    assert!(config.has_upstream_provider());
    let ProviderConfig::Upstream {
        metadata,
        issuer,
        client_id,
        client_secret,
        scope,
        more_parameters,
    } = &config.providers[0]
    else {
        panic!("it is elsewhere");
    };
    assert!(
        matches!(metadata, MetadataSource::Discovery(url) if url.as_str() == "https://login.example.com/")
    );
    assert_eq!((issuer.as_deref(), client_id.as_str()), (None, "proxy"));
    assert_eq!(client_secret.expose(), "hunter2");
    assert_eq!(scope.to_string(), "openid profile email");
    assert_eq!(*more_parameters, MoreParameters::default());
}

#[test]
fn lives_are_those_of_the_contract() {
    let lives = config(&[]).lives;
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(
        (lives.access, lives.refresh_idle, lives.grant),
        (hours(1), hours(14 * 24), hours(90 * 24))
    );
    assert_eq!(lives.refresh_window, Duration::from_secs(75 * 60));

    let shorter = config(&[("MCP_AUTH_PROXY_ACCESS_TTL", "10m")]).lives;
    assert_eq!(shorter.refresh_window, Duration::from_secs(25 * 60));

    let strict = config(&[("MCP_AUTH_PROXY_REFRESH_WINDOW", "0")]).lives;
    assert_eq!(strict.refresh_window, Duration::ZERO);
}

#[test]
fn plain_http_on_loopback_implies_local_insecure() {
    let config = config(&[("BASE_URL", "http://localhost:3001")]);

    assert!(config.local_insecure);
    assert_eq!(config.trusted_proxies, TrustedProxies::None);
    assert_eq!(addresses(&config), ["127.0.0.1:3001", "[::1]:3001"]);
}

#[test]
fn the_address_to_bind_can_be_named() {
    let named = config(&[
        ("MCP_AUTH_PROXY_HOST", "192.0.2.1, [2001:db8::1]"),
        ("PORT", "80"),
    ]);
    assert_eq!(addresses(&named), ["192.0.2.1:80", "[2001:db8::1]:80"]);
    assert!(named.listen.strict);

    let local = config(&[("MCP_AUTH_PROXY_HOST", "localhost")]);
    assert_eq!(addresses(&local), ["127.0.0.1:3001", "[::1]:3001"]);
}

#[test]
fn plain_host_belongs_to_the_mcp_server() {
    assert_eq!(
        addresses(&config(&[("HOST", "192.0.2.1")])),
        ["0.0.0.0:3001", "[::]:3001"]
    );
}

#[test]
fn a_command_alone_is_for_a_shell_and_with_arguments_a_program() {
    let command = |more: &[(&str, &str)]| {
        let run = config(more).servers[0].run.clone().unwrap();
        match run.command {
            Command::Shell(line) => format!("sh: {line}"),
            Command::Program { program, arguments } => format!("{program} {arguments:?}"),
        }
    };
    let line = ("MCP_SERVER_RUN_COMMAND", "cd /app && PORT=3000 npm start");
    assert_eq!(command(&[line]), "sh: cd /app && PORT=3000 npm start");
    let program = ("MCP_SERVER_RUN_COMMAND", "npm");
    assert_eq!(
        command(&[program, ("MCP_SERVER_RUN_ARGS_JSON", r#"["start", 7]"#)]),
        r#"npm ["start", "7"]"#
    );
    assert_eq!(
        command(&[program, ("MCP_SERVER_RUN_ARGS_JSON", "[]")]),
        "npm []"
    );
    assert_eq!(
        command(&[program, ("MCP_SERVER_RUN_ARGS_JSON", " ")]),
        "sh: npm"
    );
}

#[test]
fn variables_of_the_mcp_server_may_be_numbers_and_booleans() {
    let run = config(&[
        ("MCP_SERVER_RUN_COMMAND", "npm"),
        (
            "MCP_SERVER_RUN_ENV_JSON",
            r#"{"A":3000,"B":true,"C":"x y","D":1.0,"E":0.5}"#,
        ),
    ])
    .servers[0]
        .run
        .clone()
        .unwrap();
    let variables: Vec<(&str, &str)> = run
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();

    assert_eq!(
        variables,
        [
            ("A", "3000"),
            ("B", "true"),
            ("C", "x y"),
            ("D", "1"),
            ("E", "0.5")
        ]
    );
}

const METADATA: &str = r#"{
    "issuer": "https://login.example.com",
    "authorization_endpoint": "https://login.example.com/authorize",
    "token_endpoint": "https://login.example.com/token"
}"#;

#[test]
fn a_metadata_file_wins_over_discovery() {
    let directory = directory(&[("metadata.json", METADATA)]);
    let path = path_in(&directory, "metadata.json");
    let config = config(&[("IDENTITY_SERVER_METADATA_FILE", &path)]);

    let ProviderConfig::Upstream {
        metadata: MetadataSource::File(read),
        ..
    } = &config.providers[0]
    else {
        panic!("the file is read");
    };
    assert_eq!(read.to_str(), Some(path.as_str()));
}

#[test]
fn the_discovery_document_names_its_issuer() {
    let url = "https://login.example.com/realm/.well-known/openid-configuration";
    let config = config(&[("IDENTITY_SERVER_URL", url)]);

    assert!(matches!(
        &config.providers[0],
        ProviderConfig::Upstream { metadata: MetadataSource::Discovery(url), .. }
            if url.as_str() == "https://login.example.com/realm"
    ));
}

#[test]
fn users_of_our_own_need_no_provider() {
    let directory = directory(&[("users.toml", USERS)]);
    let path = path_in(&directory, "users.toml");
    let names = [
        "IDENTITY_SERVER_URL",
        "IDENTITY_CLIENT_ID",
        "IDENTITY_CLIENT_SECRET",
    ];
    let (config, warnings) =
        loaded_from(&environment_without(&names).with("MCP_AUTH_PROXY_USERS_FILE", &path));

    assert_eq!(warnings, []);
    assert!(!config.has_upstream_provider());
    assert!(matches!(
        &config.providers[..],
        [ProviderConfig::Local { users_file }] if users_file.to_str() == Some(&path)
    ));
}

#[test]
fn scopes_are_separated_by_spaces_or_commas() {
    let config = config(&[
        ("PROVIDER_SCOPE", "openid,offline_access mcp"),
        ("IDENTITY_SCOPE", "api,  refresh_token"),
    ]);

    assert_eq!(config.scopes.to_string(), "openid offline_access mcp");
    assert!(matches!(
        &config.providers[0],
        ProviderConfig::Upstream { scope, .. } if scope.to_string() == "api refresh_token"
    ));
}

#[test]
fn a_server_for_sessions_is_named_by_either_variable() {
    let redis = |more: &[(&str, &str)]| {
        let config = config(more);
        let StoreConfig::Redis(redis) = config.store else {
            panic!("{:?}", config.store)
        };
        redis
    };
    let early = ("REDIS_URL", "redis://localhost");
    let plain = redis(&[early]);
    assert_eq!(plain.named_by, "REDIS_URL");
    assert_eq!(plain.address.to_string(), "redis://localhost:6379/0");
    assert_eq!((plain.prefix.as_str(), plain.verifies), ("oidc:", true));

    let own = (
        "MCP_AUTH_PROXY_REDIS_URL",
        "rediss://:hunter2@keys.example:7000/2",
    );
    let tls = redis(&[early, own, ("MCP_AUTH_PROXY_REDIS_PREFIX", "mine:")]);
    assert_eq!(tls.named_by, "MCP_AUTH_PROXY_REDIS_URL");
    assert_eq!(tls.address.to_string(), "rediss://keys.example:7000/2");
    assert_eq!((tls.prefix.as_str(), tls.verifies), ("mine:", true));
    // Heroku's certificate is self-signed; a dyno needs no directory then.
    assert!(!redis(&[own, ("DYNO", "web.1")]).verifies);
    let strict = ("MCP_AUTH_PROXY_REDIS_TLS", "verify");
    assert!(redis(&[own, ("DYNO", "web.1"), strict]).verifies);
    let shown = explain::render(&config(&[own]));
    assert!(
        shown.contains("rediss://keys.example:7000/2") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn sentinels_have_a_login_of_their_own_that_nobody_reads() {
    let url = (
        "MCP_AUTH_PROXY_REDIS_URL",
        "redis-sentinel://:hunter2@a,b/1?master=main",
    );
    let environment = [
        url,
        ("MCP_AUTH_PROXY_SENTINEL_USERNAME", "proxy"),
        ("MCP_AUTH_PROXY_SENTINEL_PASSWORD", "hunter3"),
    ];
    let plain = config(&[url]);
    let config = config(&environment);
    let StoreConfig::Redis(redis) = &config.store else {
        panic!("Redis is named");
    };
    let StoreConfig::Redis(without) = &plain.store else {
        panic!("Redis is named");
    };
    let shown = "redis-sentinel://a:26379,b:26379/1?master=main";
    assert_eq!(redis.address.to_string(), shown);
    assert_ne!(redis.address, without.address, "the login counts");
    let told = explain::render(&config);
    for text in [told, format!("{redis:?}")] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn the_predecessor_is_looked_for_where_its_records_may_be() {
    let at = |more: &[(&str, &str)]| match config(more).predecessor {
        PredecessorConfig::Nowhere => "nowhere".to_owned(),
        PredecessorConfig::InStore => "in the store".to_owned(),
        PredecessorConfig::At(redis) => {
            format!("{} {} {}", redis.named_by, redis.address, redis.prefix)
        }
    };
    let store = ("MCP_AUTH_PROXY_REDIS_URL", "redis://localhost");
    let prefix = ("MCP_AUTH_PROXY_REDIS_PREFIX", "mine:");
    let own = (
        "MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL",
        "redis://old.example:7000",
    );
    let there = "MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL redis://old.example:7000/0 mine:";
    assert_eq!(at(&[]), "nowhere");
    assert_eq!(at(&[store]), "in the store");
    assert_eq!(at(&[store, own, prefix]), there);
    // With the embedded store too.
    assert_eq!(at(&[own, prefix]), there);
    let off = ("MCP_AUTH_PROXY_PREDECESSOR", "off");
    assert_eq!(at(&[store, off]), "nowhere");
    assert_eq!(at(&[own, off]), "nowhere");
}

#[test]
fn state_lies_where_the_platform_has_it() {
    let directory = |environment: &Environment| {
        let (config, _) = loaded_from(environment);
        let StoreConfig::Embedded { directory } = config.store else {
            panic!("{:?}", config.store)
        };
        directory.to_str().unwrap().to_owned()
    };
    assert_eq!(
        directory(&environment(&[("XDG_STATE_HOME", "/state")])),
        "/state/mcp-auth-proxy"
    );
    assert_eq!(
        directory(&environment(&[("XDG_STATE_HOME", "relative")])),
        "/home/me/.local/state/mcp-auth-proxy"
    );
    assert_eq!(
        directory(&environment(&[]).on(Platform::MacOs)),
        "/home/me/Library/Application Support/mcp-auth-proxy"
    );
    assert_eq!(
        directory(&environment(&[("MCP_AUTH_PROXY_DATA_DIR", "data")])),
        "data"
    );
}

#[test]
fn on_a_dyno_the_last_hop_counts() {
    let config = config(&[
        ("DYNO", "web.1"),
        ("MCP_AUTH_PROXY_DATA_DIR", "/app/data"),
        ("PORT", "51234"),
    ]);

    assert_eq!(config.trusted_proxies, TrustedProxies::LastHop);
    assert_eq!(addresses(&config), ["0.0.0.0:51234", "[::]:51234"]);
}

#[test]
fn the_servers_query_is_kept_and_any_path_works() {
    let url = |text: &str| config(&[("MCP_SERVER_URL", text)]).servers[0].clone();

    assert_eq!(
        url("http://localhost:3000/mcp?key=1").url.query(),
        Some("key=1")
    );
    assert_eq!(url("http://localhost:3000").path(), "");
    assert_eq!(url("http://localhost:3000/a/b/").path(), "/a/b");
    assert_eq!(url("https://tools.example.com/authors").path(), "/authors");
}

#[test]
fn debug_words_of_the_predecessor_raise_their_parts() {
    let targets = |text: &str| config(&[("DEBUG", text)]).log.debug_targets;

    assert_eq!(targets("express-http-proxy"), ["gateway"]);
    assert_eq!(
        targets("oidc-provider:*"),
        ["authserver", "grants", "idp", "jose"]
    );
    assert_eq!(
        targets("express:router,ioredis:*"),
        ["mcp_auth_proxy", "store"]
    );
    assert_eq!(targets("*").len(), 7);
    assert_eq!(
        targets("my-server:*,true,express-session"),
        <[&str; 0]>::default()
    );
}

#[test]
fn the_environments_name_is_that_of_node_first() {
    let name = |more: &[(&str, &str)]| config(more).log.environment;

    assert_eq!(
        name(&[("NODE_ENV", "production"), ("ENVIRONMENT", "other")]),
        "production"
    );
    assert_eq!(name(&[("ENVIRONMENT", "staging")]), "staging");
}

#[test]
fn flag_environment_dotenv_file_and_default_are_looked_at_in_this_order() {
    let text = "port = 4\nbranding_title = \"file\"\nlog_level = \"error\"\ndata_dir = \"file\"\n";
    let directory = directory(&[
        (".env", "PORT=3\nBRANDING_TITLE=dotenv\nLOG_LEVEL=warn\n"),
        ("config.toml", text),
    ]);
    let environment = environment(&[("PORT", "2"), ("BRANDING_TITLE", "environment")])
        .with("MCP_AUTH_PROXY_CONFIG", path_in(&directory, "config.toml"))
        .with_dotenv(Some(directory.path().join(".env")));
    let flags = Flags::default().with(&variable::PORT, "1");
    let (config, warnings) = load(&flags, &environment).unwrap();

    assert_eq!(warnings, []);
    assert_eq!(config.listen.addresses[0].port(), 1);
    assert_eq!(config.branding_title, "environment");
    assert_eq!(config.log.level, LogLevel::Warn);
    assert!(
        matches!(config.store, StoreConfig::Embedded { directory } if directory.to_str() == Some("file"))
    );
    assert_eq!(config.max_requests, Some(60));
}

#[test]
fn secrets_can_lie_in_files() {
    let directory = directory(&[("secret", "s3cret \n")]);
    let path = path_in(&directory, "secret");
    let environment =
        environment_without(&["IDENTITY_CLIENT_SECRET"]).with("IDENTITY_CLIENT_SECRET_FILE", &path);
    let (config, _) = loaded_from(&environment);

    assert!(matches!(
        &config.providers[0],
        ProviderConfig::Upstream { client_secret, .. } if client_secret.expose() == "s3cret "
    ));
}

#[test]
fn the_printed_configuration_says_where_values_come_from_and_no_secret() {
    let config = config(&[
        ("BASE_URL", "http://localhost:3001"),
        ("MCP_SERVER_RUN_COMMAND", "API_TOKEN=hunter2 npm start"),
        ("MCP_SERVER_RUN_ENV_JSON", r#"{"API_KEY":"hunter2"}"#),
    ]);
    let text = explain::render(&config);

    assert!(
        !text.contains("hunter2") && !format!("{config:?}").contains("hunter2\""),
        "{text}"
    );
    let line = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        line("BASE_URL"),
        "BASE_URL=http://localhost:3001 # environment"
    );
    assert_eq!(
        line("LOCAL_INSECURE"),
        "LOCAL_INSECURE=true # implied by BASE_URL"
    );
    assert_eq!(line("PORT"), "PORT=3001 # default");
    assert_eq!(
        line("IDENTITY_CLIENT_SECRET"),
        "IDENTITY_CLIENT_SECRET=[redacted] # environment"
    );
    assert_eq!(
        line("MCP_AUTH_PROXY_REFRESH_WINDOW"),
        "MCP_AUTH_PROXY_REFRESH_WINDOW=75m # default"
    );
}
