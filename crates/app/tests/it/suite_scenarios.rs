//! What the mock servers of the conformance suite's client scenarios play, seen from the server's
//! side: those that no other story has. `docs/conformance.md` lists all of them.

use std::fs;

use anyhow::Result;
use http::{HeaderValue, header::WWW_AUTHENTICATE};
use tempfile::TempDir;
use testkit::{
    client::{OAuthClient, Tokens, quoted},
    http::Reply,
    recorder::{Answer, mcp},
};

use crate::harness::{Stage, ping};

/// `auth/scope-step-up`
#[tokio::test]
async fn a_lack_of_scope_is_mended_by_a_login_for_what_was_held_and_what_lacks() -> Result<()> {
    let (stage, _file) = with_scope("files:write").await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    assert_eq!(tokens.answer["scope"], "openid offline_access");
    demand(&stage, "files:write")?;
    let refused = client.call(&tokens.access, &ping()).await?;
    assert_eq!(refused.status, 403);
    let challenge = refused.header("www-authenticate");
    assert_eq!(
        quoted(challenge, "error").as_deref(),
        Some("insufficient_scope")
    );
    assert_eq!(
        quoted(challenge, "resource_metadata").as_deref(),
        Some(
            stage
                .proxy
                .url("/.well-known/oauth-protected-resource/mcp")?
                .as_str()
        )
    );
    let scope = quoted(challenge, "scope").unwrap();
    assert_eq!(scope, "openid files:write");

    let stepped = log_in_for(&stage, &client, &scope).await?;
    assert_eq!(stepped.answer["scope"], "openid files:write");
    let refreshed = Tokens::of(&client.refresh(&stepped.refresh).await?)?;
    assert_eq!(refreshed.answer["scope"], "openid files:write");
    stage.recorder.answer(mcp);
    for access in [&tokens.access, &stepped.access, &refreshed.access] {
        assert_eq!(client.call(access, &ping()).await?.status, 200);
    }
    Ok(())
}

/// `auth/scope-retry-limit`
#[tokio::test]
async fn a_scope_that_is_never_granted_costs_no_session() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    demand(&stage, "mcp:admin")?;
    let mut access = tokens.access.clone();
    for _ in 0..3 {
        let refused = client.call(&access, &ping()).await?;
        assert_eq!(refused.status, 403);
        let scope = quoted(refused.header("www-authenticate"), "scope").unwrap();
        // It does not grow from try to try.
        assert_eq!(scope, "openid mcp:admin");
        let again = log_in_for(&stage, &client, &scope).await?;
        // The client is told that it did not get it.
        assert_eq!(again.answer["scope"], "openid");
        access = again.access;
    }
    stage.recorder.answer(mcp);
    assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Ok(())
}

/// `auth/offline-access-not-supported`
#[tokio::test]
async fn without_offline_access_none_is_announced_and_refreshing_works() -> Result<()> {
    let stage = Stage::builder()?
        .env("PROVIDER_SCOPE", "openid")
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    assert_eq!(
        client.metadata["scopes_supported"],
        serde_json::json!(["openid"])
    );
    assert_eq!(tokens.answer["scope"], "openid");
    let refreshed = Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    assert_eq!(client.call(&refreshed.access, &ping()).await?.status, 200);
    // Asked for all the same, it is dropped like every unknown scope.
    let asked = log_in_for(&stage, &client, "openid offline_access").await?;
    assert_eq!(asked.answer["scope"], "openid");
    Ok(())
}

/// `auth/authorization-server-migration`
#[tokio::test]
async fn what_another_authorization_server_issued_is_unknown_and_ends_nothing() -> Result<()> {
    let (old, new) = (Stage::open().await?, Stage::open().await?);
    let (client, tokens) = old.logged_in("alice").await?;
    let (moved, present) = new.logged_in("alice").await?;

    // A client that keeps the old id, at each place where it could show it.
    let mut stranger = moved.clone();
    stranger.registration.clone_from(&client.registration);
    let page = new
        .browser()?
        .page(&stranger.authorization()?.url())
        .await?;
    assert_eq!(page.reply.status, 400);
    assert!(page.text().contains("does not know your client"));
    let refused = stranger.refresh(&tokens.refresh).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.error().as_str()),
        (401, "invalid_client")
    );
    // One that has registered anew and still shows the old tokens.
    let refused = moved.refresh(&tokens.refresh).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.error().as_str()),
        (400, "invalid_grant")
    );
    let refused = moved.call(&tokens.access, &ping()).await?;
    assert_eq!(refused.status, 401);

    for (client, tokens) in [(&client, &tokens), (&moved, &present)] {
        assert_eq!(client.call(&tokens.access, &ping()).await?.status, 200);
        Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    }
    Ok(())
}

/// `auth/resource-mismatch`
#[tokio::test]
async fn no_header_of_a_request_changes_the_named_resource() -> Result<()> {
    let stage = Stage::open().await?;
    for path in ["", "/mcp"] {
        let url = stage
            .proxy
            .url(&format!("/.well-known/oauth-protected-resource{path}"))?;
        let mut request = stage.http()?.get(&url);
        for (name, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example"),
            ("x-original-url", "/evil"),
        ] {
            request = request.header(name, value);
        }
        let document = Reply::to(request).await?.json()?;
        assert_eq!(document["resource"], stage.mcp()?.as_str());
    }
    Ok(())
}

/// A stage that offers a scope which nobody gets unasked.
async fn with_scope(name: &str) -> Result<(Stage, TempDir)> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("configuration.toml");
    fs::write(
        &file,
        format!("[[scopes]]\nname = \"{name}\"\ndescription = \"a story's own\"\n"),
    )?;
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_CONFIG", &file.display().to_string())
        .open()
        .await?;
    Ok((stage, directory))
}

/// From now on the MCP server asks for a scope (RFC 6750 §3.1).
fn demand(stage: &Stage, scope: &str) -> Result<()> {
    let challenge = format!(r#"Bearer error="insufficient_scope", scope="{scope}""#);
    let challenge = HeaderValue::try_from(challenge)?;
    stage.recorder.answer(move |_| {
        let mut answer = Answer::status(403);
        answer
            .head
            .headers
            .insert(WWW_AUTHENTICATE, challenge.clone());
        answer
    });
    Ok(())
}

async fn log_in_for(stage: &Stage, client: &OAuthClient, scope: &str) -> Result<Tokens> {
    let authorization = client.authorization()?.with("scope", scope);
    let arrived = stage
        .browser()?
        .log_in(&authorization.url(), "alice")
        .await?;
    let code = authorization.code(&arrived)?;
    Tokens::of(&client.redeem(&code, &authorization.verifier).await?)
}
