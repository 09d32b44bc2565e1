//! Browser clients of other origins: let in where they must be, never at the pages.

use anyhow::Result;
use http::Method;
use testkit::http::Reply;

use crate::harness::{Stage, ping};

const LOOPBACK: &str = "http://localhost:6274";
const FOREIGN: &str = "https://evil.example";

#[tokio::test]
async fn machine_endpoints_are_open_to_every_origin_errors_too() -> Result<()> {
    let stage = Stage::open().await?;
    for (method, path) in [
        (Method::GET, "/.well-known/oauth-authorization-server"),
        (Method::GET, "/.well-known/openid-configuration"),
        (Method::GET, "/.well-known/oauth-protected-resource/mcp"),
        (Method::GET, "/.well-known/oauth-protected-resource/nothing"),
        (Method::GET, "/jwks"),
        (Method::POST, "/reg"),
        (Method::POST, "/token"),
        (Method::POST, "/token/revocation"),
    ] {
        let url = stage.proxy.url(path)?;
        let request = stage
            .http()?
            .request(method, &url)
            .header("origin", FOREIGN);
        let reply = Reply::to(request).await?;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            "",
            "{path}"
        );
        reply.json()?;

        let preflight = stage
            .http()?
            .request(Method::OPTIONS, &url)
            .header("origin", FOREIGN)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type, mcp-protocol-version",
            );
        let reply = Reply::to(preflight).await?;
        assert_eq!(reply.status, 204, "{path}");
        let allowed = reply
            .header("access-control-allow-headers")
            .to_ascii_lowercase();
        assert!(
            allowed.contains("mcp-protocol-version"),
            "{path}: {allowed}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_mcp_endpoint_lets_loopback_and_named_origins_in() -> Result<()> {
    let named = "https://app.example";
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_ALLOWED_ORIGINS", named)
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let own = stage.proxy.url("")?.origin().ascii_serialization();
    for origin in [LOOPBACK, "http://127.0.0.1:1234", named, &own] {
        let request = client
            .calling(&tokens.access, &ping())
            .header("origin", origin);
        let reply = Reply::to(request).await?;
        assert_eq!(reply.status, 200, "{origin}");
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        assert!(reply.header("vary").to_ascii_lowercase().contains("origin"));
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        let exposed = reply
            .header("access-control-expose-headers")
            .to_ascii_lowercase();
        for name in ["www-authenticate", "mcp-session-id", "mcp-protocol-version"] {
            assert!(exposed.contains(name), "{exposed}");
        }
        assert!(
            !stage
                .recorder
                .last()
                .unwrap()
                .headers
                .contains_key("origin")
        );

        // The 401 that begins everything must be readable as well.
        let bare = stage.http()?.post(&stage.mcp()?).header("origin", origin);
        let reply = Reply::to(bare).await?;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("access-control-allow-origin"), origin);
    }
    Ok(())
}

#[tokio::test]
async fn the_mcp_endpoint_refuses_other_origins_before_anything_else() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.recorder.forget();
    for origin in [
        FOREIGN,
        "null",
        "https://localhost.evil.example",
        "http://127.0.0.1.evil.example",
    ] {
        let request = client
            .calling(&tokens.access, &ping())
            .header("origin", origin);
        let reply = Reply::to(request).await?;
        assert_eq!(reply.status, 403, "{origin}");
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
    assert!(stage.recorder.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn preflights_at_the_mcp_endpoint_are_answered_here() -> Result<()> {
    let stage = Stage::open().await?;
    stage.recorder.forget();
    let preflight = stage
        .http()?
        .request(Method::OPTIONS, &stage.mcp()?)
        .header("origin", LOOPBACK)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,mcp-session-id,x-odd",
        );
    let reply = Reply::to(preflight).await?;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), LOOPBACK);
    let headers = reply
        .header("access-control-allow-headers")
        .to_ascii_lowercase();
    for name in ["authorization", "mcp-session-id", "x-odd"] {
        assert!(headers.contains(name), "{headers}");
    }
    assert!(
        reply
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(stage.recorder.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn pages_are_closed_to_other_origins() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let consent = stage
        .browser()?
        .page(&client.authorization()?.url())
        .await?;
    for url in [client.authorization()?.url(), consent.url] {
        let reply = Reply::to(stage.http()?.get(&url).header("origin", FOREIGN)).await?;
        assert_eq!(
            reply.header("access-control-allow-origin"),
            "",
            "{}",
            url.path()
        );
    }
    Ok(())
}
