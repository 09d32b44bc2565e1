//! A copy of the sessions, and its way back.

use std::{fs, process::Output};

use anyhow::Result;
use testkit::client::Tokens;

use crate::harness::{Stage, ping};

/// What a command said, and whether it did what it was asked.
fn said(output: &Output) -> (bool, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[tokio::test]
async fn sessions_in_a_backup_go_on_after_their_store_was_lost() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, alice) = stage.logged_in("alice").await?;
    let (done, text) = said(&stage.proxy.run(&["backup", "sessions.backup"])?);
    assert!(done, "{text}");
    let bob = client.log_in(&mut stage.browser()?, "bob").await?;

    stage.proxy.process()?.kill()?;
    fs::remove_file(stage.proxy.data().join("sessions.redb"))?;
    let restore = ["restore", "--yes", "sessions.backup"];
    let (done, text) = said(&stage.proxy.run(&restore)?);
    assert!(done, "{text}");
    stage.proxy.start_again()?;
    stage.proxy.answering().await?;

    assert_eq!(client.call(&alice.access, &ping()).await?.status, 200);
    assert_eq!(stage.subject_at_server().await?.as_deref(), Some("alice"));
    Tokens::of(&client.refresh(&alice.refresh).await?)?;
    // He came after the backup, and can come again: the client is still known.
    assert_eq!(client.call(&bob.access, &ping()).await?.status, 401);
    client.log_in(&mut stage.browser()?, "bob").await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_is_stopped_can_be_backed_up_too() -> Result<()> {
    let mut stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.proxy.process()?.kill()?;
    let (done, text) = said(&stage.proxy.run(&["backup", "sessions.backup"])?);
    assert!(done, "{text}");
    let (done, text) = said(&stage.proxy.run(&["backup", "sessions.backup"])?);
    assert!(!done && text.contains("is there already"), "{text}");
    let restore = ["restore", "--yes", "sessions.backup"];
    let (done, text) = said(&stage.proxy.run(&restore)?);
    assert!(done && text.contains("is kept as"), "{text}");
    stage.proxy.start_again()?;
    stage.proxy.answering().await?;
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn nothing_is_restored_unasked_or_under_a_running_proxy() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let (done, text) = said(&stage.proxy.run(&["backup", "sessions.backup"])?);
    assert!(done, "{text}");
    let (done, text) = said(&stage.proxy.run(&["restore", "sessions.backup"])?);
    assert!(!done && text.contains("Nothing was done"), "{text}");
    let restore = ["restore", "--yes", "sessions.backup"];
    let (done, text) = said(&stage.proxy.run(&restore)?);
    assert!(
        !done && text.contains("in use by another process"),
        "{text}"
    );
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Ok(())
}
