//! Discovery is exact: everything named is served, everything served is named.

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use testkit::{
    client::{OAuthClient, quoted},
    http::Reply,
};
use url::Url;

use crate::harness::Stage;

#[tokio::test]
async fn every_endpoint_in_the_metadata_is_served() -> Result<()> {
    let stage = Stage::open().await?;
    let metadata = get(&stage, "/.well-known/oauth-authorization-server").await?;
    let members = metadata.as_object().unwrap();
    let mut served = 0;
    for (name, value) in members {
        if !name.ends_with("_endpoint") && name != "jwks_uri" {
            continue;
        }
        let url = Url::parse(value.as_str().unwrap())?;
        for method in [Method::GET, Method::POST] {
            let reply = Reply::to(stage.http()?.request(method, &url)).await?;
            assert_ne!(reply.status, 404, "{name}");
        }
        served += 1;
    }
    assert!(served >= 5, "{metadata}");
    for (member, value) in [
        ("code_challenge_methods_supported", json!(["S256"])),
        ("response_types_supported", json!(["code"])),
        (
            "authorization_response_iss_parameter_supported",
            json!(true),
        ),
        ("client_id_metadata_document_supported", json!(true)),
    ] {
        assert_eq!(members[member], value, "{member}");
    }
    let scopes = members["scopes_supported"].as_array().unwrap();
    assert!(scopes.contains(&"offline_access".into()));
    let issuer = members["issuer"].as_str().unwrap();
    assert_eq!(stage.proxy.url("")?.as_str().trim_end_matches('/'), issuer);
    Ok(())
}

#[tokio::test]
async fn openid_configuration_says_the_same() -> Result<()> {
    let stage = Stage::open().await?;
    let oauth = get(&stage, "/.well-known/oauth-authorization-server").await?;
    let openid = get(&stage, "/.well-known/openid-configuration").await?;
    for (name, value) in oauth.as_object().unwrap() {
        assert_eq!(openid.get(name), Some(value), "{name}");
    }
    for name in [
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    ] {
        assert!(openid[name].is_array(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn each_resource_document_names_what_it_was_asked_for() -> Result<()> {
    let stage = Stage::open().await?;
    for path in ["/mcp", "/mcp/sub/path", "/mcp/"] {
        let document = get(
            &stage,
            &format!("/.well-known/oauth-protected-resource{path}"),
        )
        .await?;
        assert_eq!(document["resource"], stage.proxy.url(path)?.as_str());
        let scopes = document["scopes_supported"].as_array();
        assert!(
            scopes.is_none_or(
                |scopes| !scopes.is_empty() && !scopes.contains(&"offline_access".into())
            )
        );
    }
    let root = get(&stage, "/.well-known/oauth-protected-resource").await?;
    assert_eq!(root["resource"], stage.mcp()?.as_str());
    for path in [
        "/other",
        "/mcpx",
        "/.well-known/oauth-protected-resource/other",
    ] {
        let reply = Reply::to(stage.http()?.get(&stage.proxy.url(path)?)).await?;
        assert_eq!(reply.status, 404, "{path}");
        reply.json()?;
    }
    Ok(())
}

#[tokio::test]
async fn the_401_points_at_its_own_document() -> Result<()> {
    let stage = Stage::open().await?;
    for path in ["/mcp", "/mcp/sub"] {
        let url = stage.proxy.url(path)?;
        for (method, authorization) in [
            (Method::GET, None),
            (Method::POST, None),
            (Method::DELETE, None),
            (Method::POST, Some("Bearer junk")),
            (Method::POST, Some("Basic eDp5")),
            (Method::POST, Some("Bearer")),
        ] {
            let mut request = stage.http()?.request(method, &url);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let reply = Reply::to(request).await?;
            assert_eq!(reply.status, 401, "{path} {authorization:?}");
            let challenge = reply.header("www-authenticate");
            let document = quoted(challenge, "resource_metadata").unwrap();
            let expected = stage
                .proxy
                .url(&format!("/.well-known/oauth-protected-resource{path}"))?;
            assert_eq!(document, expected.as_str());
            let scope = quoted(challenge, "scope").unwrap();
            assert!(!scope.is_empty() && !scope.contains("offline_access"));
            let has_error = challenge.contains("error=");
            let shows_bearer = authorization.is_some_and(|value| value.starts_with("Bearer"));
            assert_eq!(has_error, shows_bearer, "{challenge}");
        }
    }
    assert!(stage.recorder.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_issuer_is_never_made_from_host() -> Result<()> {
    let stage = Stage::open().await?;
    let url = stage.proxy.url("/.well-known/oauth-authorization-server")?;
    let request = stage
        .http()?
        .get(&url)
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example");
    let reply = Reply::to(request).await?;
    assert!(!reply.text().contains("evil.example"));
    Ok(())
}

#[tokio::test]
async fn a_prefix_is_known_in_both_forms() -> Result<()> {
    let stage = Stage::builder()?
        .behind_router()?
        .env("BASE_URL", "https://mcp.example/tools")
        .open()
        .await?;
    let http = stage.http()?;
    for location in [
        "/.well-known/oauth-authorization-server/tools",
        "/tools/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration/tools",
        "/tools/.well-known/openid-configuration",
    ] {
        let url = Url::parse("https://mcp.example")?.join(location)?;
        let reply = Reply::to(http.get(&url)).await?;
        assert_eq!(
            reply.json()?["issuer"],
            "https://mcp.example/tools",
            "{location}"
        );
    }
    let mcp = Url::parse("https://mcp.example/tools/mcp")?;
    let client = OAuthClient::register(&http, &mcp, &stage.witness).await?;
    let tokens = client.log_in(&mut stage.browser()?, "alice").await?;
    let reply = client.call(&tokens.access, &crate::harness::ping()).await?;
    assert_eq!(reply.status, 200);
    Ok(())
}

async fn get(stage: &Stage, path: &str) -> Result<Value> {
    let reply = Reply::to(stage.http()?.get(&stage.proxy.url(path)?)).await?;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json", "{path}");
    reply.json()
}
