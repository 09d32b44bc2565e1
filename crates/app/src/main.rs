//! The binary `mcp-auth-proxy`.
#![expect(dead_code, reason = "the parts are being put together")]

mod cli;
mod config;
mod control;
mod demo;
mod dotenv;
mod edge;
mod env;
mod listener;
mod log;
mod private_file;
mod signing_keys;
mod system;

fn main() {}
