//! The page at our own address.

use minijinja::value::Value;
use serde::Serialize;

use super::View;

/// What stands at our own address.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Home {
    pub(crate) title: &'static str,
    pub(crate) servers: Vec<HomeServer>,
}

/// An MCP server behind us.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HomeServer {
    pub(crate) url: String,
    /// The same as the value of an attribute, where its page says how to connect.
    pub(crate) link: Value,
}

// === impl Home ===

impl Home {
    pub(crate) const TITLE: &'static str = "MCP Auth Proxy";
}

impl View for Home {
    const TEMPLATE: &'static str = "home.html";

    fn sample() -> Self {
        Self {
            title: Self::TITLE,
            servers: vec![HomeServer {
                url: "https://mcp.example.com/mcp".to_owned(),
                link: Value::from("https://mcp.example.com/mcp"),
            }],
        }
    }
}
