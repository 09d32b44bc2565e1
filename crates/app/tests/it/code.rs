//! Authorization codes: once, by their own client, with what they were asked with.

use anyhow::Result;
use testkit::client::{Authorization, OAuthClient, Tokens};

use crate::harness::{Stage, ping};

#[tokio::test]
async fn a_code_is_good_once_and_its_tokens_outlive_a_double_call() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let (authorization, code) = code(&stage, &client).await?;
    let tokens = Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    let replay = client.redeem(&code, &authorization.verifier).await?;
    assert_eq!(
        (replay.status.as_u16(), replay.error().as_str()),
        (400, "invalid_grant")
    );
    assert_eq!(replay.header("cache-control"), "no-store");
    // Within 30 s it is nearly always the client's own double call.
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_thief_s_replay_ends_nothing_without_the_verifier() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let (authorization, code) = code(&stage, &client).await?;
    let tokens = Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    let other = testkit::client::random_text()?;
    assert_eq!(client.redeem(&code, &other).await?.error(), "invalid_grant");
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn racing_redemptions_give_tokens_once() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let (authorization, code) = code(&stage, &client).await?;
    let racers = (0..8).map(|_| {
        let (client, code) = (client.clone(), code.clone());
        let verifier = authorization.verifier.clone();
        tokio::spawn(async move { client.redeem(&code, &verifier).await })
    });
    let mut given = 0;
    for racer in racers.collect::<Vec<_>>() {
        let reply = racer.await??;
        match reply.status.as_u16() {
            200 => given += 1,
            _ => assert_eq!(reply.error(), "invalid_grant"),
        }
    }
    assert_eq!(given, 1);
    Ok(())
}

#[tokio::test]
async fn another_client_cannot_redeem_it() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let other = stage.client().await?;
    assert_ne!(client.id(), other.id());
    let (authorization, code) = code(&stage, &client).await?;
    let reply = other.redeem(&code, &authorization.verifier).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error().as_str()),
        (400, "invalid_grant")
    );
    // A public client id is no secret: what a stranger does ends nothing.
    Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    Ok(())
}

#[tokio::test]
async fn junk_is_refused_exactly() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    for junk in ["", "x", "mpac1_", &tokens.access, &tokens.refresh] {
        let reply = client
            .redeem(junk, &testkit::client::random_text()?)
            .await?;
        let expected = if junk.is_empty() {
            "invalid_request"
        } else {
            "invalid_grant"
        };
        assert_eq!(
            (reply.status.as_u16(), reply.error().as_str()),
            (400, expected)
        );
    }
    let reply = client.token(&[("grant_type", "password")]).await?;
    assert_eq!(reply.error(), "unsupported_grant_type");
    let reply = client.token(&[]).await?;
    assert_eq!(reply.error(), "invalid_request");
    Ok(())
}

async fn code(stage: &Stage, client: &OAuthClient) -> Result<(Authorization, String)> {
    let authorization = client.authorization()?;
    let arrived = stage
        .browser()?
        .log_in(&authorization.url(), "alice")
        .await?;
    let code = authorization.code(&arrived)?;
    Ok((authorization, code))
}
