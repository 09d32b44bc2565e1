//! Refresh tokens: one line of generations that forgives what clients do and notices theft.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use testkit::{
    client::{OAuthClient, REDIRECT_URI, Tokens},
    wait,
};

use crate::harness::{SOON, Stage, ping};

const HOME: [u8; 4] = [203, 0, 113, 1];
const SIBLING: [u8; 4] = [203, 0, 113, 77];
const STRANGER: [u8; 4] = [198, 51, 100, 9];

#[tokio::test]
async fn a_lost_answer_is_given_again() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let lost = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_ne!(lost.refresh, tokens.refresh);
    let again = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    // One line, no branch: the same generation, byte for byte.
    assert_eq!(again.refresh, lost.refresh);
    for access in [&tokens.access, &lost.access, &again.access] {
        assert_eq!(client.call(access, &ping()).await?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn parallel_refreshes_agree() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let racers = (0..16).map(|_| {
        let (client, refresh) = (client.clone(), tokens.refresh.clone());
        tokio::spawn(async move { client.refresh(&refresh).await })
    });
    let mut line = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        line.push(Tokens::of(&racer.await??)?.refresh);
    }
    line.dedup();
    assert_eq!(line.len(), 1);
    assert_eq!(
        stage.control().refreshes().await?,
        0,
        "only the store is asked"
    );
    Ok(())
}

#[tokio::test]
async fn inside_the_window_an_old_token_is_honoured_from_anywhere() -> Result<()> {
    let stage = Stage::builder()?.behind_router()?.open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let second = used(
        &client,
        Tokens::of(&client.refresh(&tokens.refresh).await?)?,
    )
    .await?;
    let present = used(
        &client,
        Tokens::of(&client.refresh(&second.refresh).await?)?,
    )
    .await?;
    let sibling = at(&stage, &client, SIBLING)?;
    let late = Tokens::of(&sibling.refresh(&tokens.refresh).await?)?;
    assert_eq!(
        late.refresh, present.refresh,
        "the present generation, no branch"
    );
    assert_eq!(sibling.call(&late.access, &ping()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn outside_the_window_a_known_address_is_honoured() -> Result<()> {
    let stage = short_window().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let present = used(
        &client,
        Tokens::of(&client.refresh(&tokens.refresh).await?)?,
    )
    .await?;
    window_has_passed().await?;
    // A sibling process on the same machine held on to the old one.
    let late = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(late.refresh, present.refresh);
    Ok(())
}

#[tokio::test]
async fn outside_the_window_a_stranger_s_address_is_theft() -> Result<()> {
    let stage = short_window().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let present = used(
        &client,
        Tokens::of(&client.refresh(&tokens.refresh).await?)?,
    )
    .await?;
    window_has_passed().await?;
    let reply = at(&stage, &client, STRANGER)?
        .refresh(&tokens.refresh)
        .await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error().as_str()),
        (400, "invalid_grant")
    );
    // The grant has ended, for thief and owner.
    assert_eq!(client.call(&present.access, &ping()).await?.status, 401);
    assert_eq!(
        client.refresh(&present.refresh).await?.error(),
        "invalid_grant"
    );
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_is_given_again_at_any_age() -> Result<()> {
    let stage = short_window().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let lost = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    window_has_passed().await?;
    // Nobody has used the later one: from a new address, too, it is the owner.
    let roaming = at(&stage, &client, STRANGER)?;
    let again = Tokens::of(&roaming.refresh(&tokens.refresh).await?)?;
    assert_eq!(again.refresh, lost.refresh);
    Ok(())
}

#[tokio::test]
async fn another_client_gets_nothing_and_ends_nothing() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let other = stage.client().await?;
    let reply = other.refresh(&tokens.refresh).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error().as_str()),
        (400, "invalid_grant")
    );
    let second = used(
        &client,
        Tokens::of(&client.refresh(&tokens.refresh).await?)?,
    )
    .await?;
    // Nor with a replaced one.
    assert_eq!(
        other.refresh(&tokens.refresh).await?.error(),
        "invalid_grant"
    );
    Tokens::of(&client.refresh(&second.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn strict_mode_honours_no_replaced_token() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_REFRESH_WINDOW", "0")
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let present = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(
        client.refresh(&tokens.refresh).await?.error(),
        "invalid_grant"
    );
    assert_eq!(client.call(&present.access, &ping()).await?.status, 401);
    assert_eq!(
        client.refresh(&present.refresh).await?.error(),
        "invalid_grant"
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_authenticated_ends_nothing() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let mut bent = tokens.refresh.clone().into_bytes();
    let last = bent.len() - 20;
    bent[last] = if bent[last] == b'A' { b'B' } else { b'A' };
    let bent = String::from_utf8(bent)?;
    for junk in [bent.as_str(), "mprt1_", tokens.access.as_str()] {
        assert_eq!(client.refresh(junk).await?.error(), "invalid_grant");
    }
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_client_with_a_secret_keeps_its_refresh_token() -> Result<()> {
    let stage = Stage::open().await?;
    for method in ["client_secret_basic", "client_secret_post"] {
        let metadata = json!({
            "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": method,
        });
        let (http, mcp) = (stage.http()?, stage.mcp()?);
        let client = OAuthClient::register_with(&http, &mcp, &stage.witness, &metadata).await?;
        let tokens = client.log_in(&mut stage.browser()?, "alice").await?;
        let again = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
        assert_eq!(again.refresh, tokens.refresh);
        assert_eq!(client.call(&again.access, &ping()).await?.status, 200);

        // The secret is compared, and only the registered way counts.
        let endpoint = testkit::client::endpoint(&client.metadata, "token_endpoint")?;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh),
            ("client_id", client.id()),
        ];
        let without = stage.http()?.post(&endpoint).form(&form);
        let wrong = stage
            .http()?
            .post(&endpoint)
            .basic_auth(client.id(), Some("wrong"))
            .form(&form[..2]);
        for request in [without, wrong] {
            let reply = testkit::http::Reply::to(request).await?;
            assert_eq!(
                (reply.status.as_u16(), reply.error().as_str()),
                (401, "invalid_client")
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_client_is_401_and_json() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let endpoint = testkit::client::endpoint(&client.metadata, "token_endpoint")?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &tokens.refresh),
        ("client_id", "forgotten"),
    ];
    let reply = testkit::http::Reply::to(stage.http()?.post(&endpoint).form(&form)).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error().as_str()),
        (401, "invalid_client")
    );
    Ok(())
}

#[tokio::test]
async fn no_scope_grows_by_a_refresh() -> Result<()> {
    let stage = Stage::builder()?
        .env("PROVIDER_SCOPE", "openid offline_access tools")
        .open()
        .await?;
    let client = stage.client().await?;
    let authorization = client.authorization()?.with("scope", "openid");
    let arrived = stage
        .browser()?
        .log_in(&authorization.url(), "alice")
        .await?;
    let code = authorization.code(&arrived)?;
    let tokens = Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    let form = |scope| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens.refresh.as_str()),
            ("scope", scope),
        ]
    };
    let reply = client.token(&form("openid tools")).await?;
    assert_eq!(reply.error(), "invalid_scope");
    let reply = client.token(&form("openid")).await?;
    Tokens::of(&reply)?;
    Ok(())
}

async fn short_window() -> Result<Stage> {
    Stage::builder()?
        .behind_router()?
        .env("MCP_AUTH_PROXY_REFRESH_WINDOW", "1s")
        .open()
        .await
}

async fn window_has_passed() -> Result<()> {
    let begin = Instant::now();
    // The proxy counts in whole seconds.
    let passed = || begin.elapsed() > Duration::from_millis(2_200);
    wait::until_true("the window to pass", SOON, passed).await
}

/// Calls with the tokens' access token: the generation was seen in use.
async fn used(client: &OAuthClient, tokens: Tokens) -> Result<Tokens> {
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Ok(tokens)
}

fn at(stage: &Stage, client: &OAuthClient, address: [u8; 4]) -> Result<OAuthClient> {
    debug_assert_ne!(address, HOME);
    Ok(client.at(&stage.http()?.from(address.into())))
}
