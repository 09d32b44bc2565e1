//! The identity token's life behind a session: expiry under load, a provider that is away, one
//! that says no, an MCP server that says 401.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{
    client::{OAuthClient, Tokens},
    http::{Http, Reply},
    recorder::{Answer, Recorded, mcp},
    wait,
};

use crate::harness::{SOON, Stage, ping};

#[tokio::test]
async fn sixty_four_calls_at_expiry_make_one_refresh() -> Result<()> {
    let stage = Stage::builder()?.access_ttl(2).open().await?;
    verify_tokens_at_server(&stage)?;
    let (client, tokens) = stage.logged_in("alice").await?;
    expired(&stage).await?;
    // The next one lives long: more than one refresh would be a fault.
    stage
        .control()
        .set_faults(json!({ "access_ttl": 3600 }))
        .await?;

    let calls = (0..64).map(|_| {
        let (client, access) = (client.clone(), tokens.access.clone());
        tokio::spawn(async move { client.call(&access, &ping()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await??;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(stage.control().refreshes().await?, 1);
    assert_eq!(
        stage.control().token_requests("refresh_token", 400).await?,
        0
    );
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_provider_that_is_away_ends_no_session() -> Result<()> {
    let stage = Stage::builder()?.access_ttl(2).open().await?;
    verify_tokens_at_server(&stage)?;
    let (client, tokens) = stage.logged_in("alice").await?;
    expired(&stage).await?;
    stage
        .control()
        .set_faults(json!({ "token_down": true }))
        .await?;

    let reply = client.call(&tokens.access, &ping()).await?;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(reply.header("retry-after").parse::<u32>().is_ok());
    assert_eq!(reply.header("www-authenticate"), "");
    // Tokens of ours are refreshed from the store alone.
    let tokens = Tokens::of(&client.refresh(&tokens.refresh).await?)?;

    let faults = json!({ "token_down": false, "access_ttl": 3600 });
    stage.control().set_faults(faults).await?;
    answers(&client, &tokens).await
}

#[tokio::test]
async fn a_valid_token_is_used_on_while_the_provider_is_away() -> Result<()> {
    let stage = Stage::builder()?.access_ttl(20).open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage
        .control()
        .set_faults(json!({ "token_down": true }))
        .await?;
    // Four seconds before the end the proxy tries to refresh ahead, in vain.
    wait::until("a refresh ahead", Duration::from_secs(30), || async {
        let reply = client.call(&tokens.access, &ping()).await?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = stage.control().seen().await?;
        let refused = seen["tokens"].as_array().unwrap().len() > 1;
        Ok(refused.then_some(()))
    })
    .await?;
    let faults = json!({ "token_down": false, "access_ttl": 3600 });
    stage.control().set_faults(faults).await?;
    answers(&client, &tokens).await
}

#[tokio::test]
async fn our_own_wrong_secret_ends_no_session() -> Result<()> {
    for refusal in [
        json!({ "status": 401, "error": "invalid_client" }),
        json!({ "status": 400, "error": "invalid_scope" }),
        json!({ "status": 500, "error": "server_error" }),
    ] {
        let stage = Stage::builder()?.access_ttl(1).open().await?;
        let (client, tokens) = stage.logged_in("alice").await?;
        expired(&stage).await?;
        let faults = json!({ "refuse_refresh": refusal, "access_ttl": 3600 });
        stage.control().set_faults(faults).await?;
        let reply = client.call(&tokens.access, &ping()).await?;
        assert_eq!(reply.status, 503, "{refusal}: {}", reply.text());
        let faults = json!({ "refuse_refresh": null });
        stage.control().set_faults(faults).await?;
        answers(&client, &tokens).await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_the_provider_s_no_ends_the_session() -> Result<()> {
    let stage = Stage::builder()?.access_ttl(1).open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    expired(&stage).await?;
    stage.control().revoke("alice").await?;
    // The proxy may look again before it believes it.
    let reply = wait::until("the end of the grant", Duration::from_secs(30), || async {
        let reply = client.call(&tokens.access, &ping()).await?;
        assert!(
            matches!(reply.status.as_u16(), 401 | 503),
            "{}",
            reply.status
        );
        Ok((reply.status == 401).then_some(reply))
    })
    .await?;
    assert!(
        reply
            .header("www-authenticate")
            .contains("resource_metadata=")
    );
    let refused = client.refresh(&tokens.refresh).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.error().as_str()),
        (400, "invalid_grant")
    );
    Ok(())
}

#[tokio::test]
async fn a_401_of_the_server_makes_one_refresh_and_one_retry() -> Result<()> {
    let stage = Stage::open().await?;
    verify_tokens_at_server(&stage)?;
    let (client, tokens) = stage.logged_in("alice").await?;
    client.call(&tokens.access, &ping()).await?;
    let first = stage.recorder.last().unwrap().headers["authorization"].clone();
    let refused = first.clone();
    stage.recorder.answer(move |request: &Recorded| {
        if request.headers["authorization"] == refused {
            return Answer::whole(
                401,
                &[("www-authenticate", "Bearer realm=\"inner\"")],
                b"secret detail".as_slice().into(),
            );
        }
        mcp(request)
    });
    let body =
        json!({ "jsonrpc": "2.0", "id": 7, "method": "ping", "padding": "x".repeat(10_000) });
    stage.recorder.forget();
    let reply = client.call(&tokens.access, &body).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let requests = stage.recorder.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].body, requests[1].body);
    assert_ne!(requests[1].headers["authorization"], first);
    assert_eq!(stage.control().refreshes().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_server_that_always_says_401_ends_nobody_s_session() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.recorder.answer(|_| {
        Answer::whole(
            401,
            &[("www-authenticate", "Bearer realm=\"inner\"")],
            b"inner".as_slice().into(),
        )
    });
    for _ in 0..3 {
        let reply = client.call(&tokens.access, &ping()).await?;
        assert_eq!(reply.status, 401);
        let challenge = reply.header("www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains("resource_metadata="), "{challenge}");
        assert!(!challenge.contains("inner"), "{challenge}");
    }
    assert_eq!(
        stage.control().refreshes().await?,
        1,
        "no 401 refreshes again for 60 s"
    );
    stage.recorder.answer(mcp);
    answers(&client, &tokens).await?;
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_slow_provider_is_waited_for() -> Result<()> {
    let stage = Stage::builder()?.access_ttl(1).open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    expired(&stage).await?;
    let faults = json!({ "delay_ms": 1500, "access_ttl": 3600 });
    stage.control().set_faults(faults).await?;
    let reply = client.call(&tokens.access, &ping()).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(stage.control().refreshes().await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_refresh_outlives_the_client_that_wanted_it() -> Result<()> {
    let stage = Stage::builder()?.access_ttl(1).open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    expired(&stage).await?;
    let faults = json!({ "delay_ms": 1000, "access_ttl": 3600 });
    stage.control().set_faults(faults).await?;
    let impatient = tokio::spawn(client.calling(&tokens.access, &ping()).send());
    wait::until("the refresh at the provider", SOON, || async {
        // The first one was the login's.
        Ok((stage.control().seen().await?["begun"] == 2).then_some(()))
    })
    .await?;
    impatient.abort();
    wait::until("the refresh", SOON, || async {
        Ok((stage.control().refreshes().await? == 1).then_some(()))
    })
    .await?;
    answers(&client, &tokens).await?;
    assert_eq!(stage.control().refreshes().await?, 1);
    Ok(())
}

/// The MCP server asks the provider about each token, and refuses those that are no longer good.
pub(crate) fn verify_tokens_at_server(stage: &Stage) -> Result<()> {
    let (http, userinfo) = (Http::direct()?, stage.provider.userinfo()?);
    stage.recorder.react(move |request| {
        let bearer = request.headers.get("authorization").cloned();
        let answer = mcp(request);
        let mut asking = http.get(&userinfo);
        if let Some(bearer) = bearer {
            asking = asking.header("authorization", bearer);
        }
        Box::pin(async move {
            match Reply::to(asking).await {
                Ok(reply) if reply.status == 200 => answer,
                _ => Answer::status(401),
            }
        })
    });
    Ok(())
}

/// Waits until the identity token's time is over: the provider itself says so, and the age it
/// told the proxy has passed.
async fn expired(stage: &Stage) -> Result<()> {
    let seen: Value = stage.control().seen().await?;
    let token = seen["last_access_token"].as_str().unwrap().to_owned();
    let (http, userinfo) = (Http::direct()?, stage.provider.userinfo()?);
    wait::until("the identity token's end", SOON, || {
        let asking = http.get(&userinfo).bearer_auth(&token);
        async move { Ok((Reply::to(asking).await?.status == 401).then_some(())) }
    })
    .await
}

async fn answers(client: &OAuthClient, tokens: &Tokens) -> Result<()> {
    wait::until("calls to succeed again", SOON, || async {
        let reply = client.call(&tokens.access, &ping()).await?;
        assert!(
            matches!(reply.status.as_u16(), 200 | 503),
            "{}",
            reply.status
        );
        Ok((reply.status == 200).then_some(()))
    })
    .await
}
