//! The page at an MCP endpoint.

use minijinja::value::Value;
use serde::Serialize;

use super::View;

/// How to connect each client.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Connect {
    pub(crate) title: &'static str,
    pub(crate) url: String,
    /// Whether it can only be reached on this computer.
    pub(crate) local: bool,
    pub(crate) clients: Vec<ConnectClient>,
}

/// How to connect one client.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ConnectClient {
    pub(crate) name: &'static str,
    pub(crate) text: Option<&'static str>,
    pub(crate) code: Option<String>,
    pub(crate) link: Option<Value>,
    pub(crate) link_text: Option<&'static str>,
}

// === impl View ===

impl View for Connect {
    const TEMPLATE: &'static str = "connect.html";

    fn sample() -> Self {
        Self {
            title: "Connect",
            url: "https://mcp.example.com/mcp".to_owned(),
            local: false,
            clients: vec![ConnectClient {
                name: "Client",
                ..ConnectClient::default()
            }],
        }
    }
}
