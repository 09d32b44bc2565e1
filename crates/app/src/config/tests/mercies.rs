//! What is forgiven: empty variables, and what the predecessor tolerated in its own.

use super::*;

#[test]
fn an_empty_variable_is_an_absent_one() {
    let names = crate::env::ALL.iter().map(|variable| variable.name);
    let all_empty = names.fold(environment(&[]), |environment, name| {
        let is_least = LEAST.iter().any(|(least, _)| *least == name);
        if is_least {
            environment
        } else {
            environment.with(name, "")
        }
    });
    let (config, warnings) = loaded_from(&all_empty);

    assert_eq!(warnings, []);
    assert_eq!(
        explain::render(&config),
        explain::render(&self::config(&[]))
    );
}

#[test]
fn an_empty_variable_hides_that_of_dotenv() {
    let directory = directory(&[(".env", "BRANDING_TITLE=dotenv\n")]);
    let environment =
        environment(&[("BRANDING_TITLE", "")]).with_dotenv(Some(directory.path().join(".env")));

    assert_eq!(
        loaded_from(&environment).0.branding_title,
        "Login for Model Context Protocol"
    );
}

#[test]
fn there_need_be_no_dotenv() {
    let environment = environment(&[]).with_dotenv(Some("/nonexistent/.env".into()));

    assert_eq!(loaded_from(&environment).1, []);
}

#[test]
fn only_true_ever_turned_a_switch_on() {
    let (config, warnings) = warned(&[
        ("LOCAL_INSECURE", "1"),
        ("MCP_AUTH_PROXY_VERIFY_RELEASE", "yes"),
    ]);
    assert!(!config.local_insecure && !config.verify_release);
    assert_eq!(
        warnings,
        [
            "LOCAL_INSECURE holds `1` and counts as `false`: only `true` turns it on",
            "MCP_AUTH_PROXY_VERIFY_RELEASE holds `yes` and counts as `false`: only `true` turns it on",
        ]
    );

    let (config, warnings) = warned(&[
        ("LOCAL_INSECURE", "true"),
        ("MCP_AUTH_PROXY_VERIFY_RELEASE", "true"),
    ]);
    assert!(config.local_insecure && config.verify_release);
    assert_eq!(warnings, <[&str; 0]>::default());
}

#[test]
fn a_base_url_that_implies_it_overrules_local_insecure() {
    let (config, warnings) = warned(&[
        ("BASE_URL", "http://localhost:3001"),
        ("LOCAL_INSECURE", "false"),
    ]);

    assert!(config.local_insecure);
    assert_eq!(
        warnings,
        ["LOCAL_INSECURE counts as `true`, since BASE_URL is plain http on loopback"]
    );
}

#[test]
fn max_requests_means_what_it_meant() {
    for (text, meant, is_odd) in [
        ("100", Some(100), false),
        (" 7 ", Some(7), false),
        ("0", Some(0), true),
        ("-1", Some(0), true),
        ("2.9", Some(2), true),
        ("1e3", Some(1000), true),
        ("many", None, true),
        ("99999999999", None, true),
    ] {
        let (config, warnings) = warned(&[("MAX_REQUESTS", text)]);
        assert_eq!(config.max_requests, meant, "{text}");
        assert_eq!(warnings.len(), usize::from(is_odd), "{warnings:?}");
    }
    let (_, warnings) = warned(&[("MAX_REQUESTS", "0")]);
    assert_eq!(
        warnings,
        [
            "MAX_REQUESTS holds `0`, which refuses every login, registration and other counted \
          request, as it did before; 60 is usual"
        ]
    );
}

#[test]
fn a_window_that_is_no_number_is_the_usual_one() {
    for (text, milliseconds, is_odd) in [
        ("1000", 1000, false),
        ("0", 60_000, true),
        ("60s", 60_000, true),
        ("9999999999", 60_000, true),
    ] {
        let (config, warnings) = warned(&[("MAX_REQUESTS_WINDOW", text)]);
        assert_eq!(
            config.max_requests_window,
            Duration::from_millis(milliseconds),
            "{text}"
        );
        assert_eq!(warnings.len(), usize::from(is_odd), "{warnings:?}");
    }
}

#[test]
fn an_odd_log_level_is_info() {
    let (config, warnings) = warned(&[("LOG_LEVEL", "chatty")]);
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(
        warnings,
        [
            "LOG_LEVEL holds `chatty` and counts as `info`: error, warn, info, http, verbose, debug, \
          silly or trace are known"
        ]
    );
    assert_eq!(
        self::config(&[("LOG_LEVEL", "Silly")]).log.level,
        LogLevel::Trace
    );
}

#[test]
fn the_predecessors_inner_hop_is_accepted() {
    config(&[(
        "IDENTITY_UNIQUE_CALLBACK_PATH",
        "/interaction/:uid/identity/callback",
    )]);
}

#[test]
fn what_never_reached_the_mcp_server_is_dropped_with_a_warning() {
    let (config, warnings) =
        warned(&[("MCP_SERVER_URL", "http://me:hunter2@localhost:3000/mcp#x")]);

    assert_eq!(config.servers[0].url.as_str(), "http://localhost:3000/mcp");
    assert_eq!(warnings.len(), 1);
    assert!(!explain::render(&config).contains("hunter2"));
}

#[test]
fn an_icon_that_cannot_be_shown_is_not() {
    let (config, warnings) = warned(&[("BRANDING_FAVICON", "favicon.ico")]);

    assert!(config.branding_favicon.is_none());
    assert_eq!(warnings.len(), 1);
}

#[test]
fn the_platforms_certificates_may_be_elsewhere() {
    let directory = directory(&[("ca.pem", "")]);
    let path = path_in(&directory, "ca.pem");
    let (config, warnings) = warned(&[
        ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
        ("NODE_EXTRA_CA_CERTS", &path),
    ]);

    assert_eq!(config.ca_files.len(), 1);
    assert_eq!(
        warnings,
        [
            "SSL_CERT_FILE holds `/nonexistent/ca.pem` and is passed over: the file cannot be read: \
          it does not exist"
        ]
    );
}

#[test]
fn a_misspelt_name_of_ours_is_told() {
    let (_, warnings) = warned(&[
        ("MCP_AUTH_PROXY_ACCES_TTL", "5m"),
        ("MCP_AUTH_PROXY_SOMETHING", "x"),
    ]);

    assert_eq!(
        warnings,
        [
            "MCP_AUTH_PROXY_ACCES_TTL is no variable of this release and has no effect; did you \
             mean MCP_AUTH_PROXY_ACCESS_TTL?",
            "MCP_AUTH_PROXY_SOMETHING is no variable of this release and has no effect",
        ]
    );
}

#[test]
fn what_has_no_effect_without_redis_or_with_it_is_told() {
    let (_, warnings) = warned(&[
        ("MCP_AUTH_PROXY_REDIS_PREFIX", "oidc:"),
        ("MCP_AUTH_PROXY_REDIS_TLS", "insecure"),
    ]);
    assert_eq!(warnings.len(), 2);

    let (config, warnings) = warned(&[
        ("REDIS_URL", "redis://localhost"),
        ("MCP_AUTH_PROXY_REDIS_TLS", "insecure"),
        ("MCP_AUTH_PROXY_SENTINEL_USERNAME", "proxy"),
        ("MCP_AUTH_PROXY_DATA_DIR", "x"),
    ]);
    assert!(matches!(config.store, StoreConfig::Redis(_)));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("names no sentinels"), "{warnings:?}");
    assert!(warnings[2].contains("kept in Redis"), "{warnings:?}");
}

#[test]
fn a_dyno_that_binds_loopback_only_is_told() {
    let (_, warnings) = warned(&[
        ("DYNO", "web.1"),
        ("LOCAL_INSECURE", "true"),
        ("MCP_AUTH_PROXY_DATA_DIR", "x"),
    ]);

    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("router cannot reach"), "{warnings:?}");
}

#[test]
fn a_line_of_dotenv_that_says_nothing_is_told() {
    let directory = directory(&[(".env", "# fine\nnonsense\n")]);
    let path = directory.path().join(".env");
    let (_, warnings) = loaded_from(&environment(&[]).with_dotenv(Some(path.clone())));

    assert_eq!(
        warnings[0].to_string(),
        format!(
            "{} has no assignment in line 2; the line is skipped",
            path.display()
        )
    );
}
