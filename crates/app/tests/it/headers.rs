//! The contract of headers: set, kept, taken out, both ways.

use anyhow::Result;
use serde_json::json;
use testkit::{http::Reply, recorder::Answer};

use crate::harness::{Stage, ping};

#[tokio::test]
async fn the_server_gets_what_the_contract_promises() -> Result<()> {
    let stage = Stage::builder()?
        .env("IDENTITY_SCOPE", "openid email api")
        .open()
        .await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let request = client
        .calling(&tokens.access, &ping())
        .header("user-agent", "story/1.0")
        .header("accept-language", "de")
        .header("mcp-session-id", "session-1")
        .header("mcp-protocol-version", "2025-11-25")
        .header("mcp-method", "ping")
        .header("mcp-name", "x")
        .header("mcp-param-region", "eu")
        .header("last-event-id", "41")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("x-custom", "kept");
    Reply::to(request).await?;
    let arrived = stage.recorder.last().unwrap();
    let header = |name: &str| {
        let mut values = arrived.headers.get_all(name).iter();
        let first = values
            .next()
            .map(|value| value.to_str().unwrap().to_owned());
        assert!(values.next().is_none(), "{name} arrived twice");
        first
    };
    for (name, value) in [
        ("user-agent", "story/1.0"),
        ("accept", "application/json, text/event-stream"),
        ("accept-language", "de"),
        ("content-type", "application/json"),
        ("mcp-session-id", "session-1"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "ping"),
        ("mcp-name", "x"),
        ("mcp-param-region", "eu"),
        ("last-event-id", "41"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("x-custom", "kept"),
        ("x-authorization-scope", "openid email api"),
        ("x-dynamic-client-id", client.id()),
    ] {
        assert_eq!(header(name).as_deref(), Some(value), "{name}");
    }
    let server = stage.recorder.url();
    let host = format!("127.0.0.1:{}", server.port().unwrap());
    assert_eq!(header("host"), Some(host));
    let public = format!("localhost:{}", stage.proxy.port());
    assert_eq!(header("x-forwarded-host"), Some(public));
    assert_eq!(header("x-forwarded-proto").as_deref(), Some("http"));
    assert!(header("x-request-id").is_some());
    assert!(header("authorization").unwrap().starts_with("bearer "));
    assert_eq!(stage.subject_at_server().await?.as_deref(), Some("alice"));
    Ok(())
}

#[tokio::test]
async fn what_a_client_makes_up_is_taken_out() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let mut request = client.calling(&tokens.access, &ping());
    let forged = [
        "x-authorization-scope",
        "x_authorization_scope",
        "x-dynamic-client-id",
        "x_dynamic_client_id",
        "x-forwarded-user",
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "x-auth-request-user",
        "x_auth_request_email",
        "x-remote-user",
        "remote-user",
        "remote_user",
        "cookie",
        "referer",
        "sec-fetch-site",
        "proxy-authorization",
        "te",
    ];
    for name in forged {
        request = request.header(name, "forged-by-client");
    }
    request = request
        .header("connection", "x-hop")
        .header("x-hop", "forged-by-client");
    let reply = Reply::to(request).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let arrived = stage.recorder.last().unwrap();
    for (name, value) in &arrived.headers {
        let value = value.to_str()?;
        assert!(!value.contains("forged-by-client"), "{name}: {value}");
        assert_ne!(value, tokens.access, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_without_a_name_is_the_proxy() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    client.call(&tokens.access, &ping()).await?;
    let arrived = stage.recorder.last().unwrap();
    assert_eq!(arrived.headers["user-agent"], "MCP-Auth-Proxy");
    Ok(())
}

#[tokio::test]
async fn our_access_token_never_reaches_the_server() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    client.call(&tokens.access, &ping()).await?;
    let arrived = stage.recorder.last().unwrap();
    assert!(!format!("{:?}", arrived.headers).contains("mpat1_"));
    Ok(())
}

#[tokio::test]
async fn the_server_s_answer_is_cleaned() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.recorder.answer(|_| {
        let headers = [
            ("content-type", "application/json"),
            ("mcp-session-id", "session-1"),
            ("x-custom", "kept"),
            ("set-cookie", "a=b"),
            ("clear-site-data", "\"cookies\""),
            ("service-worker-allowed", "/"),
            ("alt-svc", "h3=\":443\""),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("www-authenticate", "Bearer realm=\"inner\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ];
        Answer::whole(418, &headers, "{}".into())
    });
    let reply = client.call(&tokens.access, &ping()).await?;
    assert_eq!(reply.status, 418);
    assert_eq!(reply.header("mcp-session-id"), "session-1");
    assert_eq!(reply.header("x-custom"), "kept");
    for gone in [
        "set-cookie",
        "clear-site-data",
        "service-worker-allowed",
        "alt-svc",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "www-authenticate",
        "x-hop",
    ] {
        assert_eq!(reply.header(gone), "", "{gone}");
    }
    Ok(())
}

#[tokio::test]
async fn public_paths_pass_without_a_token_and_without_an_identity() -> Result<()> {
    let challenge = "/.well-known/openai-apps-challenge";
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_PUBLIC_PATHS", challenge)
        .open()
        .await?;
    stage
        .recorder
        .answer(|_| Answer::json(&json!({ "proof": 1 })));
    let url = stage.proxy.url(challenge)?;
    let request = stage
        .http()?
        .get(&url)
        .header("x-dynamic-client-id", "forged")
        .header("x-http-method-override", "DELETE");
    let reply = Reply::to(request).await?;
    assert_eq!(reply.json()?["proof"], 1);
    // No page of the MCP server may act as one of ours.
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("sandbox "), "{policy}");
    assert!(!policy.contains("allow-same-origin"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    let arrived = stage.recorder.last().unwrap();
    assert_eq!(arrived.uri, challenge);
    for absent in [
        "authorization",
        "x-authorization-scope",
        "x-dynamic-client-id",
        "x-http-method-override",
    ] {
        assert!(!arrived.headers.contains_key(absent), "{absent}");
    }
    let reply = Reply::to(stage.http()?.post(&url)).await?;
    assert_eq!(reply.status, 405);
    Ok(())
}
