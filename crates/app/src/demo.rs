//! `mcp-auth-proxy demo`.

pub(crate) mod server;
