//! The data path: bearer to session, origin rules, headers, forwarding, streaming, one retry; and
//! the MCP server as a sub-process.

pub mod process;
pub mod readiness;

mod addresses;
mod answer;
mod bearer;
mod body;
mod call_log;
mod challenge;
mod forward;
mod headers;
mod keepalive;
mod origin;
mod request_body;
mod routing;
mod server;
mod settings;
mod stream_watch;
mod upstream;

pub use body::GatewayBody;
pub use forward::Gateway;
pub use settings::{GatewaySettings, McpServer};
pub use upstream::InvalidCertificates;
