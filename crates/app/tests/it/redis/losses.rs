//! A Redis server that loses what it has answered.

use anyhow::Result;
use testkit::{
    client::{Tokens, discover, endpoint},
    http::Reply,
    redis::Redis,
    wait,
};

use super::Twins;
use crate::harness::{SOON, ping};

/// The server writes nothing down: all that it comes back with is what the proxies know.
#[tokio::test]
async fn a_server_that_forgets_everything_costs_no_session() -> Result<()> {
    let redis = Redis::start_with(&["--appendonly", "no"]).await?;
    let mut twins = Twins::on(redis, 3600, &[]).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    let [first, second] = twins.ways()?;
    let there = client.at(&second);
    let rotated = Tokens::of(&there.refresh(&tokens.refresh).await?)?;
    let (other, revoked) = twins.first.logged_in("bob").await?;
    let metadata = discover(&first, &twins.first.mcp()?).await?;
    let form = [
        ("token", revoked.refresh.as_str()),
        ("client_id", other.id()),
    ];
    let revoking = first.post(&endpoint(&metadata, "revocation_endpoint")?);
    assert_eq!(Reply::to(revoking.form(&form)).await?.status, 200);

    twins.redis.process().kill()?;
    twins.redis.start_again().await?;
    // As a client goes on that has `Retry-After` told to it.
    for client in [&there, &client] {
        let reply = wait::until("a call to be served", SOON, || async {
            let reply = client.call(&rotated.access, &ping()).await?;
            Ok((reply.status != 503).then_some(reply))
        })
        .await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let renewed = wait::until("a refresh to be answered", SOON, || async {
        let reply = client.refresh(&rotated.refresh).await?;
        Ok((reply.status != 503).then_some(reply))
    })
    .await?;
    let renewed = Tokens::of(&renewed)?;
    for client in [&there, &client] {
        assert_eq!(client.call(&renewed.access, &ping()).await?.status, 200);
    }
    let ended = wait::until("an answer about what was ended", SOON, || async {
        let reply = other.at(&second).refresh(&revoked.refresh).await?;
        Ok((reply.status != 503).then_some(reply))
    })
    .await?;
    assert_eq!(ended.error(), "invalid_grant");
    twins.first.logged_in("bob").await?;
    Ok(())
}

#[tokio::test]
async fn a_refresh_that_only_the_client_remembers_still_counts() -> Result<()> {
    let redis = Redis::start_with(&["--appendonly", "no"]).await?;
    let mut twins = Twins::on(redis, 3600, &[]).await?;
    let (client, tokens) = twins.first.logged_in("alice").await?;
    assert_eq!(twins.redis.command(&["SAVE"]).await?, "+OK\r\n");
    let rotated = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    for proxy in [&mut twins.first.proxy, &mut twins.second] {
        proxy.process()?.kill()?;
    }
    twins.redis.process().kill()?;
    twins.redis.start_again().await?;
    for proxy in [&mut twins.first.proxy, &mut twins.second] {
        proxy.start_again()?;
        proxy.answering().await?;
    }
    assert_eq!(client.call(&rotated.access, &ping()).await?.status, 200);
    let [_, second] = twins.ways()?;
    let again = Tokens::of(&client.at(&second).refresh(&rotated.refresh).await?)?;
    assert_eq!(client.call(&again.access, &ping()).await?.status, 200);
    Ok(())
}
