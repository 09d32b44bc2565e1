use gateway::process::Command;

use super::*;

/// The environment of a server at port 3000 whose proxy inherited `inherited`.
fn child(inherited: &[(&str, &str)], own: &[(&str, &str)]) -> environment::ChildEnvironment {
    let run = RunConfig {
        command: Command::Shell("npm start".to_owned()),
        directory: None,
        environment: own
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretString::new(*value)))
            .collect(),
    };
    let inherited = inherited
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    let url = Url::parse("http://localhost:3000/mcp").unwrap();
    environment::for_mcp_server(&run, &url, &inherited)
}

fn value(child: &environment::ChildEnvironment, name: &str) -> Option<String> {
    let (_, value) = child.variables.iter().find(|(known, _)| known == name)?;
    Some(value.to_str()?.to_owned())
}

#[test]
fn the_environment_is_inherited_and_the_port_is_the_servers() {
    let child = child(&[("PATH", "/bin"), ("PORT", "8080")], &[]);

    assert_eq!(value(&child, "PATH").as_deref(), Some("/bin"));
    assert_eq!(value(&child, "PORT").as_deref(), Some("3000"));
    assert_eq!(child.notes, <[&str; 0]>::default());
}

#[test]
fn its_own_variables_come_last() {
    let child = child(&[("A", "inherited")], &[("PORT", "4000"), ("A", "own")]);

    assert_eq!(value(&child, "PORT").as_deref(), Some("4000"));
    assert_eq!(value(&child, "A").as_deref(), Some("own"));
}

#[test]
fn our_secrets_are_withheld_and_that_is_said() {
    let child = child(
        &[
            ("IDENTITY_CLIENT_SECRET", "hunter2"),
            ("OIDC_PROVIDER_JWKS_FILE", "/run/keys"),
            ("MCP_AUTH_PROXY_REDIS_URL", ""),
            ("REDIS_URL", "redis://its-own"),
        ],
        &[],
    );

    assert_eq!(value(&child, "IDENTITY_CLIENT_SECRET"), None);
    assert_eq!(value(&child, "OIDC_PROVIDER_JWKS_FILE"), None);
    assert_eq!(value(&child, "MCP_AUTH_PROXY_REDIS_URL"), None);
    assert_eq!(
        value(&child, "REDIS_URL").as_deref(),
        Some("redis://its-own")
    );
    assert_eq!(
        child.notes,
        [
            "the MCP server does not get IDENTITY_CLIENT_SECRET, OIDC_PROVIDER_JWKS_FILE; name it in \
          MCP_SERVER_RUN_ENV_JSON if it should"
        ]
    );
    assert!(!format!("{child:?}").contains("hunter2"));
}

#[test]
fn a_secret_that_is_named_is_handed_over_and_that_is_said() {
    let child = child(
        &[("IDENTITY_CLIENT_SECRET", "hunter2")],
        &[("IDENTITY_CLIENT_SECRET", "another")],
    );

    assert_eq!(
        value(&child, "IDENTITY_CLIENT_SECRET").as_deref(),
        Some("another")
    );
    assert_eq!(
        child.notes,
        ["the MCP server gets IDENTITY_CLIENT_SECRET, since MCP_SERVER_RUN_ENV_JSON names it"]
    );
}

#[test]
fn a_server_without_a_port_has_that_of_its_scheme() {
    let run = RunConfig {
        command: Command::Shell(String::new()),
        directory: None,
        environment: Vec::new(),
    };
    let url = Url::parse("http://tools.internal/mcp").unwrap();
    let child = environment::for_mcp_server(&run, &url, &BTreeMap::new());

    assert_eq!(value(&child, "PORT").as_deref(), Some("80"));
}

#[test]
fn what_dotenv_says_is_inherited_too() {
    let directory = directory(&[(".env", "HEROKU_API_URL=https://api.example.com\n")]);
    let environment = super::environment(&[]).with_dotenv(Some(directory.path().join(".env")));
    let (config, _) = loaded_from(&environment);

    let inherited = &config.inherited.0;
    assert!(inherited.contains_key(std::ffi::OsStr::new("HEROKU_API_URL")));
    assert!(!format!("{config:?}").contains("hunter2"));
}
