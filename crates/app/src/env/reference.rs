//! Writes `docs/reference/configuration.md` and `.env.example` from the table, and holds them to
//! it. After a change of the table: `UPDATE_DOCS=1 cargo test -p mcp-auth-proxy reference`.

use std::fmt::Write as _;

use testkit::document;

use super::{ALL, Group, Reach, Secrecy, Variable};
use crate::config::faults::assignment;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from crates/app/src/env/table.rs; see crates/app/src/env/reference.rs. -->

Each setting is a variable of the environment. Five layers are looked at in this order, and the
first that says something counts:

1. a flag on the command line, for those that have one
2. the environment
3. `.env` in the working directory, in the dialect of
   [dotenvx](https://dotenvx.com): unquoted values with spaces, `#` comments, quotes over several
   lines, `${NAME}`; encrypted values and `$(command)` stop the start
4. the TOML file that `MCP_AUTH_PROXY_CONFIG` names
5. the default

`mcp-auth-proxy config` prints what came of it, with the origin of each value and without secrets.

- A variable that is set to nothing is not set.
- Everything that is wrong or missing is reported at once, and the proxy does not start.
- Each secret can be read from a file instead: `IDENTITY_CLIENT_SECRET_FILE=/run/secrets/client`.
  One of the two may be set, not both.
- Durations take a unit (`90s`, `15m`, `2h`, `14d`); a bare number is seconds.
- A name that begins with `MCP_AUTH_PROXY_` and is not listed here is reported by a warning.

## The TOML file

It holds the same settings under the names given as *TOML key*, and says what variables cannot:
several MCP servers, several identity providers, clients that need not register, and what scopes mean.

```toml
base_url = \"https://mcp.example.com\"

[[providers]]
name = \"staff\"
server_url = \"https://login.example.com\"
client_id = \"mcp-auth-proxy\"
client_secret_file = \"/run/secrets/staff-client\"

[[servers]]
url = \"http://localhost:3000/wiki\"
provider = \"staff\"
```

| key of `[[servers]]` | as the variable |
| --- | --- |
| `url` | [`MCP_SERVER_URL`](#mcp_server_url) |
| `run_command` | [`MCP_SERVER_RUN_COMMAND`](#mcp_server_run_command) |
| `run_args` (an array) | [`MCP_SERVER_RUN_ARGS_JSON`](#mcp_server_run_args_json) |
| `run_dir` | [`MCP_SERVER_RUN_DIR`](#mcp_server_run_dir) |
| `run_env` (a table), `run_env_file` | [`MCP_SERVER_RUN_ENV_JSON`](#mcp_server_run_env_json) |
| `public_paths` (an array) | [`MCP_AUTH_PROXY_PUBLIC_PATHS`](#mcp_auth_proxy_public_paths) |
| `introspection_secret`, `introspection_secret_file` | [`MCP_AUTH_PROXY_INTROSPECTION_SECRET`](#mcp_auth_proxy_introspection_secret) |
| `provider` | the `name` of the provider its users log in with; needed where there are several |

| key of `[[providers]]` | as the variable |
| --- | --- |
| `name` | what servers call it |
| `server_url` | [`IDENTITY_SERVER_URL`](#identity_server_url) |
| `metadata_file` | [`IDENTITY_SERVER_METADATA_FILE`](#identity_server_metadata_file) |
| `issuer` | [`MCP_AUTH_PROXY_IDENTITY_ISSUER`](#mcp_auth_proxy_identity_issuer) |
| `client_id` | [`IDENTITY_CLIENT_ID`](#identity_client_id) |
| `client_secret`, `client_secret_file` | [`IDENTITY_CLIENT_SECRET`](#identity_client_secret) |
| `scope` | [`IDENTITY_SCOPE`](#identity_scope) |
| `users_file` | [`MCP_AUTH_PROXY_USERS_FILE`](#mcp_auth_proxy_users_file) |
| `authorize_parameters` | [`MCP_AUTH_PROXY_AUTHORIZE_PARAMETERS`](#mcp_auth_proxy_authorize_parameters) |

| key of `[[clients]]` | |
| --- | --- |
| `id` | the client's id, which no registration can take; needed |
| `name` | what people are told it is called |
| `secret_hash` | SHA-256 of its secret, in hexadecimal. The secret must be random and long (`openssl rand -hex 32`): `printf %s \"$SECRET\" \\| sha256sum` |
| `jwks` (a table, an array, or JSON in a text) | its public keys, as a JWK Set, if it signs assertions (`private_key_jwt`) instead of having a secret |
| `jwks_uri` | where its public keys are instead: an https URL, fetched within the fence and again when a key is not known |
| `token_endpoint_auth_method` | how it proves itself at the token endpoint; absent: `private_key_jwt` beside keys, `client_secret_basic` beside a secret, else `none`: a public client |
| `token_endpoint_auth_signing_alg` | the one algorithm that its assertions are signed with; absent: any that fits its keys |
| `redirect_uris` (an array) | where it may be redirected to, as at registration; needed, unless it is a device only. [`MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS`](#mcp_auth_proxy_allowed_redirect_hosts) holds for these too |
| `post_logout_redirect_uris` (an array) | where a person may return to after a logout |
| `grant_types` (an array) | how it may get tokens, as at registration: `authorization_code`, unless this is here without it, and `urn:ietf:params:oauth:grant-type:device_code` |
| `scope` (an array) | all that it may be granted; absent: whatever is offered |
| `skip_consent` | `true`: people are not asked, but sent to the identity provider at once |

`skip_consent` has a price. Consent is what shows a person who gets access, and where it goes; without
it, any web page that opens a link gives this client a login in the name of whoever has a session at
the identity provider. It is for clients that you run and trust with every account, and only for https
addresses: on a person's own computer any program could call itself this client. A client can still
ask for the page with `prompt=consent`.

| key of `[[scopes]]` | |
| --- | --- |
| `name` | a scope; one that is not in [`PROVIDER_SCOPE`](#provider_scope) is offered too, but given only to clients that ask for it by name |
| `description` | what it lets a client do, as the consent page says it: \"It will be able to …\" |
| `identity_scopes` (an array) | scopes asked of the identity provider besides [`IDENTITY_SCOPE`](#identity_scope) in a login that grants this one |

So an MCP server can answer a call with `403` and `insufficient_scope`: the client logs in once more for
the scope that is missing, and only then is more asked at the identity provider.

Where the file has one server or provider, the variables fill it in and win over it; where it has
several, a variable could not say which it means, and stops the start. Paths are relative to the
working directory. An unknown key is a fault. Whole files stand in [`docs/samples`](../samples).
";

const EXAMPLE_INTRODUCTION: &str = "\
# Settings of MCP Auth Proxy; the reference is docs/reference/configuration.md.
# Copy to `.env` and fill in. What is needed stands without a `#`. Above each line stands whether it
# shows what holds without it (the default) or only an example.
";

#[test]
fn the_reference_is_that_of_the_table() {
    hold("docs/reference/configuration.md", &reference());
}

#[test]
fn the_example_is_that_of_the_table() {
    hold(".env.example", &example());
}

#[test]
fn every_variable_is_told_of() {
    for variable in ALL {
        let name = variable.name;
        assert!(variable.summary().ends_with('.'), "{name}");
        assert!(!variable.allowed.is_empty(), "{name}");
        let is_unused = variable.allowed.starts_with("nothing");
        assert_eq!(variable.example.is_empty(), is_unused, "{name}");
        let times = ALL.iter().filter(|other| other.name == name).count();
        assert_eq!(times, 1, "{name}");
    }
}

fn hold(path: &str, expected: &str) {
    if let Err(fault) = document::hold(path, expected) {
        panic!("{fault}");
    }
}

fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for group in Group::ALL {
        writeln!(text, "\n## {}\n", group.title()).unwrap();
        text.push_str("| variable | | default |\n| --- | --- | --- |\n");
        for variable in of(group) {
            let name = variable.name;
            let link = name.to_ascii_lowercase();
            let summary = variable.summary();
            let default = default(variable);
            writeln!(text, "| [`{name}`](#{link}) | {summary} | {default} |").unwrap();
        }
        for variable in of(group) {
            entry(&mut text, variable);
        }
    }
    text
}

fn entry(text: &mut String, variable: &Variable) {
    writeln!(text, "\n### {}\n", variable.name).unwrap();
    for line in variable.doc.trim_end().lines() {
        writeln!(text, "{}", line.strip_prefix(' ').unwrap_or(line)).unwrap();
    }
    text.push('\n');
    if !variable.needed.is_empty() {
        writeln!(text, "- Needed: {}", variable.needed).unwrap();
    }
    if !variable.default.is_empty() {
        writeln!(text, "- Default: {}", default(variable)).unwrap();
    }
    writeln!(text, "- Allowed: {}", variable.allowed).unwrap();
    if !variable.example.is_empty() {
        writeln!(text, "- Example: `{}`", assignment(variable)).unwrap();
    }
    if let Some(flag) = variable.flag {
        writeln!(text, "- Flag: `--{flag}`").unwrap();
    }
    if variable.reach == Reach::File {
        writeln!(text, "- TOML key: `{}`", variable.key()).unwrap();
    }
    if let Some(file) = variable.file_name() {
        let what = match variable.secrecy {
            Secrecy::Secret => "A secret; the MCP server's process does not get it",
            Secrecy::Sensitive | Secrecy::Public => "May hold secrets, and is never shown",
        };
        writeln!(
            text,
            "- {what}. Also read from the file that `{file}` names"
        )
        .unwrap();
    }
}

fn default(variable: &Variable) -> String {
    match variable.default {
        "" if !variable.needed.is_empty() => "needed".to_owned(),
        "" => String::new(),
        default if default.contains('`') || is_prose(default) => default.to_owned(),
        default => format!("`{default}`"),
    }
}

/// Whether a default is said in words instead of being a value.
fn is_prose(default: &str) -> bool {
    const PROSE: [&str; 7] = [
        "none",
        "all",
        "what discovery says",
        "made once and kept",
        "the built-in pages",
        "the proxy's own",
        "the access token's life and 15m",
    ];
    PROSE.contains(&default)
}

fn example() -> String {
    let mut text = EXAMPLE_INTRODUCTION.to_owned();
    for group in Group::ALL {
        if group == Group::Platform {
            continue;
        }
        writeln!(text, "\n# --- {} ---", group.title()).unwrap();
        for variable in of(group).filter(|variable| !variable.example.is_empty()) {
            let comment = if variable.needed.is_empty() { "#" } else { "" };
            writeln!(text, "\n# {}\n# {}:", variable.summary(), shows(variable)).unwrap();
            writeln!(text, "{comment}{}", assignment(variable)).unwrap();
        }
    }
    text
}

/// What a line of the example file shows.
fn shows(variable: &Variable) -> String {
    match variable.default {
        "" | "none" if variable.needed.is_empty() => "example".to_owned(),
        "" | "none" if variable.needed == "always" => "needed; example".to_owned(),
        "" | "none" => format!("needed {}; example", variable.needed),
        default if default == variable.example => "default".to_owned(),
        default => format!("default: {default}; example"),
    }
}

fn of(group: Group) -> impl Iterator<Item = &'static Variable> {
    ALL.iter()
        .copied()
        .filter(move |variable| variable.group == group)
}
