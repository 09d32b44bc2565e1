//! The binary `mcp-auth-proxy`.
#![expect(dead_code, reason = "the parts are being put together")]

mod config;
mod control;
mod demo;
mod edge;
mod listener;
mod signing_keys;
mod system;

fn main() {}
