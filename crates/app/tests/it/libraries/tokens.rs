//! What libraries ask about tokens, and how they give them back: introspection (RFC 7662, 9701),
//! revocation (RFC 7009), userinfo.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::oauth_library::Library;

use super::{ALL_SCOPES, SCOPE, assert_over, begin, by, call, log_in, registered, text};
use crate::harness::Stage;

const INTROSPECTION_SECRET: &str = "of-the-mcp-server-and-nobody-else";

#[tokio::test]
async fn a_client_asks_about_its_own_tokens() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [
        Library::Oauth4webapi,
        Library::OpenidClient,
        Library::Authlib,
    ] {
        for algorithm in [None, Some("ES256")] {
            let mut client = begin(&stage, library)?;
            let registration = client.register(json!({}), algorithm).await?;
            let asked = json!({ "scope": SCOPE });
            let answer = log_in(&stage, &mut client, "alice", asked).await?;
            let access = json!({ "token": text(&answer, "/tokens/access_token")? });
            let known = client.command("introspect", access.clone()).await?;
            assert_eq!(known["active"], true, "{library:?}: {known}");
            assert_eq!(known["client_id"], registration["client_id"]);
            assert_eq!(known["sub"], "alice");
            assert_eq!(known["scope"], SCOPE);

            let refresh = json!({ "token": text(&answer, "/tokens/refresh_token")? });
            client.command("revoke", refresh).await?;
            let known = client.command("introspect", access).await?;
            assert_eq!(known, json!({ "active": false }));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_signed_answer_is_signed_by_a_published_key() -> Result<()> {
    let stage = Stage::open().await?;
    let mut client = registered(&stage, Library::Oauth4webapi, json!({})).await?;
    let answer = log_in(&stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;
    let token = text(&answer, "/tokens/access_token")?;
    let signed = json!({ "token": token, "signed": true });
    let known = client.command("introspect", signed).await?;
    assert_eq!(known["active"], true, "{known}");
    assert_eq!(known["sub"], "alice");
    Ok(())
}

#[tokio::test]
async fn the_mcp_server_asks_about_the_tokens_that_it_gets() -> Result<()> {
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_INTROSPECTION_SECRET", INTROSPECTION_SECRET)
        .open()
        .await?;
    let mut client = registered(&stage, Library::Oauth4webapi, by("none")).await?;
    let answer = log_in(&stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;
    let access = json!({ "token": text(&answer, "/tokens/access_token")? });
    let refresh = json!({ "token": text(&answer, "/tokens/refresh_token")? });

    let mut server = begin(&stage, Library::Oauth4webapi)?;
    server.command("discover", Value::Null).await?;
    let mut credentials =
        json!({ "client_id": "mcp-server", "client_secret": INTROSPECTION_SECRET });
    for method in ["client_secret_basic", "client_secret_post"] {
        credentials["token_endpoint_auth_method"] = method.into();
        let identity = json!({ "client": credentials });
        server.command("become", identity).await?;
        let known = server.command("introspect", access.clone()).await?;
        assert_eq!(known["active"], true, "{method}: {known}");
        assert_eq!(known["sub"], "alice");
        assert_eq!(known["aud"], stage.mcp()?.as_str());
        // Refresh tokens are none of its business.
        let known = server.command("introspect", refresh.clone()).await?;
        assert_eq!(known, json!({ "active": false }));
    }
    client.command("revoke", refresh).await?;
    let known = server.command("introspect", access.clone()).await?;
    assert_eq!(known, json!({ "active": false }));

    credentials["client_secret"] = "of somebody who guesses".into();
    server
        .command("become", json!({ "client": credentials }))
        .await?;
    let refused = server.refusal("introspect", access).await?;
    assert!(refused.contains("invalid_client"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn who_has_no_secret_may_not_ask() -> Result<()> {
    let stage = Stage::open().await?;
    let mut client = registered(&stage, Library::Oauth4webapi, by("none")).await?;
    let answer = log_in(&stage, &mut client, "alice", json!({ "scope": SCOPE })).await?;
    let token = json!({ "token": text(&answer, "/tokens/access_token")? });
    let refused = client.refusal("introspect", token).await?;
    assert!(refused.contains("invalid_client"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn giving_back_either_token_ends_the_session() -> Result<()> {
    let stage = Stage::open().await?;
    for library in [
        Library::Oauth4webapi,
        Library::OpenidClient,
        Library::Authlib,
    ] {
        for (kind, algorithm) in [
            ("access_token", None),
            ("refresh_token", None),
            ("refresh_token", Some("ES256")),
        ] {
            let mut client = begin(&stage, library)?;
            let metadata = algorithm.map_or_else(|| by("none"), |_| json!({}));
            client.register(metadata, algorithm).await?;
            let asked = json!({ "scope": SCOPE });
            let answer = log_in(&stage, &mut client, "alice", asked).await?;
            let access = text(&answer, "/tokens/access_token")?;
            assert_eq!(call(&stage, access).await?.status, 200);

            let token = text(&answer, &format!("/tokens/{kind}"))?;
            let back = json!({ "token": token, "hint": kind });
            client.command("revoke", back.clone()).await?;
            assert_over(&stage, &mut client, access).await?;
            // What is no token any more can be given back too (RFC 7009 §2.2).
            client.command("revoke", back).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn userinfo_tells_what_the_scopes_open() -> Result<()> {
    let stage = Stage::builder()?
        .env("PROVIDER_SCOPE", ALL_SCOPES)
        .open()
        .await?;
    let opened = [
        ("openid", json!({ "sub": "alice" })),
        (
            "openid email",
            json!({ "sub": "alice", "email": "alice@example.com" }),
        ),
        (
            ALL_SCOPES,
            json!({ "sub": "alice", "email": "alice@example.com", "name": "Name of alice" }),
        ),
    ];
    for library in [
        Library::Oauth4webapi,
        Library::OpenidClient,
        Library::Authlib,
    ] {
        let mut client = registered(&stage, library, by("none")).await?;
        for (scope, claims) in &opened {
            let asked = json!({ "scope": scope });
            log_in(&stage, &mut client, "alice", asked).await?;
            let told = client.command("userinfo", Value::Null).await?;
            assert_eq!(told, *claims, "{library:?} {scope}");
            if library == Library::Oauth4webapi {
                let told = client.command("userinfo_by_post", Value::Null).await?;
                assert_eq!(told, *claims, "{scope}");
            }
        }
    }
    Ok(())
}
