//! The data path: bearer to session, origin rules, headers, forwarding, streaming, one retry; and
//! the MCP server as a sub-process.

pub mod process;

mod body;
mod forward;

pub use body::GatewayBody;
pub use forward::{Gateway, GatewaySettings, McpServer};
