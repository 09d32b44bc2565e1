//! What stops the start, and in what words.

use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;

use super::*;

#[test]
fn an_empty_environment_is_told_everything_it_lacks() {
    let nothing = Environment::of::<&str, &str>([]);

    assert_eq!(
        refused_from(&nothing),
        "\
the configuration has 6 faults

  BASE_URL is missing
    reason:  it is needed: the public URL of this proxy
    allowed: an https URL without query and fragment; http on a loopback host
    example: BASE_URL=https://mcp.example.com

  IDENTITY_SERVER_URL is missing
    reason:  it is needed unless IDENTITY_SERVER_METADATA_FILE or MCP_AUTH_PROXY_USERS_FILE is set: the identity provider's issuer
    allowed: an https URL; http on a loopback host
    example: IDENTITY_SERVER_URL=https://login.example.com

  IDENTITY_CLIENT_ID is missing
    reason:  it is needed with an identity provider: the proxy's client id at the identity provider
    allowed: the client id that the provider gave
    example: IDENTITY_CLIENT_ID=mcp-auth-proxy

  IDENTITY_CLIENT_SECRET is missing
    reason:  it is needed with an identity provider: the proxy's client secret at the identity provider
    allowed: the client secret that the provider gave
    example: IDENTITY_CLIENT_SECRET=the-secret-from-the-provider

  MCP_SERVER_URL is missing
    reason:  it is needed: where the MCP server is reached
    allowed: an http or https URL
    example: MCP_SERVER_URL=http://localhost:3000/mcp

  MCP_AUTH_PROXY_DATA_DIR is missing
    reason:  it is needed, since neither XDG_STATE_HOME nor HOME says where state may lie: the directory of the embedded store
    allowed: the path of a directory
    example: MCP_AUTH_PROXY_DATA_DIR=/var/lib/mcp-auth-proxy"
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = refused(&[
        ("PORT", "abc"),
        ("BASE_URL", "http://mcp.example.com"),
        ("MCP_AUTH_PROXY_ACCESS_TTL", "5 weeks"),
        ("OIDC_PROVIDER_JWKS", "[{hunter2"),
    ]);

    assert_eq!(
        text,
        "\
the configuration has 4 faults

  BASE_URL holds `http://mcp.example.com`
    reason:  plain `http` is for loopback hosts only; use `https://`
    allowed: an https URL without query and fragment; http on a loopback host
    example: BASE_URL=https://mcp.example.com

  PORT holds `abc`
    reason:  it is no port number
    allowed: a port number, 0 to 65535
    example: PORT=3001

  OIDC_PROVIDER_JWKS holds [redacted]
    reason:  it is not JSON (line 1, column 3)
    allowed: a JSON array of private JWKs, or an object with such an array as `keys`
    example: OIDC_PROVIDER_JWKS='[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"…\",\"x\":\"…\"}]'

  MCP_AUTH_PROXY_ACCESS_TTL holds `5 weeks`
    reason:  `weeks` is no unit of time
    allowed: a duration with its unit (`90s`, `15m`, `2h`, `14d`), or seconds; more than 0, at most 7d
    example: MCP_AUTH_PROXY_ACCESS_TTL=1h"
    );
}

/// One wrong value, and words of the reason.
#[test]
fn wrong_values_are_told_why() {
    for (name, value, words) in [
        ("BASE_URL", "mcp.example.com", "not an absolute URL"),
        ("BASE_URL", "ftp://mcp.example.com", "its scheme is `ftp`"),
        ("BASE_URL", "https://mcp.example.com/?x=1", "query"),
        ("PORT", "70000", "no port number"),
        (
            "MCP_AUTH_PROXY_HOST",
            "mcp.example.com",
            "`mcp.example.com` is no IP address",
        ),
        ("MCP_AUTH_PROXY_HOST", ",", "names no address"),
        (
            "MCP_AUTH_PROXY_TRUSTED_PROXIES",
            "everybody",
            "`everybody` is neither",
        ),
        (
            "MCP_SERVER_URL",
            "localhost:3000",
            "its scheme is `localhost`",
        ),
        (
            "MCP_SERVER_URL",
            "http://localhost:3000/a%2Fb",
            "encoded slash",
        ),
        (
            "MCP_SERVER_URL",
            "http://localhost:3001/mcp",
            "port 3001 is the proxy's own",
        ),
        (
            "MCP_SERVER_RUN_ARGS_JSON",
            "[\"start\"]",
            "no MCP_SERVER_RUN_COMMAND",
        ),
        (
            "MCP_AUTH_PROXY_PUBLIC_PATHS",
            "proof",
            "`proof`: it does not begin with one `/`",
        ),
        (
            "MCP_AUTH_PROXY_REGISTRATION_TOKEN",
            "hunter2",
            "fewer than 16 characters",
        ),
        (
            "MCP_AUTH_PROXY_REGISTRATION_MANAGEMENT",
            "on",
            "neither `true` nor `false`",
        ),
        (
            "MCP_AUTH_PROXY_INTROSPECTION_SECRET",
            "hunter2",
            "fewer than 16 characters",
        ),
        (
            "IDENTITY_SERVER_URL",
            "http://login.example.com",
            "plain `http`",
        ),
        (
            "IDENTITY_SERVER_URL",
            "https://login.example.com/?x",
            "neither query nor fragment",
        ),
        (
            "IDENTITY_SERVER_URL",
            "https://me:hunter2@login.example.com",
            "user information",
        ),
        (
            "IDENTITY_SERVER_METADATA_FILE",
            "/nonexistent/m.json",
            "it does not exist",
        ),
        (
            "MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS",
            "access_type=offline&state=x",
            "`state` is set by the proxy itself",
        ),
        (
            "MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS",
            "offline",
            "write `name=value`",
        ),
        ("IDENTITY_SCOPE", ", ,", "names no scope"),
        ("IDENTITY_SCOPE", "a\"b", "visible ASCII"),
        ("IDENTITY_CALLBACK_PATH", "callback", "begin with one `/`"),
        ("IDENTITY_CALLBACK_PATH", "/token", "another endpoint"),
        ("IDENTITY_CALLBACK_PATH", "/interaction", "another endpoint"),
        (
            "MCP_AUTH_PROXY_IDENTITY_ISSUER",
            "{tenantid}",
            "not an absolute URL",
        ),
        ("PROVIDER_SCOPE", ",", "names no scope"),
        ("OIDC_PROVIDER_JWKS", "[]", "key"),
        ("MCP_AUTH_PROXY_ACCESS_TTL", "0", "less than one second"),
        ("MCP_AUTH_PROXY_ACCESS_TTL", "8d", "more than 7d"),
        (
            "MCP_AUTH_PROXY_REFRESH_IDLE",
            "-1",
            "does not begin with a whole number",
        ),
        (
            "MCP_AUTH_PROXY_STRICT_OFFLINE_ACCESS",
            "1",
            "neither `true` nor `false`",
        ),
        (
            "MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS",
            "https://claude.ai/x",
            "neither host",
        ),
        ("MCP_AUTH_PROXY_DEVICE", "false", "neither `on` nor `off`"),
        ("MCP_AUTH_PROXY_DATA_DIR", "/dev/null", "no directory"),
        ("MCP_AUTH_PROXY_CACHE_MB", "0", "not between 1 and"),
        ("MCP_AUTH_PROXY_CACHE_MB", "64 MiB", "no whole number"),
        (
            "MCP_AUTH_PROXY_REDIS_URL",
            "http://:hunter2@host",
            "its scheme is none of",
        ),
        (
            "MCP_AUTH_PROXY_REDIS_URL",
            "redis-sentinel://:hunter2@host",
            "?master=",
        ),
        ("REDIS_URL", "redis://:hun#ter2@host", "%23"),
        ("MCP_AUTH_PROXY_STORE_GRACE", "a while", "whole number"),
        ("MCP_AUTH_PROXY_MAX_BODY", "2 GiB", "more than 1 GiB"),
        ("MCP_AUTH_PROXY_SSE_KEEPALIVE", "often", "whole number"),
        ("MCP_AUTH_PROXY_ALLOWED_ORIGINS", "*", "pages of everybody"),
        (
            "MCP_AUTH_PROXY_CA_FILE",
            "/nonexistent/ca.pem",
            "it does not exist",
        ),
        ("OIDC_PROVIDER_VIEWS_PATH", "views", "no absolute path"),
        (
            "OIDC_PROVIDER_VIEWS_PATH",
            "/nonexistent/views",
            "it does not exist",
        ),
        (
            "MCP_AUTH_PROXY_CONFIG",
            "/nonexistent/config.toml",
            "it does not exist",
        ),
        (
            "MCP_AUTH_PROXY_LOG_FORMAT",
            "xml",
            "neither `text` nor `json`",
        ),
    ] {
        let text = fault(&[(name, value)]);
        assert!(text.starts_with(&format!("  {name} holds ")), "{text}");
        let reason = text
            .lines()
            .find(|line| line.starts_with("    reason:"))
            .unwrap();
        assert!(reason.contains(words), "{reason}");
        assert!(text.contains("    allowed: "), "{text}");
    }
}

#[test]
fn wrong_arguments_and_variables_of_the_command_are_told() {
    let command = ("MCP_SERVER_RUN_COMMAND", "npm");
    for (name, value, words) in [
        ("MCP_SERVER_RUN_ARGS_JSON", "start", "no JSON"),
        ("MCP_SERVER_RUN_ARGS_JSON", "{}", "no array"),
        ("MCP_SERVER_RUN_ARGS_JSON", "[[]]", "[] is no text"),
        ("MCP_SERVER_RUN_DIR", "/nonexistent", "it does not exist"),
        (
            "MCP_SERVER_RUN_ENV_JSON",
            "{hunter2",
            "no JSON, from line 1",
        ),
        ("MCP_SERVER_RUN_ENV_JSON", "[\"hunter2\"]", "no object"),
        (
            "MCP_SERVER_RUN_ENV_JSON",
            "{\"A\":[\"hunter2\"]}",
            "`A` is neither text",
        ),
        (
            "MCP_SERVER_RUN_ENV_JSON",
            "{\"A=B\":\"hunter2\"}",
            "`A=B` cannot be the name",
        ),
        (
            "MCP_SERVER_RUN_ENV_JSON",
            "{\"A\":\"hunter2\\u0000\"}",
            "`A` holds a NUL",
        ),
    ] {
        let text = fault(&[command, (name, value)]);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_path_of_our_own_is_no_mcp_path() {
    for path in [
        "/auth",
        "/authorize",
        "/token",
        "/token/x",
        "/reg",
        "/register",
        "/jwks",
        "/me",
        "/device",
        "/request",
        "/session",
        "/session/end",
        "/interaction",
        "/interaction/identity/callback",
        "/.well-known",
        "/.well-known/x",
        "/favicon.ico",
        "/me/",
    ] {
        let text = fault(&[("MCP_SERVER_URL", &format!("http://localhost:3000{path}"))]);
        assert!(
            text.contains("overlaps with the proxy's own endpoint"),
            "{text}"
        );
    }
    for path in ["/", "", "/authors", "/mcp/token", "/mecum"] {
        config(&[("MCP_SERVER_URL", &format!("http://localhost:3000{path}"))]);
    }
    let text = fault(&[
        ("MCP_SERVER_URL", "http://localhost:3000/login"),
        ("IDENTITY_CALLBACK_PATH", "/login/done"),
    ]);
    assert!(text.contains("`/login/done`"), "{text}");
}

#[test]
fn a_public_path_opens_no_mcp_endpoint() {
    let public = |mcp: &str, path: &str| {
        let url = format!("http://localhost:3000{mcp}");
        let environment = environment(&[
            ("MCP_SERVER_URL", &url),
            ("MCP_AUTH_PROXY_PUBLIC_PATHS", path),
        ]);
        load(&Flags::default(), &environment).is_ok()
    };
    assert!(public(
        "/mcp",
        "/.well-known/openai-apps-challenge, /robots.txt"
    ));
    assert!(public("/", "/robots.txt"));
    for (mcp, path) in [
        ("/mcp", "/mcp"),
        ("/mcp", "/mcp/"),
        ("/mcp", "/mcp/tools"),
        ("/", "/"),
        ("/mcp", "/token"),
        ("/mcp", "/.well-known/oauth-protected-resource/x"),
        ("/mcp", "/interaction/identity/callback"),
    ] {
        assert!(!public(mcp, path), "{mcp} {path}");
    }
}

#[test]
fn a_dyno_without_a_directory_is_told_what_is_true() {
    let text = fault(&[("DYNO", "web.1")]);

    assert!(
        text.starts_with("  MCP_AUTH_PROXY_DATA_DIR is missing"),
        "{text}"
    );
    assert!(
        text.contains("a dyno forgets its disk at each restart"),
        "{text}"
    );
    assert!(text.contains("heroku addons:create heroku-redis"), "{text}");
}

#[test]
fn what_belongs_to_redis_is_judged_with_it() {
    let url = ("MCP_AUTH_PROXY_REDIS_URL", "rediss://:hunter2@host");
    let text = fault(&[url, ("MCP_AUTH_PROXY_REDIS_TLS", "off")]);
    assert!(text.contains("neither `verify` nor `insecure`"), "{text}");
    let directory = directory(&[("cert.pem", "x")]);
    let certificate = path_in(&directory, "cert.pem");
    let text = fault(&[url, ("MCP_AUTH_PROXY_REDIS_CERT", &certificate)]);
    assert!(
        text.starts_with("  MCP_AUTH_PROXY_REDIS_KEY is missing"),
        "{text}"
    );
}

#[test]
fn keys_that_machines_share_need_a_secret_to_be_sealed_under() {
    let directory = directory(&[("users.toml", USERS)]);
    let users = path_in(&directory, "users.toml");
    let least = environment_without(&[
        "IDENTITY_SERVER_URL",
        "IDENTITY_CLIENT_ID",
        "IDENTITY_CLIENT_SECRET",
    ]);
    let local = least
        .with("MCP_AUTH_PROXY_USERS_FILE", &users)
        .with("REDIS_URL", "redis://localhost");
    let text = refused_from(&local);
    assert!(text.contains("OIDC_PROVIDER_JWKS is missing"), "{text}");
}

#[test]
fn two_identities_contradict_each_other() {
    let directory = directory(&[("users.toml", USERS)]);
    let text = fault(&[(
        "MCP_AUTH_PROXY_USERS_FILE",
        &path_in(&directory, "users.toml"),
    )]);

    assert!(text.starts_with("  IDENTITY_SERVER_URL holds"), "{text}");
    assert!(
        text.contains("MCP_AUTH_PROXY_USERS_FILE is set too"),
        "{text}"
    );
}

#[test]
fn a_secret_and_its_file_exclude_each_other() {
    let text = fault(&[("IDENTITY_CLIENT_SECRET_FILE", "/run/secrets/x")]);

    assert_eq!(
        text,
        "  IDENTITY_CLIENT_SECRET and IDENTITY_CLIENT_SECRET_FILE exclude each other
    reason:  both are set, and may say different things
    allowed: one of the two"
    );
}

#[test]
fn a_secrets_file_must_hold_something() {
    let directory = directory(&[("empty", "\n")]);
    let least = environment_without(&["IDENTITY_CLIENT_SECRET"]);
    for (path, words) in [
        (path_in(&directory, "empty"), "the file is empty"),
        (path_in(&directory, "absent"), "it does not exist"),
    ] {
        let text = refused_from(&least.clone().with("IDENTITY_CLIENT_SECRET_FILE", &path));
        assert!(
            text.contains("  IDENTITY_CLIENT_SECRET_FILE holds"),
            "{text}"
        );
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn forwarded_headers_cannot_count_where_they_are_ignored() {
    let text = fault(&[
        ("LOCAL_INSECURE", "true"),
        ("MCP_AUTH_PROXY_TRUSTED_PROXIES", "private"),
    ]);

    assert!(
        text.contains("is ignored with `LOCAL_INSECURE=true`"),
        "{text}"
    );
}

#[test]
fn templates_of_the_predecessor_are_told_from_ours() {
    let old = directory(&[("confirm-login.ejs", ""), ("_layout.ejs", "")]);
    let text = fault(&[("OIDC_PROVIDER_VIEWS_PATH", old.path().to_str().unwrap())]);
    assert!(text.contains("docs/guides/page-templates.md"), "{text}");

    let ported = directory(&[("confirm-login.ejs", ""), ("confirm-login.html", "")]);
    config(&[("OIDC_PROVIDER_VIEWS_PATH", ported.path().to_str().unwrap())]);
}

#[test]
fn the_guide_that_a_fault_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(root.join("docs/guides/page-templates.md").is_file());
}

#[test]
fn bytes_that_are_no_text_are_told() {
    let environment =
        environment(&[]).with("BASE_URL", OsString::from_vec(b"https://\xff".to_vec()));
    let text = refused_from(&environment);

    assert!(
        text.contains("  BASE_URL holds [redacted]\n    reason:  it is not UTF-8"),
        "{text}"
    );
    // What is not ours may be anything.
    let other = self::environment(&[]).with("LESSOPEN", OsString::from_vec(vec![0xff]));
    loaded_from(&other);
}

#[test]
fn flags_are_told_by_their_names() {
    let flags = Flags::default().with(&variable::BASE_URL, "nonsense");
    let text = load(&flags, &environment(&[]))
        .map(|_| ())
        .unwrap_err()
        .to_string();

    assert!(text.contains("  --base-url holds `nonsense`"), "{text}");
    assert!(
        text.contains("example: --base-url 'https://mcp.example.com'"),
        "{text}"
    );
}

#[test]
fn values_are_shown_in_one_line_of_bounded_length() {
    let long = format!("a\nb\u{1b}[31m{}", "x".repeat(300));
    let text = fault(&[("PORT", &long)]);
    let line = text.lines().next().unwrap();

    assert!(
        line.starts_with("  PORT holds `a\\nb\\u{1b}[31mxxx"),
        "{line}"
    );
    assert!(line.ends_with("x…`"), "{line}");
}

#[test]
fn a_value_of_dotenv_is_told_from_there() {
    let directory = directory(&[(".env", "PORT=abc\n")]);
    let path = directory.path().join(".env");
    let text = refused_from(&environment(&[]).with_dotenv(Some(path)));

    assert!(text.contains("  PORT (from .env) holds `abc`"), "{text}");
}

#[test]
fn faults_of_dotenv_are_told_by_line() {
    let directory = directory(&[(".env", "A=1\nB=encrypted:hunter2\nC=$(hunter2)\n")]);
    let path = directory.path().join(".env");
    let text = refused_from(&environment(&[]).with_dotenv(Some(path.clone())));

    let path = path.display();
    assert!(
        text.contains(&format!("  B in {path}, line 2 holds [redacted]")),
        "{text}"
    );
    assert!(text.contains("encrypted by dotenvx"), "{text}");
    assert!(
        text.contains(&format!("  C in {path}, line 3 holds [redacted]")),
        "{text}"
    );
}

/// Every example stands in reports and in `.env.example`: it must be right.
#[test]
fn every_example_is_right() {
    // These name files of somebody's, keys, or another way to log in.
    const ELSEWHERE: [&str; 10] = [
        "MCP_SERVER_RUN_ARGS_JSON",
        "MCP_SERVER_RUN_DIR",
        "IDENTITY_SERVER_METADATA_FILE",
        "MCP_AUTH_PROXY_USERS_FILE",
        "OIDC_PROVIDER_JWKS",
        "MCP_AUTH_PROXY_CA_FILE",
        "OIDC_PROVIDER_VIEWS_PATH",
        "MCP_AUTH_PROXY_CONFIG",
        "NODE_EXTRA_CA_CERTS",
        "DYNO",
    ];
    for variable in crate::env::ALL {
        if variable.example.is_empty() || ELSEWHERE.contains(&variable.name) {
            continue;
        }
        loaded_from(&environment(&[(variable.name, variable.example)]));
    }
}

#[test]
fn the_example_file_is_a_right_dotenv() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.env.example");
    let nothing = Environment::of([("HOME", "/home/me")]).with_dotenv(Some(path));
    let (config, warnings) = loaded_from(&nothing);

    assert_eq!(warnings, []);
    assert_eq!(config.base_url.issuer(), "https://mcp.example.com");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Neither a panic nor a secret, whatever a variable holds.
    #[test]
    fn any_value_is_taken_or_refused(
        index in 0..crate::env::ALL.len(),
        text in "[^\0]{0,20}|[0-9a-z:/.,*-]{1,20}",
    ) {
        let name = crate::env::ALL[index].name;
        match load(&Flags::default(), &environment(&[(name, &text)])) {
            Ok((config, _)) => prop_assert!(!explain::render(&config).contains("hunter2")),
            Err(faults) => prop_assert!(!faults.to_string().contains("hunter2")),
        }
    }
}
