use std::sync::Arc;

use domain::client::{GrantType, TokenEndpointAuthMethod};
use gateway::process::Command;
use idp::{local::LocalProvider, upstream::MetadataSource};
use jose::signing::{KeyRing, SigningAlgorithm, SigningKeys};

use super::*;
use crate::system::SystemClock;

/// The environment with this text as its TOML file.
fn with_file(environment: Environment, text: &str) -> (TempDir, Environment) {
    let directory = directory(&[("config.toml", text)]);
    let path = path_in(&directory, "config.toml");
    let environment = environment.with("MCP_AUTH_PROXY_CONFIG", path);
    (directory, environment)
}

fn loaded(environment: Environment, text: &str) -> Config {
    let (_directory, environment) = with_file(environment, text);
    let (config, warnings) = loaded_from(&environment);
    assert_eq!(warnings, []);
    config
}

/// The report, with the file's path shortened.
fn refused(environment: Environment, text: &str) -> String {
    let (directory, environment) = with_file(environment, text);
    refused_from(&environment).replace(&path_in(&directory, "config.toml"), "config.toml")
}

fn nothing() -> Environment {
    Environment::of([("HOME", "/home/me")])
}

#[test]
fn a_file_says_what_variables_say() {
    let text = r#"
        base_url = "https://mcp.example.com"
        port = 8080
        mcp_server_url = "http://localhost:3000/mcp"
        mcp_server_run_command = "npm"
        mcp_server_run_args_json = ["start"]
        mcp_server_run_env_json = { A = 1 }
        public_paths = ["/a", "/b"]
        identity_server_url = "https://login.example.com"
        identity_client_id = "proxy"
        identity_client_secret = "hunter2"
        provider_scope = ["openid", "offline_access"]
        strict_offline_access = true
        access_ttl = 900
        max_requests = 100
        branding_title = "Hello, world"
    "#;
    let config = loaded(nothing(), text);

    assert_eq!(config.listen.addresses[0].port(), 8080);
    assert_eq!(config.servers[0].public_paths, ["/a", "/b"]);
    assert!(matches!(
        &config.servers[0].run.as_ref().unwrap().command,
        Command::Program { arguments, .. } if *arguments == ["start"]
    ));
    assert!(config.strict_offline_access);
    assert_eq!(config.lives.access, Duration::from_secs(900));
    assert_eq!(config.max_requests, Some(100));
    assert_eq!(config.branding_title, "Hello, world");
}

#[test]
fn servers_name_their_providers() {
    let config = loaded(
        nothing(),
        include_str!("../../../../../docs/samples/several-servers.toml"),
    );

    let served: Vec<(&str, usize)> = config
        .servers
        .iter()
        .map(|server| (server.path(), server.provider))
        .collect();
    assert_eq!(served, [("/wiki", 0), ("/shop", 1)]);
    assert_eq!(
        config.servers[1].public_paths,
        ["/.well-known/openai-apps-challenge"]
    );
    assert!(matches!(
        &config.providers[1],
        ProviderConfig::Upstream { issuer: Some(issuer), metadata: MetadataSource::Discovery(_), .. }
            if issuer == "https://login.microsoftonline.com/{tenantid}/v2.0"
    ));
    assert!(explain::render(&config).contains(
        "# number 2, provider \"partners\"\nMCP_SERVER_URL=http://shop.internal:3000/shop"
    ));
}

#[test]
fn variables_fill_in_the_one_of_each() {
    let environment = nothing()
        .with("IDENTITY_CLIENT_SECRET", "hunter2")
        .with("MCP_SERVER_URL", "http://localhost:4000/mcp");
    let config = loaded(
        environment,
        include_str!("../../../../../docs/samples/one-server.toml"),
    );

    assert_eq!(config.servers.len(), 1);
    assert_eq!(config.servers[0].url.as_str(), "http://localhost:4000/mcp");
    let run = config.servers[0].run.as_ref().unwrap();
    assert_eq!(run.environment.len(), 2);
    assert!(config.log.json);
}

#[test]
fn the_sample_with_users_of_its_own_is_right() {
    let users = directory(&[(
        "users.toml",
        include_str!("../../../../../docs/samples/users.toml"),
    )]);
    let text = include_str!("../../../../../docs/samples/local-users.toml")
        .replace("users.toml", &path_in(&users, "users.toml"));
    let config = loaded(nothing(), &text);

    assert!(config.local_insecure && !config.has_upstream_provider());
}

#[tokio::test]
async fn the_sample_user_can_log_in() {
    let users = directory(&[(
        "users.toml",
        include_str!("../../../../../docs/samples/users.toml"),
    )]);
    let key = SigningKeys::generate(SigningAlgorithm::Ed25519).unwrap();
    let clock = Arc::new(SystemClock);
    let (keys, _) = KeyRing::parse(&format!("[{}]", key.expose()), clock).unwrap();
    let provider = LocalProvider::load(
        &users.path().join("users.toml"),
        "http://localhost:3001",
        Arc::new(keys),
        Arc::new(SystemClock),
    )
    .unwrap();

    let password = SecretString::new("correct horse battery staple");
    let login = provider.login("ada", &password, "http://localhost:3000/mcp");
    assert!(login.await.is_ok());
}

#[test]
fn unknown_keys_are_told_with_the_one_that_was_meant() {
    let text =
        "acces_ttl = \"hunter2\"\n[[servers]]\nurl = \"http://localhost:3000/mcp\"\nprot = 1\n";
    let report = refused(environment(&[]), text);

    assert_eq!(
        report,
        "\
the configuration has 2 faults

  `acces_ttl` in config.toml is unknown
    reason:  there is no such key; did you mean `access_ttl`?
    allowed: the keys of the configuration reference

  `servers[0].prot` in config.toml is unknown
    reason:  there is no such key
    allowed: the keys of the configuration reference"
    );
}

#[test]
fn wrong_values_are_told_by_their_key() {
    let text = "port = \"abc\"\naccess_ttl = [1]\nidentity_client_secret = 1.5\n\
                allowed_origins = [\"a b\"]\n";
    let report = refused(environment_without(&["IDENTITY_CLIENT_SECRET"]), text);

    for expected in [
        "  `port` in config.toml holds `abc`\n    reason:  it is no port number",
        "example: port = '3001'",
        "  `access_ttl` in config.toml holds `[1]`\n    reason:  it is of the wrong kind (array)",
        "  `identity_client_secret` in config.toml holds [redacted]\n    reason:  it is of the wrong kind (float)",
        "each item must be a text without spaces or commas",
    ] {
        assert!(report.contains(expected), "{report}");
    }
}

#[test]
fn what_is_no_toml_is_told_by_line_and_not_shown() {
    let report = refused(
        environment(&[]),
        "port = 1\nidentity_client_secret = hunter2\n",
    );

    assert!(
        report.contains("one fault\n\n  MCP_AUTH_PROXY_CONFIG holds `config.toml`"),
        "{report}"
    );
    assert!(report.contains("reason:  line 2: "), "{report}");
}

#[test]
fn a_variable_cannot_say_which_of_several_it_means() {
    let report = refused(
        nothing().with("MCP_SERVER_URL", "http://localhost:3000/mcp"),
        include_str!("../../../../../docs/samples/several-servers.toml"),
    );

    assert!(report.contains("one fault"), "{report}");
    assert!(
        report.contains("the TOML file has several MCP servers"),
        "{report}"
    );
}

#[test]
fn each_server_says_where_its_users_log_in() {
    let directory = directory(&[("users.toml", USERS)]);
    let users = path_in(&directory, "users.toml");
    let two = format!(
        "[[providers]]\nname = \"a\"\nusers_file = \"{users}\"\n\
         [[providers]]\nname = \"b\"\nusers_file = \"{users}\"\n"
    );
    let least = || {
        environment_without(&[
            "IDENTITY_SERVER_URL",
            "IDENTITY_CLIENT_ID",
            "IDENTITY_CLIENT_SECRET",
            "MCP_SERVER_URL",
        ])
    };
    let server = "[[servers]]\nurl = \"http://localhost:3000/mcp\"\n";

    let silent = refused(least(), &format!("{two}{server}"));
    assert!(
        silent.contains("`servers[0].provider` in config.toml is missing"),
        "{silent}"
    );
    let wrong = refused(least(), &format!("{two}{server}provider = \"c\"\n"));
    assert!(
        wrong.contains("holds `c`\n    reason:  no provider has that name"),
        "{wrong}"
    );
    let variable = refused(
        least().with("MCP_SERVER_URL", "http://localhost:3000/mcp"),
        &two,
    );
    assert!(
        variable.contains("there are several identity providers"),
        "{variable}"
    );
    let twins = refused(
        least(),
        &format!(
            "{}{server}provider = \"a\"\n",
            two.replace("\"b\"", "\"a\"")
        ),
    );
    assert!(twins.contains("another provider has that name"), "{twins}");
    assert_eq!(
        loaded(least(), &format!("{two}{server}provider = \"b\"\n")).servers[0].provider,
        1
    );
}

#[test]
fn servers_have_paths_of_their_own() {
    let text =
        "[[servers]]\nurl = \"http://a:3000/mcp\"\n[[servers]]\nurl = \"http://b:3000/mcp/v2\"\n";
    let report = refused(environment_without(&["MCP_SERVER_URL"]), text);

    assert!(
        report.contains(
            "its path `/mcp/v2` overlaps with that of the MCP server `http://a:3000/mcp`"
        ),
        "{report}"
    );
}

#[test]
fn secrets_of_entries_can_lie_in_files() {
    let secret = directory(&[("secret", "s3cret\n")]);
    let text = format!(
        "[[providers]]\nserver_url = \"https://login.example.com\"\nclient_id = \"x\"\n\
         client_secret_file = \"{}\"\n",
        path_in(&secret, "secret")
    );
    let least = environment_without(&[
        "IDENTITY_SERVER_URL",
        "IDENTITY_CLIENT_ID",
        "IDENTITY_CLIENT_SECRET",
    ]);
    let config = loaded(least, &text);

    assert!(matches!(
        &config.providers[0],
        ProviderConfig::Upstream { client_secret, .. } if client_secret.expose() == "s3cret"
    ));
}

#[test]
fn an_entry_that_lacks_something_is_told_apart() {
    let text = "[[servers]]\nurl = \"http://a:3000/a\"\n[[servers]]\nrun_command = \"x\"\n";
    let report = refused(environment_without(&["MCP_SERVER_URL"]), text);

    assert!(
        report.contains("  `servers[1].url` in config.toml is missing"),
        "{report}"
    );
}

#[test]
fn each_server_has_an_introspection_secret_of_its_own() {
    let text = |second: &str| {
        format!(
            "[[servers]]\nurl = \"http://a:3000/a\"\nintrospection_secret = \"hunter2-hunter2-a\"\n\
             [[servers]]\nurl = \"http://a:3000/b\"\nintrospection_secret = \"{second}\"\n"
        )
    };
    let least = || environment_without(&["MCP_SERVER_URL"]);
    let config = loaded(least(), &text("hunter2-hunter2-b"));
    let secret = config.servers[1].introspection_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "hunter2-hunter2-b");
    assert!(!explain::render(&config).contains("hunter2"));

    let report = refused(least(), &text("hunter2-hunter2-a"));
    assert!(report.contains("two MCP servers have the same"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn clients_of_the_file_are_known_and_checked_as_at_registration() {
    let config = loaded(
        nothing(),
        include_str!("../../../../../docs/samples/clients.toml"),
    );
    let [portal, tool, reports, _] = config.clients.as_slice() else {
        panic!("{:?}", config.clients);
    };
    assert_eq!(portal.client.id.as_str(), "portal");
    let secret = store::seal::sha256(b"in-production-random-and-long");
    assert_eq!(portal.client.secret_hash, Some(secret));
    assert!(portal.client.is_confidential() && portal.skips_consent);
    assert_eq!(portal.scopes, None);
    assert!(!tool.client.is_confidential() && !tool.skips_consent);
    assert_eq!(tool.scopes.as_ref().unwrap().to_string(), "openid");
    assert!(tool.client.may_use(GrantType::DeviceCode));
    assert!(!portal.client.may_use(GrantType::DeviceCode));

    let reports = &reports.client;
    assert!(reports.is_confidential() && reports.secret_hash.is_none());
    let method = reports.metadata.token_endpoint_auth_method;
    assert_eq!(method, TokenEndpointAuthMethod::PrivateKeyJwt);
    let jwks = reports.metadata.jwks.as_ref().unwrap();
    assert_eq!(jwks["keys"][0]["kid"], "reports-1");
    let warehouse = &config.clients[3].client.metadata;
    assert_eq!(
        warehouse.jwks_uri.as_deref(),
        Some("https://warehouse.example.com/jwks.json")
    );
    assert_eq!(
        warehouse.token_endpoint_auth_signing_alg.as_deref(),
        Some("ES256")
    );
}

#[test]
fn keys_of_clients_are_read_in_each_form() {
    let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let (keys, _) = SigningKeys::parse(&format!("[{}]", key.expose())).unwrap();
    let public = keys.public_jwks();
    let text = |member: &str| public["keys"][0][member].as_str().unwrap().to_owned();
    let inline = format!(
        "{{ kty = \"EC\", crv = \"P-256\", x = \"{}\", y = \"{}\" }}",
        text("x"),
        text("y")
    );
    for jwks in [
        format!("jwks = '{public}'"),
        format!("jwks = '{}'", public["keys"]),
        format!("jwks = {{ keys = [{inline}] }}"),
        format!("jwks = [{inline}]"),
        format!(
            "[[clients.jwks]]\nkty = \"EC\"\ncrv = \"P-256\"\nx = \"{}\"\ny = \"{}\"",
            text("x"),
            text("y")
        ),
    ] {
        let text =
            format!("[[clients]]\nid = \"a\"\nredirect_uris = [\"https://a.example/\"]\n{jwks}\n");
        let config = loaded(environment(&[]), &text);
        let known = config.clients[0].client.metadata.jwks.as_ref().unwrap();
        assert_eq!(known["keys"][0]["x"], public["keys"][0]["x"], "{jwks}");
    }
}

#[test]
fn what_a_client_cannot_prove_itself_by_is_told_by_its_place_and_not_shown() {
    let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let key: serde_json::Value = serde_json::from_str(key.expose()).unwrap();
    let public = r#"jwks = [{ kty = "OKP", crv = "Ed25519", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }]"#;
    let hash = format!("secret_hash = \"{}\"", "ab".repeat(32));
    let by = |method: &str| format!("token_endpoint_auth_method = \"{method}\"");
    let cases = [
        (
            format!("jwks = '[{key}]'"),
            "jwks",
            "must hold public keys only",
        ),
        ("jwks = '[]'".to_owned(), "jwks", "no key that could verify"),
        (
            "jwks = 'hunter2'".to_owned(),
            "jwks",
            "no key that could verify",
        ),
        (
            by("private_key_jwt"),
            "jwks",
            "is needed for private_key_jwt",
        ),
        (
            format!("{public}\njwks_uri = \"https://a.example/j\""),
            "jwks",
            "must not stand beside jwks_uri",
        ),
        (
            "jwks_uri = \"http://a.example/j\"".to_owned(),
            "jwks_uri",
            "must begin with https://",
        ),
        (
            format!("{public}\n{hash}"),
            "token_endpoint_auth_method",
            "either a secret or keys",
        ),
        (
            format!("{public}\n{}", by("none")),
            "token_endpoint_auth_method",
            "of no use to it",
        ),
        (
            format!("{hash}\n{}", by("private_key_jwt")),
            "token_endpoint_auth_method",
            "of no use to it",
        ),
        (
            by("client_secret_post"),
            "token_endpoint_auth_method",
            "`secret_hash` is needed",
        ),
        (
            by("client_secret_jwt"),
            "token_endpoint_auth_method",
            "no such method",
        ),
        (
            format!("{public}\ntoken_endpoint_auth_signing_alg = \"HS256\""),
            "token_endpoint_auth_signing_alg",
            "no algorithm with a public key",
        ),
    ];
    for (text, member, reason) in cases {
        let client = "[[clients]]\nid = \"a\"\nredirect_uris = [\"https://a.example/\"]";
        let report = refused(environment(&[]), &format!("{client}\n{text}\n"));
        assert!(report.contains("has one fault"), "{report}");
        let place = format!("`clients[0].{member}` in config.toml");
        assert!(
            report.contains(&place) && report.contains(reason),
            "{reason}\n{report}"
        );
        assert!(!report.contains("hunter2"), "{report}");
        assert!(!report.contains(key["d"].as_str().unwrap()), "{report}");
    }
}

#[test]
fn wrong_clients_are_told_by_their_place() {
    let text = r#"
        [[clients]]
        id = "a"
        secret_hash = "hunter2"
        redirect_uris = ["https://a.example/"]
        [[clients]]
        id = "https://a.example/client"
        redirect_uris = ["javascript:alert(1)"]
        [[clients]]
        redirect_uris = ["https://a.example/"]
        [[clients]]
        id = "b"
        redirect_uris = ["https://a.example/", "http://localhost/"]
        skip_consent = true
        redirect_uri = "x"
        [[clients]]
        id = "c"
        redirect_uris = ["https://a.example/"]
        scope = [1]
        skip_consent = "yes"
        [[clients]]
        id = "d"
        [[clients]]
        id = "e"
        redirect_uris = ["https://a.example/"]
        [[clients]]
        id = "e"
        redirect_uris = ["https://a.example/"]
        [[clients]]
        id = "mcp-server"
        redirect_uris = ["https://a.example/"]
    "#;
    let report = refused(environment(&[]), text);

    for expected in [
        "`clients[0].secret_hash` in config.toml holds [redacted]",
        "`clients[1].id` in config.toml holds `\"https://a.example/client\"`",
        "redirect_uris[0]: its scheme is neither",
        "`clients[2].id` in config.toml is missing",
        "`clients[8].id` in config.toml holds `\"mcp-server\"`",
        "`clients[3].skip_consent` in config.toml holds `true`",
        "`clients[3].redirect_uri` in config.toml is unknown\n    reason:  there is no such key; did you mean `redirect_uris`?",
        "`clients[4].scope` in config.toml",
        "`clients[4].skip_consent` in config.toml",
        "redirect_uris: at least one is needed",
        "`clients[7].id` in config.toml holds `\"e\"`\n    reason:  another client has it",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
}

#[test]
fn scopes_of_the_file_are_described_and_checked() {
    let config = loaded(
        nothing(),
        include_str!("../../../../../docs/samples/scopes.toml"),
    );
    assert_eq!(
        config.scopes.to_string(),
        "openid offline_access files:read"
    );
    let [read, write] = config.scope_details.as_slice() else {
        panic!("{:?}", config.scope_details);
    };
    assert_eq!(read.name.as_str(), "files:read");
    assert!(read.identity_scopes.is_empty());
    assert_eq!(
        write.description.as_deref(),
        Some("change and delete your files")
    );
    assert_eq!(write.identity_scopes.to_string(), "drive");

    let text = "[[scopes]]\nname = \"a b\"\n[[scopes]]\ndescription = \"x\"\n\
                [[scopes]]\nname = \"c\"\ndescription = \"a\\nb\"\nidentity_scope = [\"x\"]\n\
                [[scopes]]\nname = \"d\"\nidentity_scopes = 1\n\
                [[scopes]]\nname = \"e\"\n[[scopes]]\nname = \"e\"\n";
    let report = refused(environment(&[]), text);
    for expected in [
        "`scopes[0].name` in config.toml holds `\"a b\"`\n    reason:  it is no scope",
        "`scopes[1].name` in config.toml is missing",
        "`scopes[2].description` in config.toml",
        "there is no such key; did you mean `identity_scopes`?",
        "`scopes[3].identity_scopes` in config.toml holds `1`",
        "`scopes[5].name` in config.toml holds `\"e\"`\n    reason:  it stands there twice",
    ] {
        assert!(report.contains(expected), "{expected}\n{report}");
    }
}
