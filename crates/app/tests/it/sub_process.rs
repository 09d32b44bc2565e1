//! The MCP server as a sub-process: started, watched, stopped, never left behind.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use testkit::{
    browser::Browser,
    client::{OAuthClient, REDIRECT_URI},
    port::Port,
    process::is_running,
    provider::{Provider, ProviderOptions},
    tools::Tools,
    wait,
    witness::Witness,
};
use url::Url;

use crate::harness::{Proxy, ProxyBuilder, SOON};

const EVERYTHING: &str = "@modelcontextprotocol/server-everything/dist/index.js";
const STOP: Duration = Duration::from_secs(30);

/// What a proxy with a sub-process needs beside it, as long as the story runs.
struct Surroundings {
    server: Port,
    witness: Witness,
    _provider: Provider,
}

#[tokio::test]
async fn the_later_form_starts_a_program_with_arguments() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let tools = Tools::find()?;
    let arguments = json!([tools.package_path(EVERYTHING), "streamableHttp"]);
    let builder = builder
        .env(
            "MCP_SERVER_RUN_COMMAND",
            &tools.node_path().display().to_string(),
        )
        .env("MCP_SERVER_RUN_ARGS_JSON", &arguments.to_string())
        .env(
            "MCP_SERVER_RUN_ENV_JSON",
            r#"{"STORY_NUMBER": 7, "STORY_FLAG": true}"#,
        );
    let mut proxy = builder.start().await?;
    // The server listens where MCP_SERVER_URL says, not where the proxy does.
    let environment = environment_of_server(&proxy, &around.witness).await?;
    assert!(environment.contains(&around.server.number().to_string()));
    assert!(environment.contains("STORY_NUMBER") && environment.contains('7'));
    assert!(environment.contains("STORY_FLAG"));
    assert!(!environment.contains(testkit::provider::CLIENT_SECRET));
    assert!(!environment.contains("IDENTITY_CLIENT_SECRET"));
    proxy.process()?.terminate()?;
    assert!(proxy.process()?.exited(STOP).await?.success());
    Ok(())
}

#[tokio::test]
async fn the_early_form_is_a_shell_command() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let tools = Tools::find()?;
    let command = format!(
        "cd / && PORT={} '{}' '{}' streamableHttp",
        around.server.number(),
        tools.node_path().display(),
        tools.package_path(EVERYTHING).display(),
    );
    let mut proxy = shell(builder, &command).start().await?;
    assert!(
        proxy.log().contains("listening on port"),
        "its output is in the log"
    );
    proxy.process()?.terminate()?;
    assert!(proxy.process()?.exited(STOP).await?.success());
    nobody_listens(around.server.number()).await
}

#[tokio::test]
async fn no_orphan_is_left_when_the_proxy_is_killed() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let server = around.server.number();
    let mut proxy = shell(
        builder,
        &listener(server, "echo child $$; while :; do sleep 0.1; done")?,
    )
    .start()
    .await?;
    let child = child_id(&proxy)?;
    assert!(is_running(child));
    proxy.process()?.kill()?;
    wait::until_true("the end of the child", SOON, || !is_running(child)).await?;
    nobody_listens(server).await
}

#[tokio::test]
async fn a_server_that_ignores_the_request_to_stop_is_killed() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let server = around.server.number();
    let script = listener(
        server,
        "trap '' TERM; echo child $$; while :; do sleep 0.1; done",
    )?;
    let mut proxy = shell(builder, &script)
        .env("MCP_AUTH_PROXY_DRAIN", "2s")
        .start()
        .await?;
    let child = child_id(&proxy)?;
    proxy.process()?.terminate()?;
    proxy.process()?.exited(STOP).await?;
    wait::until_true("the end of the child", SOON, || !is_running(child)).await?;
    nobody_listens(server).await
}

#[tokio::test]
async fn the_server_s_exit_code_is_the_proxy_s() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let directory = builder.directory().to_owned();
    let switch = directory.join("go");
    let script = listener(
        around.server.number(),
        &format!(
            "while [ ! -e '{}' ]; do sleep 0.1; done; kill %1; exit 7",
            switch.display()
        ),
    )?;
    let mut proxy = shell(builder, &script).start().await?;
    std::fs::write(switch, "")?;
    let status = proxy.process()?.exited(STOP).await?;
    assert_eq!(status.code(), Some(7));
    Ok(())
}

#[tokio::test]
async fn a_server_ended_by_a_signal_is_128_and_its_number() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let switch = builder.directory().join("go");
    let script = listener(
        around.server.number(),
        &format!(
            "while [ ! -e '{}' ]; do sleep 0.1; done; kill %1; kill -9 $$",
            switch.display()
        ),
    )?;
    let mut proxy = shell(builder, &script).start().await?;
    std::fs::write(switch, "")?;
    let status = proxy.process()?.exited(STOP).await?;
    assert_eq!(status.code(), Some(137));
    Ok(())
}

#[tokio::test]
async fn a_server_that_ends_at_once_stops_the_start() -> Result<()> {
    for code in ["0", "3"] {
        let (_around, builder) = Surroundings::new().await?;
        let mut proxy = shell(builder, &format!("echo going from $PWD; exit {code}"))
            .env("MCP_SERVER_RUN_DIR", "/")
            .spawn()?;
        let status = proxy.process()?.exited(STOP).await?;
        assert!(
            !status.success(),
            "an exit before it listens is a failure whatever its code"
        );
        let log = proxy.log();
        assert!(log.contains("going from /\""), "{log}");
        assert!(log.contains("before it accepted connections"), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_release_can_be_rehearsed() -> Result<()> {
    let (around, builder) = Surroundings::new().await?;
    let server = around.server.number();
    let script = listener(server, "while :; do sleep 0.1; done")?;
    let data = builder.directory().join("data");
    let mut proxy = shell(builder, &script)
        .env("MCP_AUTH_PROXY_VERIFY_RELEASE", "true")
        .spawn()?;
    let status = proxy.process()?.exited(STOP).await?;
    assert!(status.success(), "{}", proxy.log());
    assert!(
        proxy
            .log()
            .contains("Verified release launches. Exit status 0.")
    );
    assert!(!data.exists(), "it changes nothing in the store");
    assert!(!proxy.log().contains("signing keys"), "{}", proxy.log());
    nobody_listens(server).await
}

#[tokio::test]
async fn a_rehearsal_finds_a_data_directory_that_cannot_be_made() -> Result<()> {
    let (_around, builder) = Surroundings::new().await?;
    let file = builder.directory().join("file");
    std::fs::write(&file, "")?;
    let below = file.join("data").display().to_string();
    let mut proxy = builder
        .env("MCP_AUTH_PROXY_VERIFY_RELEASE", "true")
        .env("MCP_AUTH_PROXY_DATA_DIR", &below)
        .spawn()?;
    let status = proxy.process()?.exited(STOP).await?;
    assert!(!status.success(), "{}", proxy.log());
    assert!(proxy.log().contains(&below), "{}", proxy.log());
    Ok(())
}

impl Surroundings {
    async fn new() -> Result<(Self, ProxyBuilder)> {
        let witness = Witness::default();
        let builder = Proxy::builder(&witness)?;
        let options = ProviderOptions {
            redirect_uri: builder.redirect_uri(),
            access_ttl: 3600,
            auth_method: "client_secret_basic",
        };
        let provider = Provider::start(&options, &witness).await?;
        let server = Port::reserve()?;
        let url = Url::parse(&format!("http://localhost:{}/mcp", server.number()))?;
        let builder = builder.server(&url).provider(&provider);
        let surroundings = Self {
            server,
            witness,
            _provider: provider,
        };
        Ok((surroundings, builder))
    }
}

fn shell(builder: ProxyBuilder, script: &str) -> ProxyBuilder {
    builder.env("MCP_SERVER_RUN_COMMAND", script)
}

/// A shell script that listens at a port (as its first job) and then does something.
fn listener(port: u16, then: &str) -> Result<String> {
    let node = Tools::find()?.node_path();
    Ok(format!(
        "set -m; '{}' -e \"require('net').createServer().listen({port}, 'localhost')\" & {then}",
        node.display()
    ))
}

fn child_id(proxy: &Proxy) -> Result<u32> {
    let log = proxy.log();
    let (_, after) = log.split_once("child ").unwrap();
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

async fn nobody_listens(port: u16) -> Result<()> {
    wait::until("the server's end", SOON, || async move {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        Ok(connected.is_err().then_some(()))
    })
    .await
}

/// What server-everything's `get-env` tool tells through the proxy.
async fn environment_of_server(proxy: &Proxy, witness: &Witness) -> Result<String> {
    let (http, mcp) = (proxy.http()?, proxy.url("/mcp")?);
    let client = OAuthClient::register(&http, &mcp, witness).await?;
    let mut browser = Browser::new(http, REDIRECT_URI, witness.clone());
    let tokens = client.log_in(&mut browser, "alice").await?;
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "story", "version": "1" },
        },
    });
    let reply = client.call(&tokens.access, &hello).await?;
    let session = reply.header("mcp-session-id").to_owned();
    assert_ne!(session, "", "{}", reply.text());
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let call = crate::harness::tool_call("get-env", &json!({}));
    let mut text = String::new();
    for message in [ready, call] {
        let request = client
            .calling(&tokens.access, &message)
            .header("mcp-session-id", &session)
            .header("mcp-protocol-version", "2025-11-25");
        text = testkit::http::Reply::to(request).await?.text();
    }
    Ok(text)
}
