use super::*;
use crate::cli::Flags;

/// What a start needs at least, with `more` over it.
fn environment(more: &[(&str, &str)]) -> Environment {
    let least = [
        ("BASE_URL", "https://mcp.example.com"),
        ("MCP_SERVER_URL", "http://localhost:3000/mcp"),
        ("IDENTITY_SERVER_URL", "https://login.example.com"),
        ("IDENTITY_CLIENT_ID", "proxy"),
        ("IDENTITY_CLIENT_SECRET", "hunter2-secret"),
        ("HOME", "/home/me"),
    ];
    more.iter()
        .fold(Environment::of(least), |environment, (name, value)| {
            environment.with(*name, *value)
        })
}

fn loaded(more: &[(&str, &str)]) -> (Config, Vec<Warning>) {
    load(&Flags::default(), &environment(more)).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(more: &[(&str, &str)]) -> String {
    load(&Flags::default(), &environment(more))
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

#[test]
fn the_least_configuration_serves() {
    let (config, warnings) = loaded(&[]);

    assert_eq!(warnings, []);
    assert_eq!(config.base_url.issuer(), "https://mcp.example.com");
    assert_eq!(config.servers[0].url.as_str(), "http://localhost:3000/mcp");
}

#[test]
fn all_faults_are_told_at_once() {
    let told = faults(&[
        ("PORT", "abc"),
        ("MCP_AUTH_PROXY_ACCESS_TTL", "5 weeks"),
        ("REDIS_URL", "redis://:hunter2@redis.example.com"),
        ("OIDC_PROVIDER_JWKS", "[{hunter2"),
    ]);

    for expected in [
        "4 faults",
        "PORT holds `abc`",
        "`weeks` is no unit",
        "REDIS_URL holds [redacted]",
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}
