use super::*;

fn asked(arguments: &[&str]) -> Result<Invocation, clap::Error> {
    parse(["mcp-auth-proxy"].iter().chain(arguments))
}

fn demo_of(arguments: &[&str]) -> DemoArguments {
    match asked(arguments) {
        Ok(Invocation::Demo(arguments)) => arguments,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
}

#[test]
fn without_a_command_it_serves() {
    assert_eq!(asked(&[]).unwrap(), Invocation::Serve(Flags::default()));
}

#[test]
fn flags_are_settings_by_their_variable() {
    let Invocation::Serve(flags) = asked(&[
        "--base-url",
        "https://mcp.example.com",
        "--port=80",
        "--log-level",
        "",
    ])
    .unwrap() else {
        panic!("it serves");
    };

    assert_eq!(flags.value("BASE_URL"), Some("https://mcp.example.com"));
    assert_eq!(flags.value("PORT"), Some("80"));
    assert_eq!(flags.value("LOG_LEVEL"), None);
}

#[test]
fn the_configuration_is_printed_with_flags_before_or_behind() {
    let expected = Flags(BTreeMap::from([
        ("PORT", "2".to_owned()),
        ("BASE_URL", "x".to_owned()),
    ]));

    let Invocation::Config(flags) =
        asked(&["--port", "1", "--base-url", "x", "config", "--port", "2"]).unwrap()
    else {
        panic!("it is printed");
    };
    assert_eq!(flags, expected);
}

#[test]
fn a_demo_takes_a_server_or_a_command() {
    assert_eq!(demo_of(&["demo"]), DemoArguments::default());

    let server = demo_of(&["demo", "--server", "http://localhost:3000/mcp", "--fresh"]);
    assert_eq!(server.server.unwrap().as_str(), "http://localhost:3000/mcp");
    assert!(server.fresh);

    let command = demo_of(&[
        "demo", "--port", "8080", "--", "npx", "-y", "server", "--fresh",
    ]);
    assert_eq!(command.command, ["npx", "-y", "server", "--fresh"]);
    assert_eq!(command.port, Some(8080));
    assert!(!command.fresh);

    let tunnel = demo_of(&["demo", "--base-url", "https://x.trycloudflare.com"]);
    assert_eq!(
        tunnel.base_url.as_deref(),
        Some("https://x.trycloudflare.com")
    );
}

#[test]
fn status_takes_only_what_finds_the_directory() {
    let invocation = parse(["mcp-auth-proxy", "status", "--json", "--data-dir", "/data"]).unwrap();
    let Invocation::Status(arguments) = invocation else {
        panic!("{invocation:?}");
    };
    assert!(arguments.json);
    assert_eq!(
        arguments.flags.value("MCP_AUTH_PROXY_DATA_DIR"),
        Some("/data")
    );
    assert!(parse(["mcp-auth-proxy", "status", "--port", "1"]).is_err());
}

#[test]
fn a_demo_may_start_a_server_and_be_told_where_it_listens() {
    let line = [
        "mcp-auth-proxy",
        "demo",
        "--server",
        "http://localhost:4000/",
        "--",
        "node",
        "-v",
    ];
    let Invocation::Demo(arguments) = parse(line).unwrap() else {
        panic!("no demo");
    };
    assert_eq!(arguments.command, ["node", "-v"]);
    assert_eq!(arguments.server.unwrap().as_str(), "http://localhost:4000/");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [
        &["--nonsense"][..],
        &["nonsense"],
        &["demo", "--server", "ftp://x"],
        &["demo", "--port", "70000"],
        &["hash-password", "hunter2"],
        &["--identity-client-secret", "hunter2"],
    ] {
        let error = asked(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn hashing_reads_no_password_from_the_command_line() {
    assert_eq!(asked(&["hash-password"]).unwrap(), Invocation::HashPassword);
}

fn keys_of(arguments: &[&str]) -> KeysCommand {
    match asked(arguments) {
        Ok(Invocation::Keys(command)) => command,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_are_rotated_in_an_hour_unless_told_otherwise() {
    let rotation = |arguments: &[&str]| match keys_of(arguments) {
        KeysCommand::Rotate { rotation, .. } => rotation,
        other => panic!("{other:?}"),
    };
    let usual = RotationRequest {
        algorithm: None,
        wait_seconds: 3_600,
        withdraw: false,
    };
    assert_eq!(rotation(&["keys", "rotate"]), usual);
    assert_eq!(
        rotation(&["keys", "rotate", "--in", "1d", "--alg", "EdDSA"]),
        RotationRequest {
            algorithm: Some("EdDSA".to_owned()),
            wait_seconds: 86_400,
            withdraw: false,
        }
    );
    assert_eq!(
        rotation(&["keys", "rotate", "--now", "--withdraw"]),
        RotationRequest {
            wait_seconds: 0,
            withdraw: true,
            ..usual
        }
    );
}

#[test]
fn keys_know_the_data_directory_and_nothing_that_makes_no_sense() {
    let listed = keys_of(&["--data-dir", "/a", "keys", "list", "--json"]);
    let flags = Flags(BTreeMap::from([(
        "MCP_AUTH_PROXY_DATA_DIR",
        "/a".to_owned(),
    )]));
    assert_eq!(listed, KeysCommand::List { flags, json: true });
    assert_eq!(
        keys_of(&["keys", "generate", "--alg", "ES384", "--in", "2h"]),
        KeysCommand::Generate {
            algorithm: SigningAlgorithm::Es384,
            wait: Some(Duration::from_secs(7_200)),
        }
    );
    for arguments in [
        &["keys"][..],
        &["keys", "rotate", "--alg", "HS256"],
        &["keys", "rotate", "--in", "1m"],
        &["keys", "rotate", "--in", "1h", "--now"],
        &["keys", "rotate", "--withdraw"],
        &["keys", "generate", "--alg", "none"],
    ] {
        let error = asked(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn a_move_goes_to_one_store_or_takes_a_mark_off() {
    let task = |arguments: &[&str]| match asked(arguments).unwrap() {
        Invocation::Move(arguments) => arguments.task,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        task(&["move", "--to", "redis"]),
        MoveTask::Move {
            to: Side::Redis,
            dry_run: false,
            overwrite: false,
        }
    );
    assert_eq!(
        task(&["move", "--to", "embedded", "--dry-run", "--overwrite"]),
        MoveTask::Move {
            to: Side::Embedded,
            dry_run: true,
            overwrite: true,
        }
    );
    assert_eq!(
        task(&["move", "--unmark", "embedded"]),
        MoveTask::Unmark(Side::Embedded)
    );
    for arguments in [
        &["move"][..],
        &["move", "--to", "valkey"],
        &["move", "--to", "redis", "--unmark", "redis"],
        &["move", "--unmark", "redis", "--dry-run"],
        &["move", "--unmark", "redis", "--overwrite"],
    ] {
        let error = asked(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn an_import_takes_settings_and_may_be_a_rehearsal() {
    let asked = |arguments: &[&str]| match asked(arguments) {
        Ok(Invocation::Import(arguments)) => arguments,
        other => panic!("{other:?}"),
    };
    let plain = asked(&["import-predecessor"]);
    assert!(!plain.dry_run && !plain.json);
    let told = asked(&[
        "--data-dir",
        "/a",
        "import-predecessor",
        "--dry-run",
        "--json",
    ]);
    assert!(told.dry_run && told.json);
    let directory = told.flags.value("MCP_AUTH_PROXY_DATA_DIR");
    assert_eq!(directory, Some("/a"));
}

#[test]
fn the_version_is_that_of_the_package() {
    let shown = asked(&["--version"]).unwrap_err();

    assert_eq!(
        shown.to_string(),
        format!("mcp-auth-proxy {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(shown.exit_code(), 0);
}

#[test]
fn no_flag_holds_a_secret() {
    for variable in ALL {
        assert!(
            variable.flag.is_none() || !variable.is_hidden(),
            "{}",
            variable.name
        );
    }
}

#[test]
fn the_help_is_frozen() {
    let help = asked(&["-h"]).unwrap_err().to_string();

    assert_eq!(help, HELP);
}

const HELP: &str = "\
OAuth in front of any MCP server

Usage: mcp-auth-proxy [OPTIONS] [COMMAND]

Commands:
  serve               Serve; without a command it does so too
  config              Print the configuration as it is meant, with the origin of each value
  demo                Try it out: a proxy with a user of its own, before a small or your own MCP server
  status              Ask the proxy that runs on the data directory how it is, or Redis who shares it
  import-predecessor  Take over the sessions of the Node.js predecessor, so that nobody logs in again
  backup              Copy the embedded store into a file, also while a proxy runs on it
  restore             Put a backup into the place of the embedded store; the proxy must be stopped
  move                Move the sessions from the embedded store to Redis or back; the proxies must be stopped
  keys                Look at the signing keys, exchange them while the proxy runs, or make one
  hash-password       Ask for a password, or read it from a pipe, and print its hash for a users file
  help                Print this message or the help of the given subcommand(s)

Options:
      --base-url <VALUE>             The public URL of this proxy [env: BASE_URL]
      --port <VALUE>                 The port to listen on [env: PORT] [default: 3001]
      --host <VALUE>                 The address to bind [env: MCP_AUTH_PROXY_HOST]
      --mcp-server-url <VALUE>       Where the MCP server is reached [env: MCP_SERVER_URL]
      --identity-server-url <VALUE>  The identity provider's issuer [env: IDENTITY_SERVER_URL]
      --identity-client-id <VALUE>   The proxy's client id at the identity provider [env: IDENTITY_CLIENT_ID]
      --users-file <VALUE>           A file with users of the proxy's own, instead of an identity provider [env: MCP_AUTH_PROXY_USERS_FILE]
      --data-dir <VALUE>             The directory of the embedded store [env: MCP_AUTH_PROXY_DATA_DIR]
      --config <VALUE>               A TOML file for what variables cannot say [env: MCP_AUTH_PROXY_CONFIG]
      --log-level <VALUE>            The most verbose level that is logged [env: LOG_LEVEL] [default: info]
      --log-format <VALUE>           The form of the log's lines [env: MCP_AUTH_PROXY_LOG_FORMAT] [default: text]
  -h, --help                         Print help (see more with '--help')
  -V, --version                      Print version
";
