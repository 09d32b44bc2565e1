//! How to connect each client to an MCP endpoint.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{base_url::is_loopback, resource::Resource};
use minijinja::value::Value;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;
use url::{Host, Url};

use super::view::{Connect, ConnectClient};

/// The page for one endpoint.
pub(super) fn page(resource: &Resource) -> Connect {
    let url = resource.as_str();
    let name = server_name(resource);
    Connect {
        title: "Connect to this MCP server",
        url: url.to_owned(),
        local: Url::parse(url).is_ok_and(|url| is_loopback(&url)),
        clients: clients(&name, url),
    }
}

fn clients(name: &str, url: &str) -> Vec<ConnectClient> {
    let lines = |name, code: String| ConnectClient {
        name,
        code: Some(code),
        ..ConnectClient::default()
    };
    let entry = json!({ "name": name, "type": "http", "url": url }).to_string();
    let vscode = format!(
        "vscode:mcp/install?{}",
        utf8_percent_encode(&entry, NON_ALPHANUMERIC)
    );
    let config = STANDARD.encode(json!({ "url": url }).to_string());
    let cursor = format!(
        "cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={}",
        utf8_percent_encode(&config, NON_ALPHANUMERIC)
    );
    vec![
        ConnectClient {
            text: Some("Then type /mcp in a session, choose the server and authenticate."),
            ..lines(
                "Claude Code",
                format!("claude mcp add --transport http {name} {url}"),
            )
        },
        ConnectClient {
            link: Some(Value::from(vscode)),
            link_text: Some("Add to VS Code"),
            ..lines("VS Code", format!("code --add-mcp '{entry}'"))
        },
        ConnectClient {
            text: Some("In ~/.cursor/mcp.json:"),
            link: Some(Value::from(cursor)),
            link_text: Some("Add to Cursor"),
            ..lines("Cursor", servers(name, json!({ "url": url })))
        },
        ConnectClient {
            text: Some(
                "Settings, Connectors, Add custom connector; the same in Claude Desktop. Paste the address.",
            ),
            ..lines("claude.ai", url.to_owned())
        },
        ConnectClient {
            text: Some(
                "Settings, Apps & Connectors, Advanced settings, Developer mode; then create a connector with OAuth and paste the address.",
            ),
            ..lines("ChatGPT", url.to_owned())
        },
        lines(
            "Codex",
            format!("codex mcp add {name} --url {url}\ncodex mcp login {name}"),
        ),
        lines(
            "Gemini CLI",
            format!("gemini mcp add --transport http {name} {url}"),
        ),
        ConnectClient {
            text: Some("For clients that only start programs, through mcp-remote:"),
            ..lines(
                "Any other client",
                servers(
                    name,
                    Program {
                        command: "npx",
                        args: ["-y", "mcp-remote", url],
                    },
                ),
            )
        },
        ConnectClient {
            text: Some("Needs Node 22.19 or newer. Switch the server on in the page that opens."),
            ..lines(
                "MCP Inspector",
                format!(
                    "npx -y @modelcontextprotocol/inspector@latest --transport http --server-url {url}"
                ),
            )
        },
    ]
}

/// The file that Cursor and many others read.
#[derive(Serialize)]
struct Servers<'a, T> {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<&'a str, T>,
}

/// A server that is a program to be started.
#[derive(Serialize)]
struct Program<'a> {
    command: &'static str,
    args: [&'a str; 3],
}

fn servers<T: Serialize>(name: &str, entry: T) -> String {
    let servers = Servers {
        servers: BTreeMap::from([(name, entry)]),
    };
    serde_json::to_string_pretty(&servers).unwrap_or_default()
}

/// A name for the server in a client's list: the part of its host that says most.
fn server_name(resource: &Resource) -> String {
    let url = Url::parse(resource.as_str()).ok();
    let host = match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(host)) => host,
        _ => "",
    };
    let labels: Vec<_> = host.split('.').collect();
    // The last label is the top-level domain; `www` and `mcp` say nothing.
    let telling = labels
        .split_last()
        .map_or(&[][..], |(_, labels)| labels)
        .iter()
        .find(|label| !matches!(**label, "www" | "mcp" | "api"));
    telling.map_or_else(|| "my-server".to_owned(), |label| (*label).to_owned())
}

#[cfg(test)]
mod tests {
    use domain::base_url::BaseUrl;

    use super::*;

    fn resource(base: &str) -> Resource {
        Resource::at(&BaseUrl::parse(base).unwrap(), "/mcp")
    }

    #[test]
    fn a_server_is_named_after_its_host() {
        for (base, name) in [
            ("https://mcp.acme.com", "acme"),
            ("https://weather-1234.herokuapp.com", "weather-1234"),
            ("http://localhost:3001", "my-server"),
            ("http://127.0.0.1:3001", "my-server"),
        ] {
            assert_eq!(server_name(&resource(base)), name, "{base}");
        }
    }

    #[test]
    fn every_client_gets_the_address() {
        let page = page(&resource("https://mcp.acme.com"));
        assert!(!page.local);
        for client in page.clients {
            if client.name != "MCP Inspector" {
                let code = client.code.unwrap();
                assert!(code.contains("https://mcp.acme.com/mcp"), "{}", client.name);
            }
        }
    }
}
