//! How to connect each client to an MCP endpoint.

mod lines;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{base_url::is_loopback, resource::Resource};
use minijinja::value::Value;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use url::{Host, Url};

pub use self::lines::ConnectLines;
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
    let lines = ConnectLines::new(name, url);
    let client = |name, code: String| ConnectClient {
        name,
        code: Some(code),
        ..ConnectClient::default()
    };
    let vscode = format!(
        "vscode:mcp/install?{}",
        utf8_percent_encode(&lines.vs_code_entry(), NON_ALPHANUMERIC)
    );
    let config = STANDARD.encode(json!({ "url": url }).to_string());
    let cursor = format!(
        "cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={}",
        utf8_percent_encode(&config, NON_ALPHANUMERIC)
    );
    vec![
        ConnectClient {
            text: Some("Then type /mcp in a session, choose the server and authenticate."),
            ..client("Claude Code", lines.claude_code())
        },
        ConnectClient {
            link: Some(Value::from(vscode)),
            link_text: Some("Add to VS Code"),
            ..client("VS Code", lines.vs_code())
        },
        ConnectClient {
            text: Some("In ~/.cursor/mcp.json:"),
            link: Some(Value::from(cursor)),
            link_text: Some("Add to Cursor"),
            ..client("Cursor", lines.cursor_file())
        },
        ConnectClient {
            text: Some(
                "Settings, Connectors, Add custom connector; the same in Claude Desktop. Paste the address.",
            ),
            ..client("claude.ai", url.to_owned())
        },
        ConnectClient {
            text: Some(
                "Settings, Apps & Connectors, Advanced settings, Developer mode; then create a connector with OAuth and paste the address.",
            ),
            ..client("ChatGPT", url.to_owned())
        },
        client("Codex", lines.codex().join("\n")),
        client("Gemini CLI", lines.gemini()),
        ConnectClient {
            text: Some("For clients that only start programs, through mcp-remote:"),
            ..client("Any other client", lines.mcp_remote_file())
        },
        ConnectClient {
            text: Some("Needs Node 22.19 or newer. Switch the server on in the page that opens."),
            ..client("MCP Inspector", lines.inspector())
        },
    ]
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
            let code = client.code.unwrap();
            assert!(code.contains("https://mcp.acme.com/mcp"), "{}", client.name);
        }
    }
}
