//! What is checked before anybody sees a page: client, redirect URI, PKCE, resource, scope.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::{
    browser::{Landing, parameter},
    client::{Authorization, OAuthClient, REDIRECT_URI, Tokens},
    http::Reply,
};

use crate::harness::Stage;

#[tokio::test]
async fn nothing_is_sent_to_an_unregistered_redirect_uri() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    for wrong in [
        "https://evil.example/callback",
        "http://localhost:8976/other",
        "http://localhost.evil.example:8976/callback",
        "http://localhost:8976/callback/../x",
        "http://localhost:8976/callback?x=1",
        "javascript:alert(1)",
        "not a URI",
    ] {
        // Not even when something else is wrong as well.
        for authorization in [
            client.authorization()?.with("redirect_uri", wrong),
            client
                .authorization()?
                .with("redirect_uri", wrong)
                .with("response_type", "token")
                .without("code_challenge"),
        ] {
            let reply = stage.browser()?.get(&authorization.url()).await?;
            assert_eq!(reply.status, 400, "{wrong}");
            assert_eq!(reply.header("location"), "");
            assert!(reply.header("content-type").starts_with("text/html"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_native_client_may_come_from_another_port() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let other = "http://localhost:54321/callback";
    let authorization = client.authorization()?.with("redirect_uri", other);
    let mut browser = stage.browser_for(other)?;
    let arrived = browser.log_in(&authorization.url(), "alice").await?;
    let code = authorization.code(&arrived)?;
    // It must be the one of the authorization request then.
    let reply = client.redeem(&code, &authorization.verifier).await?;
    assert_eq!(reply.error(), "invalid_grant");
    Ok(())
}

#[tokio::test]
async fn an_unknown_client_gets_a_page_with_its_cure() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let authorization = client.authorization()?.with("client_id", "forgotten");
    let reply = stage.browser()?.get(&authorization.url()).await?;
    assert!(reply.status.is_client_error());
    assert_eq!(reply.header("location"), "");
    assert!(reply.text().contains("forgotten"));
    Ok(())
}

#[tokio::test]
async fn pkce_with_s256_is_needed() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let good = client.authorization()?;
    let verifier = good.verifier.clone();
    for wrong in [
        good.clone()
            .without("code_challenge")
            .without("code_challenge_method"),
        good.clone().without("code_challenge"),
        good.clone()
            .with("code_challenge", &verifier)
            .with("code_challenge_method", "plain"),
        // Absent is plain (RFC 7636 §4.3).
        good.clone().without("code_challenge_method"),
        good.clone().with("code_challenge_method", "S512"),
        good.clone().with("code_challenge", "too-short"),
    ] {
        refused(&stage, &wrong, "invalid_request").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_verifier_must_fit() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    let other = testkit::client::random_text()?;
    for verifier in [Some(other.as_str()), None, Some("short")] {
        let authorization = client.authorization()?;
        let arrived = browser.page(&authorization.url()).await?;
        let arrived = match browser.agree(&arrived).await? {
            Landing::Client(arrived) => arrived,
            Landing::Page(login) => browser.sign_in(&login, "alice", "any").await?.client()?,
        };
        let code = authorization.code(&arrived)?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let reply = client.token(&form).await?;
        assert_eq!(reply.status, 400);
        assert!(
            matches!(reply.error().as_str(), "invalid_grant" | "invalid_request"),
            "{}",
            reply.text()
        );
    }
    Ok(())
}

#[tokio::test]
async fn only_a_code_is_given() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let good = client.authorization()?;
    for response_type in ["token", "id_token", "code token", "none"] {
        let wrong = good.clone().with("response_type", response_type);
        refused(&stage, &wrong, "unsupported_response_type").await?;
    }
    refused(&stage, &good.without("response_type"), "invalid_request").await
}

#[tokio::test]
async fn a_foreign_resource_is_refused_everywhere() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let good = client.authorization()?;
    let foreign = "https://other.example/mcp";
    refused(
        &stage,
        &good.clone().with("resource", foreign),
        "invalid_target",
    )
    .await?;
    refused(&stage, &good.with("resource", "no URL"), "invalid_target").await?;

    let tokens = client.log_in(&mut stage.browser()?, "alice").await?;
    let reply = client
        .token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &tokens.refresh),
            ("resource", foreign),
        ])
        .await?;
    assert_eq!(reply.error(), "invalid_target");
    Tokens::of(&client.refresh(&tokens.refresh).await?)?;
    Ok(())
}

#[tokio::test]
async fn one_resource_has_several_spellings() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let mcp = stage.mcp()?;
    let mut browser = stage.browser()?;
    for spelling in [
        format!("{mcp}/"),
        format!("{mcp}?from=client"),
        mcp.to_string(),
    ] {
        let authorization = client.authorization()?.with("resource", &spelling);
        let page = browser.page(&authorization.url()).await?;
        page.form_with("confirmed")?;
    }
    let absent = client.authorization()?.without("resource");
    browser.page(&absent.url()).await?.form_with("confirmed")?;

    // Several that name the same are one; two different ones are none.
    let mut twice = client.authorization()?.url();
    twice
        .query_pairs_mut()
        .append_pair("resource", &format!("{mcp}/"));
    browser.page(&twice).await?.form_with("confirmed")?;
    let mut differing = client.authorization()?.url();
    differing
        .query_pairs_mut()
        .append_pair("resource", "https://other.example/");
    let arrived = browser.open(&differing).await?.client()?;
    assert_eq!(
        parameter(&arrived, "error").as_deref(),
        Some("invalid_target")
    );
    Ok(())
}

#[tokio::test]
async fn a_parameter_given_twice_is_an_error() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    for name in [
        "client_id",
        "redirect_uri",
        "state",
        "code_challenge",
        "scope",
    ] {
        let mut url = client.authorization()?.with("scope", "openid").url();
        let value = parameter(&url, name).unwrap();
        url.query_pairs_mut().append_pair(name, &value);
        let mut browser = stage.browser()?;
        match browser.open(&url).await? {
            Landing::Page(page) => assert_eq!(page.reply.status, 400, "{name}"),
            Landing::Client(arrived) => {
                assert_eq!(
                    parameter(&arrived, "error").as_deref(),
                    Some("invalid_request")
                );
            }
        }
    }
    let reply = client
        .token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "x"),
            ("refresh_token", "y"),
        ])
        .await?;
    assert_eq!(reply.error(), "invalid_request");
    Ok(())
}

#[tokio::test]
async fn older_clients_find_authorize_and_register_at_the_root() -> Result<()> {
    let stage = Stage::open().await?;
    let register = stage.proxy.url("/register")?;
    let metadata = json!({ "redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none" });
    let reply = Reply::to(stage.http()?.post(&register).json(&metadata)).await?;
    assert_eq!(reply.status, 201);
    let id = reply.json()?["client_id"].as_str().unwrap().to_owned();
    let mut authorize = stage
        .client()
        .await?
        .authorization()?
        .with("client_id", &id)
        .url();
    authorize.set_path("/authorize");
    stage
        .browser()?
        .page(&authorize)
        .await?
        .form_with("confirmed")?;
    Ok(())
}

#[tokio::test]
async fn an_authorization_request_may_come_by_post() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let url = client.authorization()?.url();
    let fields: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut target = url.clone();
    target.set_query(None);
    let mut browser = stage.browser()?;
    let reply = browser
        .post(&target, "https://client.example", &fields)
        .await?;
    let page = browser.follow(target, reply).await?.page()?;
    page.form_with("confirmed")?;
    Ok(())
}

#[tokio::test]
async fn scopes_default_to_all_and_unknown_ones_are_dropped() -> Result<()> {
    let stage = Stage::open().await?;
    let client = stage.client().await?;
    let (tokens, id_token) = with_scope(&stage, &client, None).await?;
    let scope = tokens.answer["scope"].as_str().unwrap();
    assert!(scope.split(' ').any(|name| name == "openid"), "{scope}");
    assert!(id_token, "openid was granted");
    let (tokens, id_token) = with_scope(&stage, &client, Some("offline_access made-up")).await?;
    assert_eq!(tokens.answer["scope"], "offline_access");
    assert!(!id_token, "openid was not granted");
    Ok(())
}

async fn with_scope(
    stage: &Stage,
    client: &OAuthClient,
    scope: Option<&str>,
) -> Result<(Tokens, bool)> {
    let mut authorization = client.authorization()?;
    if let Some(scope) = scope {
        authorization = authorization.with("scope", scope);
    }
    let arrived = stage
        .browser()?
        .log_in(&authorization.url(), "alice")
        .await?;
    let code = authorization.code(&arrived)?;
    let tokens = Tokens::of(&client.redeem(&code, &authorization.verifier).await?)?;
    let id_token = tokens.answer.get("id_token").is_some_and(Value::is_string);
    Ok((tokens, id_token))
}

/// The client is told, at its registered redirect URI, with state and issuer.
async fn refused(stage: &Stage, authorization: &Authorization, error: &str) -> Result<()> {
    let arrived = stage
        .browser()?
        .open(&authorization.url())
        .await?
        .client()?;
    assert!(arrived.as_str().starts_with(REDIRECT_URI));
    assert_eq!(
        parameter(&arrived, "error").as_deref(),
        Some(error),
        "{arrived}"
    );
    assert_eq!(
        parameter(&arrived, "state"),
        Some(authorization.state.clone())
    );
    assert!(parameter(&arrived, "iss").is_some());
    assert_eq!(parameter(&arrived, "code"), None);
    Ok(())
}
