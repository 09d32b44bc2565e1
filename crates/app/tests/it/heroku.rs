//! Deployed on Heroku: the buildpack's scripts as the builder runs them, the processes as a dyno
//! runs them, behind a router that ends TLS.

mod slug;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use slug::{Slug, TARGET};
use testkit::{
    browser::{Browser, parameter},
    certificate::Certificate,
    http::{Http, Reply},
    port::Port,
    provider::{Provider, ProviderOptions},
    redis::Redis,
    sdk_client::{Sdk, SdkClient},
    tls_router::TlsRouterAddress,
    tools::Tools,
    wait,
    witness::Witness,
};

use crate::harness::{Proxy, ProxyBuilder, SOON};

const EVERYTHING: &str = "@modelcontextprotocol/server-everything/dist/index.js";

/// What the add-on gives: TLS by a certificate that nobody else has signed.
struct KeyValueStore {
    url: String,
    _redis: Redis,
    _certificate: Certificate,
    _port: Port,
}

#[tokio::test]
async fn an_app_in_node_js_with_the_predecessor_s_procfile_serves_a_client() -> Result<()> {
    let slug = Slug::of(&[
        ("package.json", r#"{"type":"module"}"#),
        ("server.js", &everything()?),
        (
            "Procfile",
            "web: node mcp-auth-proxy/index.js\n\
             release: MCP_AUTH_PROXY_VERIFY_RELEASE=true PORT=3001 node mcp-auth-proxy/index.js\n",
        ),
    ])?;
    let run = ("node", json!(["server.js"]));
    serves_a_client(
        &slug,
        &run,
        ("echo", json!({ "message": "hello" }), "Echo: hello"),
    )
    .await
}

#[tokio::test]
async fn an_app_in_python_without_a_procfile_serves_a_client() -> Result<()> {
    let server = Tools::find()?.python_script("conformance_server.py");
    let script = server.get_args().next().context("a script")?;
    let app = format!(
        "import json, os, runpy, sys\n\
         sys.argv = ['server', json.dumps({{'port': int(os.environ['PORT'])}})]\n\
         runpy.run_path({:?}, run_name='__main__')\n",
        script.to_string_lossy()
    );
    let slug = Slug::of(&[("requirements.txt", "mcp\n"), ("server.py", &app)])?;
    let python = server.get_program().to_string_lossy().into_owned();
    let run = (python.as_str(), json!(["server.py"]));
    let answer = "This is a simple text response for testing.";
    serves_a_client(&slug, &run, ("test_simple_text", json!({}), answer)).await
}

#[tokio::test]
async fn a_release_that_could_not_start_is_refused_with_the_reason() -> Result<()> {
    let slug = Slug::of(&[])?;
    slug.build()?;
    let witness = Witness::default();
    let mut rehearsal = Proxy::builder(&witness)?
        .env("BASE_URL", "https://mcp.example")
        .env("MCP_SERVER_URL", "http://localhost:3000/mcp")
        .env("IDENTITY_SERVER_URL", "https://id.example")
        .on_dyno(slug.app(), &release_line(&slug)?)
        .spawn()?;
    let status = rehearsal.process()?.exited(SOON).await?;
    assert!(!status.success());
    let log = rehearsal.log();
    for missing in ["IDENTITY_CLIENT_ID", "IDENTITY_CLIENT_SECRET"] {
        assert!(log.contains(missing), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn the_second_build_takes_the_binary_from_the_cache() -> Result<()> {
    let slug = Slug::of(&[("README.md", "the app's own")])?;
    let first = slug.build()?;
    assert!(
        first.contains("-----> Downloading MCP Auth Proxy"),
        "{first}"
    );
    assert!(!first.contains("from the build cache"), "{first}");
    let second = slug.build()?;
    assert!(second.contains("from the build cache"), "{second}");
    assert_eq!(
        std::fs::read_to_string(slug.app().join("README.md"))?,
        "the app's own"
    );
    for metadata in [
        "heroku_identity_metadata.json",
        "heroku_identity_staging_metadata.json",
    ] {
        let path = slug.app().join("mcp-auth-proxy").join(metadata);
        let metadata: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let issuer = metadata["issuer"].as_str().context("an issuer")?;
        assert_eq!(metadata["token_endpoint"], format!("{issuer}/oauth/token"));
    }
    Ok(())
}

#[tokio::test]
async fn a_release_of_the_predecessor_stops_no_build() -> Result<()> {
    let slug = Slug::of(&[])?;
    slug.config("MCP_PROXY_VERSION", "v1.3.0\n")?;
    let output = slug.build()?;
    assert!(
        output.contains(" !     MCP_PROXY_VERSION is v1.3.0"),
        "{output}"
    );
    assert!(
        output.contains("-----> Installing mcp-auth-proxy 2."),
        "{output}"
    );
    Ok(())
}

#[tokio::test]
async fn a_build_that_cannot_be_done_installs_nothing_and_says_what_to_do() -> Result<()> {
    let zeros = "0".repeat(64);
    let slug = Slug::of(&[])?;
    for (name, value, said) in [
        (
            "MCP_PROXY_DOWNLOAD_METHOD",
            "docker",
            "MCP_PROXY_DOWNLOAD_METHOD=release",
        ),
        ("MCP_PROXY_VERSION", "newest", "or \"latest\""),
        ("MCP_PROXY_VERSION", "v9.9.9", "Is there such a release?"),
        ("MCP_PROXY_SHA256", "abc", "64 hexadecimal digits"),
        ("MCP_PROXY_SHA256", &zeros, "is not what was released"),
    ] {
        slug.config(name, value)?;
        let output = slug.build().unwrap_err().to_string();
        slug.unset(name)?;
        assert!(output.contains(said), "{name}={value}: {output}");
        assert!(!slug.app().join("mcp-auth-proxy").exists(), "{output}");
    }
    Ok(())
}

/// Build, release phase, web process, and a client that logs in and calls a tool.
async fn serves_a_client(
    slug: &Slug,
    (program, arguments): &(&str, Value),
    (tool, parameters, answer): (&str, Value, &str),
) -> Result<()> {
    let output = slug.build()?;
    assert!(output.contains(TARGET), "{output}");
    let witness = Witness::default();
    let address = TlsRouterAddress::reserve()?;
    let store = KeyValueStore::start().await?;
    let server = Port::reserve()?;
    let builder = ProxyBuilder::new(&witness)?
        .env("BASE_URL", &address.origin())
        .env(
            "MCP_SERVER_URL",
            &format!("http://localhost:{}/mcp", server.number()),
        )
        .env("MCP_SERVER_RUN_COMMAND", program)
        .env("MCP_SERVER_RUN_ARGS_JSON", &arguments.to_string())
        .env("MCP_AUTH_PROXY_REDIS_URL", &store.url);
    let options = ProviderOptions {
        redirect_uri: builder.redirect_uri(),
        access_ttl: 3600,
        auth_method: "client_secret_basic",
    };
    let provider = Provider::start(&options, &witness).await?;
    let builder = builder.provider(&provider);

    let mut rehearsal = builder
        .clone_for(slug.app(), &release_line(slug)?)?
        .spawn()?;
    let status = rehearsal.process()?.exited(SOON).await?;
    assert!(status.success(), "{}", rehearsal.log());
    assert!(
        rehearsal
            .log()
            .contains("Verified release launches. Exit status 0.")
    );

    let router = address.start(builder.port()).await?;
    let mut web = builder
        .on_dyno(slug.app(), &slug.process_type("web")?)
        .spawn()?;
    let http = Http::trusting(&router.certificate().pem)?;
    let metadata = router.url("/.well-known/oauth-authorization-server")?;
    wait::until("the dyno to answer", testkit::process::START, || async {
        let reply = Reply::to(http.get(&metadata)).await;
        Ok(reply.is_ok_and(|reply| reply.status == 200).then_some(()))
    })
    .await
    .with_context(|| web.log())?;

    let endpoint = router.url("/mcp")?;
    let mut client =
        SdkClient::start_trusting(router.certificate(), Sdk::TypeScript, &endpoint, &witness)?;
    let authorize = client.authorize_url().await?;
    let redirect = parameter(&authorize, "redirect_uri").context("a redirect URI")?;
    let mut browser = Browser::new(http, &redirect, witness.clone());
    let arrived = browser.log_in(&authorize, "alice").await?;
    Reply::to(Http::direct()?.get(&arrived)).await?;
    client.connected().await?;
    assert_eq!(client.tool(tool, parameters).await?, answer);

    web.process()?.terminate()?;
    let status = web.process()?.exited(Duration::from_secs(30)).await?;
    assert!(status.success(), "{status}: {}", web.log());
    Ok(())
}

/// The line of the release phase. A machine that builds has the port of that line to itself; this
/// one has not.
fn release_line(slug: &Slug) -> Result<String> {
    let line = slug.process_type("release")?;
    let free = Port::reserve()?.number();
    assert!(line.contains("PORT=3001"), "{line}");
    let line = line.replace("PORT=3001", &format!("PORT={free}"));
    Ok(format!("env {line}"))
}

fn everything() -> Result<String> {
    let path = Tools::find()?.package_path(EVERYTHING);
    Ok(format!(
        "process.argv[2] = 'streamableHttp';\nawait import({:?});\n",
        path.display().to_string()
    ))
}

// === impl KeyValueStore ===

impl KeyValueStore {
    async fn start() -> Result<Self> {
        let certificate = Certificate::for_localhost()?;
        let port = Port::reserve()?;
        let text = |path: std::path::PathBuf| path.display().to_string();
        let redis = Redis::start_with(&[
            "--tls-port",
            &port.number().to_string(),
            "--tls-cert-file",
            &text(certificate.path()),
            "--tls-key-file",
            &text(certificate.key_path()),
            "--tls-ca-cert-file",
            &text(certificate.path()),
            "--tls-auth-clients",
            "no",
        ])
        .await?;
        Ok(Self {
            url: format!("rediss://localhost:{}", port.number()),
            _redis: redis,
            _certificate: certificate,
            _port: port,
        })
    }
}
