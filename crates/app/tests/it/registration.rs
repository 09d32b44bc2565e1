//! Registration: what is taken, what is refused, what is never read again.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::harness::Stage;

#[tokio::test]
async fn the_answer_is_complete_and_holds_nothing_unknown() -> Result<()> {
    let stage = Stage::open().await?;
    let asked = json!({
        "client_name": "Story",
        "redirect_uris": ["https://client.example/cb", "cursor://anysphere.cursor-mcp/oauth/callback"],
        "token_endpoint_auth_method": "client_secret_post",
        "client_uri": "https://client.example/",
        // What the server must never take from a client.
        "confirmed": true,
        "identityAuthAccessToken": "made-up-by-client",
        "identityAuthId": "made-up-by-client",
        "client_id": "made-up-by-client",
        "client_secret": "made-up-by-client",
        "registration_access_token": "made-up-by-client",
    });
    let reply = register(&stage, &asked).await?;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(!reply.text().contains("made-up-by-client"));
    let answer = reply.json()?;
    stage.witness.remember_members(&answer);
    assert!(answer.get("confirmed").is_none());
    for member in ["redirect_uris", "client_name", "token_endpoint_auth_method"] {
        assert_eq!(answer[member], asked[member], "{member}");
    }
    assert!(answer["client_id_issued_at"].is_u64());
    assert!(answer["client_secret"].is_string());
    assert_eq!(answer["client_secret_expires_at"], 0);
    assert!(
        answer["grant_types"]
            .as_array()
            .unwrap()
            .contains(&"refresh_token".into())
    );
    Ok(())
}

#[tokio::test]
async fn dangerous_uris_are_refused_in_every_field() -> Result<()> {
    let stage = Stage::open().await?;
    for uri in [
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x.example/1",
        "http://client.example/cb",
        "https://user:secret@client.example/cb",
        "https://client.example/cb#fragment",
        "//client.example/cb",
        "/cb",
        "",
    ] {
        let reply = register(&stage, &json!({ "redirect_uris": [uri] })).await?;
        assert_eq!(reply.status, 400, "{uri}");
        assert_eq!(reply.error(), "invalid_redirect_uri", "{uri}");
    }
    for field in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
        let asked = json!({
            "redirect_uris": ["https://client.example/cb"], field: "javascript:alert(1)",
        });
        let reply = register(&stage, &asked).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error().as_str()),
            (400, "invalid_client_metadata")
        );
    }
    Ok(())
}

#[tokio::test]
async fn malformed_and_huge_requests_are_refused_in_json() -> Result<()> {
    let stage = Stage::open().await?;
    let url = stage.proxy.url("/reg")?;
    for (kind, body) in [
        ("application/json", "{".to_owned()),
        ("application/json", "[]".to_owned()),
        (
            "application/json",
            json!({ "redirect_uris": "x" }).to_string(),
        ),
        (
            "application/json",
            json!({ "client_name": "x".repeat(300_000) }).to_string(),
        ),
    ] {
        let request = stage
            .http()?
            .post(&url)
            .header("content-type", kind)
            .body(body);
        let reply = Reply::to(request).await?;
        assert!(reply.status.is_client_error(), "{kind}");
        assert!(!reply.error().is_empty(), "{kind}: {}", reply.text());
    }
    Ok(())
}

#[tokio::test]
async fn registering_is_limited_and_using_tokens_is_not() -> Result<()> {
    let stage = Stage::builder()?.env("MAX_REQUESTS", "8").open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let asked = json!({ "redirect_uris": ["https://client.example/cb"] });
    let mut refused = None;
    for _ in 0..10 {
        let reply = register(&stage, &asked).await?;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        stage.witness.remember_members(&reply.json()?);
    }
    let refused = refused.unwrap();
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    refused.json()?;
    let mut refresh = tokens.refresh;
    for _ in 0..12 {
        let next = testkit::client::Tokens::of(&client.refresh(&refresh).await?)?;
        let reply = client.call(&next.access, &crate::harness::ping()).await?;
        assert_eq!(reply.status, 200);
        refresh = next.refresh;
    }
    Ok(())
}

#[tokio::test]
async fn an_operator_may_name_the_hosts() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS", "claude.ai")
        .open()
        .await?;
    let status = async |uri: &str| {
        let reply = register(&stage, &json!({ "redirect_uris": [uri] })).await?;
        anyhow::Ok(reply.status.as_u16())
    };
    assert_eq!(
        status("https://claude.ai/api/mcp/auth_callback").await?,
        201
    );
    assert_eq!(status("http://localhost:1/cb").await?, 201);
    assert_eq!(status("https://evil.example/cb").await?, 400);
    Ok(())
}

async fn register(stage: &Stage, metadata: &Value) -> Result<Reply> {
    Reply::to(stage.http()?.post(&stage.proxy.url("/reg")?).json(metadata)).await
}
