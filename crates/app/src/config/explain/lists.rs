//! What no variable says: what the configuration comes to for others, and the lists of the TOML
//! file. All of it stands behind `#`, so that the rest can be read as a `.env` file.

use std::fmt::Write as _;

use authserver::PreregisteredClient;
use domain::client::TokenEndpointAuthMethod;

use crate::{
    config::{Config, ProviderConfig, ServerConfig, faults::shown},
    env::Group,
};

/// The addresses that others have to know.
pub(super) fn told(config: &Config) -> String {
    let mut text = String::from("# What to tell others\n");
    for (server, url) in config.servers.iter().zip(config.mcp_urls()) {
        let by = login_of(config, server);
        // Writing to a text cannot fail.
        let _ = writeln!(text, "# MCP URL, for people and their clients: {url}{by}");
    }
    if config.has_upstream_provider() {
        let uri = config.redirect_uri();
        let _ = writeln!(
            text,
            "# Redirect URI, to register at the identity provider: {uri}"
        );
    }
    text
}

/// What an entry of `[[servers]]` or `[[providers]]` is called.
pub(super) fn heading(config: &Config, group: Group, index: usize) -> String {
    let number = index + 1;
    let more = match group {
        Group::Server => {
            let server = config.servers.get(index);
            server.map(|server| login_of(config, server))
        }
        _ => name_of(config, index).map(|name| format!(", \"{name}\"")),
    };
    format!("number {number}{}", more.unwrap_or_default())
}

/// `[[clients]]`.
pub(super) fn clients(config: &Config) -> String {
    let mut text = String::new();
    if !config.clients.is_empty() {
        text.push_str("\n# Clients that need not register ([[clients]])\n");
    }
    for known in &config.clients {
        let _ = writeln!(text, "# {}", client(known));
    }
    text
}

/// `[[scopes]]`.
pub(super) fn scopes(config: &Config) -> String {
    let mut text = String::new();
    if !config.scope_details.is_empty() {
        text.push_str("\n# What scopes mean ([[scopes]])\n");
    }
    for detail in &config.scope_details {
        let mut parts = vec![detail.name.as_str().to_owned()];
        if let Some(description) = &detail.description {
            parts.push(format!("\"{}\"", shown(description)));
        }
        if !detail.identity_scopes.is_empty() {
            let asked = &detail.identity_scopes;
            parts.push(format!("asks the identity provider for {asked}"));
        }
        let _ = writeln!(text, "# {}", parts.join(", "));
    }
    text
}

/// Where the users of a server log in, if that could be in several places.
fn login_of(config: &Config, server: &ServerConfig) -> String {
    if config.providers.len() < 2 {
        return String::new();
    }
    let kind = match config.providers.get(server.provider) {
        Some(ProviderConfig::Local { .. }) => "users of the proxy's own",
        Some(ProviderConfig::Upstream { .. }) | None => "provider",
    };
    let name = name_of(config, server.provider).map_or_else(
        || (server.provider + 1).to_string(),
        |name| format!("\"{name}\""),
    );
    format!(", {kind} {name}")
}

fn name_of(config: &Config, provider: usize) -> Option<String> {
    let name = config.provider_names.get(provider)?.as_deref()?;
    Some(shown(name))
}

fn client(known: &PreregisteredClient) -> String {
    let metadata = &known.client.metadata;
    let mut parts = vec![shown(known.client.id.as_str())];
    if let Some(name) = &metadata.client_name {
        parts.push(format!("\"{}\"", shown(name)));
    }
    let proof = match metadata.token_endpoint_auth_method {
        TokenEndpointAuthMethod::None => "public",
        TokenEndpointAuthMethod::PrivateKeyJwt => "proves itself by a key",
        TokenEndpointAuthMethod::ClientSecretBasic | TokenEndpointAuthMethod::ClientSecretPost => {
            "proves itself by a secret"
        }
    };
    parts.push(proof.to_owned());
    for uri in &metadata.redirect_uris {
        parts.push(format!("redirects to {uri}"));
    }
    if let Some(scopes) = &known.scopes {
        parts.push(format!("at most the scopes {scopes}"));
    }
    if known.skips_consent {
        parts.push("people are not asked for consent".to_owned());
    }
    parts.join(", ")
}
