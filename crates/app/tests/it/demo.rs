//! `mcp-auth-proxy demo`: a newcomer's first minute, with a real client.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::{
    browser::{Browser, parameter},
    http::{Http, Reply},
    recorder::Recorder,
    sdk_client::{Sdk, SdkClient},
    wait,
    witness::Witness,
};
use url::Url;

use crate::harness::{Proxy, ProxyBuilder, SOON};

#[tokio::test]
async fn a_newcomer_connects_a_real_client() -> Result<()> {
    let witness = Witness::default();
    let mut demo = builder(&witness)?.arguments(&["demo"]).spawn()?;
    let mcp = printed_url(&demo).await?;
    assert_eq!(mcp.port(), Some(demo.port()));
    let printed = demo.log();
    for client in [
        "claude mcp add",
        "mcp-remote",
        "code --add-mcp",
        "cursor",
        "inspector",
    ] {
        let printed = printed.to_ascii_lowercase();
        assert!(
            printed.contains(client),
            "no line for {client} in:\n{printed}"
        );
    }
    let (user, password) = printed_user(&printed)?;

    let mut client = SdkClient::start(Sdk::TypeScript, &mcp, None, &witness)?;
    log_in(&mut client, &user, &password, &witness).await?;
    let tools = client.command("tools", Value::Null).await?;
    for tool in ["whoami", "echo", "add", "count"] {
        assert!(tools.as_array().unwrap().contains(&tool.into()), "{tools}");
    }
    let whoami = client.tool("whoami", json!({})).await?;
    assert!(whoami.contains(&user), "{whoami}");
    let progress = client
        .command(
            "progress",
            json!({ "name": "count", "arguments": { "to": 3 } }),
        )
        .await?;
    assert!(!progress.as_array().unwrap().is_empty(), "{progress}");
    let credentials = client.credentials().await?;
    drop(client);

    // A restart knows its clients.
    demo.process()?.kill()?;
    demo.start_again()?;
    listening_again(&demo).await?;
    let mut client = SdkClient::start(Sdk::TypeScript, &mcp, Some(&credentials), &witness)?;
    client.connected().await?;
    client
        .tool("echo", json!({ "message": "me again" }))
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_demo_stands_before_one_s_own_server() -> Result<()> {
    let witness = Witness::default();
    let recorder = Recorder::start().await?;
    let demo = builder(&witness)?
        .arguments(&["demo", "--server", recorder.url().as_str()])
        .spawn()?;
    let mcp = printed_url(&demo).await?;
    let (user, password) = printed_user(&demo.log())?;
    let mut client = SdkClient::start(Sdk::TypeScript, &mcp, None, &witness)?;
    log_in(&mut client, &user, &password, &witness).await?;
    assert_eq!(
        client.tool("echo", json!({ "message": "x" })).await?,
        "Echo: x"
    );
    client.credentials().await?;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_said_and_the_next_one_used() -> Result<()> {
    let witness = Witness::default();
    // The usual port: held by us, or by somebody else on this machine already.
    let _taken = tokio::net::TcpListener::bind(("127.0.0.1", 3001)).await;
    let demo = builder(&witness)?
        .without("PORT")
        .arguments(&["demo"])
        .spawn()?;
    let mcp = printed_url(&demo).await?;
    assert_ne!(mcp.port(), Some(3001));
    let port = mcp.port().unwrap();
    assert!(
        demo.log().contains(&format!("listens at {port}")),
        "{}",
        demo.log()
    );
    Ok(())
}

fn builder(witness: &Witness) -> Result<ProxyBuilder> {
    // A newcomer sets nothing; what stands in the environment for something else is not read.
    Ok(Proxy::builder(witness)?
        .without("BASE_URL")
        .without("MAX_REQUESTS")
        .without("LOG_LEVEL")
        .env("IDENTITY_SERVER_URL", "https://not-read.example"))
}

async fn printed_url(demo: &Proxy) -> Result<Url> {
    let url = wait::until("the MCP URL on the screen", testkit::process::START, || {
        let printed = demo.log();
        async move {
            let found = printed
                .split(|character: char| character.is_whitespace() || "\"'`".contains(character))
                .find(|word| word.starts_with("http://localhost:") && word.ends_with("/mcp"))
                .and_then(|word| Url::parse(word).ok());
            Ok(found)
        }
    })
    .await
    .with_context(|| demo.log())?;
    crate::harness::listening(url.port().context("a port")?).await?;
    Ok(url)
}

async fn listening_again(demo: &Proxy) -> Result<()> {
    wait::until("the demo to answer again", SOON, || async {
        let url = Url::parse(&format!("http://localhost:{}/jwks", demo.port()))?;
        let reply = Reply::to(Http::direct()?.get(&url)).await;
        Ok(reply.is_ok().then_some(()))
    })
    .await
}

/// Name and password as they are printed for the newcomer.
fn printed_user(printed: &str) -> Result<(String, String)> {
    let value = |label: &str| {
        printed
            .lines()
            .find_map(|line| line.trim().strip_prefix(label))
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("no {label} in:\n{printed}"))
    };
    Ok((value("user ")?, value("password ")?))
}

async fn log_in(
    client: &mut SdkClient,
    user: &str,
    password: &str,
    witness: &Witness,
) -> Result<()> {
    let authorize = client.authorize_url().await?;
    let redirect = parameter(&authorize, "redirect_uri").unwrap();
    let mut browser = Browser::new(Http::direct()?, &redirect, witness.clone());
    let consent = browser.page(&authorize).await?;
    let login = browser.agree(&consent).await?.page()?;
    let arrived = browser.sign_in(&login, user, password).await?.client()?;
    Reply::to(Http::direct()?.get(&arrived)).await?;
    client.connected().await
}
