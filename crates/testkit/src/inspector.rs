//! MCP Inspector in a real browser.
//!
//! Its first generation can speak with the MCP server directly, as a script of another origin
//! ([`direct`]); its second speaks through a process of its own ([`backed`]).

pub mod backed;
pub mod direct;

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;

use crate::{
    chromium::{Chromium, ChromiumOptions},
    process::{Process, START},
    tools::Tools,
    wait,
};

/// What serves its pages, in an environment that knows no proxy and no desktop.
fn command(program: &str, home: &Path, port: u16) -> Result<Command> {
    let mut command = Tools::find()?.package(program);
    command
        .env_clear()
        .env("HOME", home)
        .env("HOST", "localhost")
        .env("CLIENT_PORT", port.to_string())
        .env("MCP_AUTO_OPEN_ENABLED", "false");
    Ok(command)
}

async fn listening(process: &Process, port: u16) -> Result<()> {
    wait::until("MCP Inspector to listen", START, || async move {
        let connected = TcpStream::connect(("localhost", port)).await;
        Ok(connected.ok().map(drop))
    })
    .await
    .with_context(|| process.output())
}

async fn browser() -> Result<Chromium> {
    let options = ChromiumOptions {
        width: 1600,
        ..ChromiumOptions::default()
    };
    Chromium::start(options).await
}
