use super::*;

fn from_file(text: &str) -> Config {
    let directory = directory(&[("config.toml", text)]);
    let path = path_in(&directory, "config.toml");
    let nothing = Environment::of([("HOME", "/home/me")]);
    let (config, warnings) = loaded_from(&nothing.with("MCP_AUTH_PROXY_CONFIG", path));
    assert_eq!(warnings, []);
    config
}

/// The lines below a heading.
fn section(text: &str, heading: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != heading).skip(1);
    let section = lines.take_while(|line| !line.is_empty());
    section.map(str::to_owned).collect()
}

#[test]
fn what_others_are_to_be_told_comes_first() {
    let text = explain::render(&config(&[]));
    let first: Vec<&str> = text.lines().take(4).collect();
    assert_eq!(
        first,
        [
            "# What to tell others",
            "# MCP URL, for people and their clients: https://mcp.example.com/mcp",
            "# Redirect URI, to register at the identity provider: \
             https://mcp.example.com/interaction/identity/callback",
            "",
        ]
    );

    let text = explain::render(&from_file(include_str!(
        "../../../../../docs/samples/several-servers.toml"
    )));
    assert_eq!(
        section(&text, "# What to tell others")[..2],
        [
            "# MCP URL, for people and their clients: https://mcp.example.com/wiki, provider \"staff\"",
            "# MCP URL, for people and their clients: https://mcp.example.com/shop, provider \"partners\"",
        ]
    );
    assert!(
        text.contains("# number 1, \"staff\"\nIDENTITY_SERVER_URL="),
        "{text}"
    );
}

#[test]
fn who_logs_in_here_needs_no_redirect_uri() {
    let directory = directory(&[("users.toml", USERS)]);
    let names = [
        "IDENTITY_SERVER_URL",
        "IDENTITY_CLIENT_ID",
        "IDENTITY_CLIENT_SECRET",
    ];
    let users = path_in(&directory, "users.toml");
    let environment = environment_without(&names).with("MCP_AUTH_PROXY_USERS_FILE", users);
    let text = explain::render(&loaded_from(&environment).0);
    assert!(!text.contains("Redirect URI"), "{text}");
}

#[test]
fn the_lists_of_the_file_are_printed() {
    let text = explain::render(&from_file(include_str!(
        "../../../../../docs/samples/clients.toml"
    )));
    assert_eq!(
        section(&text, "# Clients that need not register ([[clients]])"),
        [
            "# portal, \"Company portal\", proves itself by a secret, redirects to \
             https://portal.example.com/callback, people are not asked for consent",
            "# company-cli, \"Company CLI\", public, redirects to http://127.0.0.1/callback, at \
             most the scopes openid",
            "# reports, \"Monthly reports\", proves itself by a key, redirects to \
             https://reports.example.com/callback",
            "# warehouse, \"Warehouse\", proves itself by a key, redirects to \
             https://warehouse.example.com/callback",
        ]
    );
    assert!(!text.contains("e6db13e0"), "{text}");

    let text = explain::render(&from_file(include_str!(
        "../../../../../docs/samples/scopes.toml"
    )));
    assert_eq!(
        section(&text, "# What scopes mean ([[scopes]])"),
        [
            "# files:read, \"read your files\"",
            "# files:write, \"change and delete your files\", asks the identity provider for drive",
        ]
    );
}

#[test]
fn a_base_url_with_the_mcp_path_is_doubted() {
    let (config, warnings) = warned(&[("BASE_URL", "https://mcp.example.com/mcp")]);
    assert_eq!(config.mcp_urls(), ["https://mcp.example.com/mcp/mcp"]);
    assert_eq!(
        warnings,
        [
            "BASE_URL ends with `/mcp`, the path of MCP_SERVER_URL, which is added to it: the MCP URL \
          is https://mcp.example.com/mcp/mcp. If it is to be https://mcp.example.com/mcp, set \
          BASE_URL=https://mcp.example.com"
        ]
    );
    for other in ["https://mcp.example.com/a-mcp", "https://mcp"] {
        assert_eq!(warned(&[("BASE_URL", other)]).1, <[&str; 0]>::default());
    }
}

#[test]
fn a_loopback_base_url_with_another_port_is_doubted() {
    let (_, warnings) = warned(&[("BASE_URL", "http://localhost:8080")]);
    assert_eq!(
        warnings,
        [
            "BASE_URL names port 8080, but the proxy listens at port 3001 (PORT): clients do not find \
          it, unless something passes connections on. Set PORT=8080, or the port 3001 in BASE_URL"
        ]
    );
    // A router may end TLS on this machine.
    for (base_url, port) in [
        ("http://localhost:8080", "8080"),
        ("http://localhost", "80"),
        ("https://localhost:8443", "3001"),
    ] {
        let (_, warnings) = warned(&[("BASE_URL", base_url), ("PORT", port)]);
        assert_eq!(warnings, <[&str; 0]>::default(), "{base_url}");
    }
}

#[test]
fn one_warning_tells_what_local_insecure_means() {
    let (config, warnings) = warned(&[
        ("BASE_URL", "http://localhost:3001"),
        ("LOCAL_INSECURE", "1"),
    ]);
    assert!(config.local_insecure);
    assert_eq!(
        warnings,
        ["LOCAL_INSECURE counts as `true`, since BASE_URL is plain http on loopback"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_thing_amiss() {
    let nothing = Environment::of([("HOME", "/home/me"), ("PORT", "many")]);
    let flags = Flags::default().with(&variable::MCP_AUTH_PROXY_CONFIG, "/nonexistent/proxy.toml");
    let faults = load(&flags, &nothing).map(drop).unwrap_err().to_string();
    let text = "\
the configuration has 2 faults

  --config holds `/nonexistent/proxy.toml`
    reason:  the file cannot be read: it does not exist
    allowed: the path of a TOML file

  PORT holds `many`";
    assert!(faults.starts_with(text), "{faults}");

    // Nor does a command take another store than the one that the file may name.
    let flags = Flags::default().with(&variable::MCP_AUTH_PROXY_CONFIG, "/nonexistent/proxy.toml");
    assert!(load_store(&flags, &nothing).is_err());
}

#[test]
fn files_that_cannot_be_used_are_told_with_everything_else() {
    let directory = directory(&[
        (
            "users.toml",
            "[[users]]\nname = \"ada\"\npassword_hash = \"hunter2\"\n",
        ),
        (
            "metadata.json",
            "{\"issuer\": \"https://login.example.com\"}",
        ),
    ]);
    let users = path_in(&directory, "users.toml");
    let metadata = path_in(&directory, "metadata.json");

    let names = ["IDENTITY_SERVER_URL", "IDENTITY_CLIENT_ID"];
    let environment = environment_without(&names)
        .with("MCP_AUTH_PROXY_USERS_FILE", &users)
        .with("PORT", "many");
    let text = refused_from(&environment);
    for expected in [
        "2 faults",
        "PORT holds `many`",
        &format!("MCP_AUTH_PROXY_USERS_FILE holds `{users}`"),
        "hash-password",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let text = refused(&[
        ("IDENTITY_SERVER_METADATA_FILE", &metadata),
        ("PORT", "many"),
    ]);
    for expected in [
        "2 faults",
        &format!("IDENTITY_SERVER_METADATA_FILE holds `{metadata}`"),
        "authorization_endpoint",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn the_guide_lists_every_path_that_a_firewall_meets() {
    const GUIDE: &str = include_str!("../../../../../docs/guides/routers.md");
    for path in domain::metadata::path::OWN {
        assert!(GUIDE.contains(&format!("`{path}`")), "{path}");
    }
}
