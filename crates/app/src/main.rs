//! The binary `mcp-auth-proxy`.
#![expect(dead_code, reason = "the parts are being put together")]

mod config;
mod edge;
mod listener;
mod system;

fn main() {}
