//! What somebody meets who starts it for the first time: nothing is there yet, or not all of it.

use std::net::TcpListener;

use anyhow::Result;
use testkit::{port::Port, wait, witness::Witness};

use crate::harness::{Proxy, ProxyBuilder, SOON};

const KEYS: &str = "signing-keys.json";

/// With users of its own and an MCP server that is yet to be started.
fn alone() -> Result<(Port, ProxyBuilder)> {
    let server = Port::reserve()?;
    let builder = Proxy::builder(&Witness::default())?;
    let users = builder.directory().join("users.toml");
    std::fs::write(&users, include_str!("../../../../docs/samples/users.toml"))?;
    let builder = builder
        .server(&format!("http://localhost:{}/mcp?key=hidden", server.number()).parse()?)
        .env("MCP_AUTH_PROXY_USERS_FILE", &users.display().to_string());
    Ok((server, builder))
}

#[tokio::test]
async fn an_mcp_server_that_is_not_there_is_told_of_and_waited_for() -> Result<()> {
    let (server, builder) = alone()?;
    let proxy = builder.arguments(&["serve"]).start().await?;
    let url = format!(
        "does not accept connections at http://localhost:{}/mcp:",
        server.number()
    );
    wait::until("a warning", SOON, || async {
        Ok(proxy.log().contains(&url).then_some(()))
    })
    .await?;
    let log = proxy.log();
    assert!(
        log.lines()
            .any(|line| line.contains("level=warn") && line.contains(&url)),
        "{log}"
    );
    assert!(!log.contains("hidden"), "{log}");
    assert!(proxy.data().join(KEYS).exists());
    Ok(())
}

#[tokio::test]
async fn a_first_start_that_fails_leaves_no_keys_behind() -> Result<()> {
    let (_server, builder) = alone()?;
    let taken = TcpListener::bind(("127.0.0.1", builder.port()))?;
    let mut proxy = builder.spawn()?;
    let status = proxy.process()?.exited(SOON).await?;
    assert!(!status.success());
    assert!(proxy.log().contains("cannot listen"), "{}", proxy.log());
    assert!(!proxy.data().join(KEYS).exists());

    drop(taken);
    proxy.start_again()?;
    proxy.answering().await?;
    assert!(proxy.data().join(KEYS).exists());
    Ok(())
}

#[tokio::test]
async fn what_others_are_to_be_told_is_printed_before_anything_runs() -> Result<()> {
    let (_server, builder) = alone()?;
    let builder = builder.env("BASE_URL", "https://mcp.example.com/mcp");
    let output = builder.run(&["config"])?;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout)?;
    assert!(
        printed
            .contains("# MCP URL, for people and their clients: https://mcp.example.com/mcp/mcp"),
        "{printed}"
    );
    let warned = String::from_utf8(output.stderr)?;
    assert!(
        warned.contains("set BASE_URL=https://mcp.example.com"),
        "{warned}"
    );
    assert!(!builder.directory().join("data").exists());
    Ok(())
}

#[tokio::test]
async fn a_password_is_asked_for_twice_and_never_shown() -> Result<()> {
    let (_server, builder) = alone()?;
    let mut terminal = builder.at_terminal(&["hash-password"])?;
    terminal.until_shown("Password: ").await?;
    terminal.press("correct horse\n")?;
    terminal.until_shown("The same again: ").await?;
    terminal.press("correct horse\n")?;
    assert!(terminal.exited(SOON).await?.success());
    terminal.until_shown("$argon2id$").await?;
    assert!(!terminal.shown().contains("horse"), "{}", terminal.shown());

    let mut terminal = builder.at_terminal(&["hash-password"])?;
    terminal.until_shown("Password: ").await?;
    terminal.press("correct horse\n")?;
    terminal.until_shown("The same again: ").await?;
    terminal.press("correct house\n")?;
    assert!(!terminal.exited(SOON).await?.success());
    terminal.until_shown("two different passwords").await
}

#[tokio::test]
async fn a_person_who_gives_up_gets_the_terminal_back() -> Result<()> {
    let (_server, builder) = alone()?;
    let mut terminal = builder.at_terminal(&["hash-password"])?;
    terminal.until_shown("Password: ").await?;
    assert!(!terminal.echoes()?);
    terminal.interrupt()?;
    assert!(!terminal.exited(SOON).await?.success());
    assert!(terminal.echoes()?);
    Ok(())
}
