//! Faults of the configuration: all at once, each with its cure, no secret among them.

use std::time::Duration;

use anyhow::Result;
use testkit::{recorder::Recorder, witness::Witness};

use crate::harness::{Proxy, ProxyBuilder, SOON};

#[tokio::test]
async fn all_faults_are_told_at_once() -> Result<()> {
    let witness = Witness::default();
    let secret = "not-to-be-printed-0123456789";
    witness.remember(secret);
    let log = refused(
        Proxy::builder(&witness)?
            .env("BASE_URL", "http://mcp.example")
            .env("PORT", "eighty")
            .env("MCP_SERVER_URL", "not a url")
            .env("IDENTITY_CLIENT_SECRET", secret)
            .env(
                "OIDC_PROVIDER_JWKS",
                &format!("[{{\"kty\":\"EC\",\"d\":\"{secret}\"}}]"),
            )
            .env("MCP_SERVER_RUN_ARGS_JSON", "{")
            .env("MCP_AUTH_PROXY_ACCESS_TTL", "one hour")
            .env("MCP_AUTH_PROXY_TRUSTED_PROXIES", "everybody"),
    )
    .await?;
    for variable in [
        "BASE_URL",
        "PORT",
        "MCP_SERVER_URL",
        "IDENTITY_SERVER_URL",
        "IDENTITY_CLIENT_ID",
        "OIDC_PROVIDER_JWKS",
        "MCP_SERVER_RUN_ARGS_JSON",
        "MCP_AUTH_PROXY_ACCESS_TTL",
        "MCP_AUTH_PROXY_TRUSTED_PROXIES",
    ] {
        assert!(log.contains(variable), "{variable} is missing in:\n{log}");
    }
    for value in [
        "http://mcp.example",
        "eighty",
        "not a url",
        "one hour",
        "everybody",
    ] {
        assert!(log.contains(value), "{value} is missing in:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_set_says_what_is_needed() -> Result<()> {
    let log = refused(Proxy::builder(&Witness::default())?.without("BASE_URL")).await?;
    for variable in ["BASE_URL", "MCP_SERVER_URL", "IDENTITY_SERVER_URL"] {
        assert!(log.contains(variable), "{variable} is missing in:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_secret_given_twice_stops_the_start() -> Result<()> {
    let builder = Proxy::builder(&Witness::default())?;
    let file = builder.directory().join("secret");
    std::fs::write(&file, "from the file\n")?;
    let log = refused(
        builder
            .env("IDENTITY_CLIENT_SECRET", "from the variable")
            .env("IDENTITY_CLIENT_SECRET_FILE", &file.display().to_string()),
    )
    .await?;
    assert!(log.contains("IDENTITY_CLIENT_SECRET_FILE"), "{log}");
    assert!(!log.contains("from the variable") && !log.contains("from the file"));
    Ok(())
}

#[tokio::test]
async fn what_the_predecessor_bore_is_still_borne() -> Result<()> {
    let witness = Witness::default();
    let recorder = Recorder::start().await?;
    let builder = Proxy::builder(&witness)?.server(recorder.url());
    let options = testkit::provider::ProviderOptions {
        redirect_uri: builder.redirect_uri(),
        access_ttl: 3600,
        auth_method: "client_secret_basic",
    };
    let provider = testkit::provider::Provider::start(&options, &witness).await?;
    let proxy = builder
        .provider(&provider)
        .env("MAX_REQUESTS", "0")
        .env("LOCAL_INSECURE", "1")
        .env("LOG_LEVEL", "chatty")
        .env("MCP_SERVER_RUN_COMMAND", "")
        .env("BRANDING_TITLE", "")
        .start()
        .await?;
    let log = proxy.log();
    for line in [
        format!("{}/mcp", proxy.url("")?.as_str().trim_end_matches('/')),
        options.redirect_uri,
    ] {
        assert!(log.contains(&line), "{line} is missing in:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_dot_env_file_is_read_and_variables_win() -> Result<()> {
    let builder = Proxy::builder(&Witness::default())?;
    std::fs::write(
        builder.directory().join(".env"),
        "BASE_URL=http://from-the-file.example\nMCP_SERVER_URL=ftp://from the file # a comment\n",
    )?;
    let log = refused(builder).await?;
    assert!(log.contains("ftp://from the file"), "{log}");
    assert!(!log.contains("http://from-the-file.example"), "{log}");
    Ok(())
}

#[tokio::test]
async fn an_identity_provider_that_is_away_is_named() -> Result<()> {
    let witness = Witness::default();
    let recorder = Recorder::start().await?;
    let free = testkit::port::Port::reserve()?;
    let url = format!("http://localhost:{}", free.number());
    let mut proxy = Proxy::builder(&witness)?
        .server(recorder.url())
        .env("IDENTITY_SERVER_URL", &url)
        .env("IDENTITY_CLIENT_ID", "x")
        .env("IDENTITY_CLIENT_SECRET", "y")
        .spawn()?;
    let status = proxy.process()?.exited(Duration::from_secs(55)).await?;
    assert!(!status.success());
    assert!(proxy.log().contains(&url), "{}", proxy.log());
    Ok(())
}

async fn refused(builder: ProxyBuilder) -> Result<String> {
    let mut proxy = builder.spawn()?;
    let status = proxy.process()?.exited(SOON).await?;
    assert!(!status.success());
    Ok(proxy.log())
}
