//! Its authorization server mode, by every way a client can become known here.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use testkit::{
    client::OAuthClient,
    http::{Http, Reply},
    port::Port,
    process::Process,
    recorder::{Answer, Recorded, Recorder, ready},
    wait,
};
use url::Url;

use super::conformance;
use crate::harness::{Stage, StageBuilder};

const LIMIT: Duration = Duration::from_secs(200);
const SECRET: &str = "of-the-configuration-random-and-long";
/// What `sha256sum` makes of it.
const SECRET_HASH: &str = "305628c31b59b965bb9e6be460856e8e7de6bb63c7ef8172b95238d46882c5f0";

#[tokio::test]
async fn a_registered_client_passes() -> Result<()> {
    let run = Run::new()?;
    let stage = Stage::open().await?;
    let client = run.register(&stage, "none").await?;
    run.passes(&stage, client.id(), None).await
}

#[tokio::test]
async fn a_registered_client_passes_with_its_secret_in_the_form() -> Result<()> {
    let run = Run::new()?;
    let (stage, _filter) = without_methods(Stage::builder()?, &["none"]).await?;
    let client = run.register(&stage, "client_secret_post").await?;
    run.passes(&stage, client.id(), client.secret()).await
}

#[tokio::test]
async fn a_registered_client_passes_with_its_secret_in_the_header() -> Result<()> {
    let run = Run::new()?;
    let (stage, _filter) =
        without_methods(Stage::builder()?, &["none", "client_secret_post"]).await?;
    let client = run.register(&stage, "client_secret_basic").await?;
    run.passes(&stage, client.id(), client.secret()).await
}

#[tokio::test]
async fn a_client_of_the_configuration_passes() -> Result<()> {
    let run = Run::new()?;
    let stage = run.configured(Stage::builder()?, false)?.open().await?;
    run.passes(&stage, "configured", None).await
}

#[tokio::test]
async fn a_client_of_the_configuration_passes_with_its_secret_in_the_form() -> Result<()> {
    let run = Run::new()?;
    let builder = run.configured(Stage::builder()?, true)?;
    let (stage, _filter) = without_methods(builder, &["none"]).await?;
    run.passes(&stage, "configured", Some(SECRET)).await
}

#[tokio::test]
async fn a_client_of_the_configuration_passes_with_its_secret_in_the_header() -> Result<()> {
    let run = Run::new()?;
    let builder = run.configured(Stage::builder()?, true)?;
    let (stage, _filter) = without_methods(builder, &["none", "client_secret_post"]).await?;
    run.passes(&stage, "configured", Some(SECRET)).await
}

#[tokio::test]
async fn a_client_with_a_metadata_document_passes() -> Result<()> {
    let run = Run::new()?;
    let host = Recorder::start().await?;
    let id = format!("{}/client.json", host.url().origin().ascii_serialization());
    let mut document = run.metadata("none");
    document["client_id"] = id.as_str().into();
    host.answer(move |_| Answer::json(&document));
    let stage = Stage::builder()?
        .env("MCP_AUTH_PROXY_ALLOW_LOOPBACK_CLIENT_DOCUMENTS", "true")
        .open()
        .await?;
    run.passes(&stage, &id, None).await
}

#[tokio::test]
async fn an_issuer_with_a_path_passes() -> Result<()> {
    let run = Run::new()?;
    let builder = Stage::builder()?;
    let base = format!("http://localhost:{}/tools", builder.port());
    let stage = builder.env("BASE_URL", &base).open().await?;
    let client = run.register(&stage, "none").await?;
    run.passes(&stage, client.id(), None).await
}

/// One run of the suite, which waits for the browser at a port of its own.
struct Run {
    port: Port,
    directory: tempfile::TempDir,
}

// === impl Run ===

impl Run {
    fn new() -> Result<Self> {
        Ok(Self {
            port: Port::reserve()?,
            directory: tempfile::tempdir()?,
        })
    }

    fn redirect(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port.number())
    }

    fn metadata(&self, method: &str) -> Value {
        json!({
            "client_name": "conformance",
            "redirect_uris": [self.redirect()],
            "token_endpoint_auth_method": method,
        })
    }

    async fn register(&self, stage: &Stage, method: &str) -> Result<OAuthClient> {
        let (http, mcp) = (stage.http()?, stage.mcp()?);
        OAuthClient::register_with(&http, &mcp, &stage.witness, &self.metadata(method)).await
    }

    /// Names the client `configured` in a configuration file.
    fn configured(&self, builder: StageBuilder, with_secret: bool) -> Result<StageBuilder> {
        let secret = if with_secret {
            format!("secret_hash = \"{SECRET_HASH}\"\n")
        } else {
            String::new()
        };
        let file = self.directory.path().join("configuration.toml");
        let text = format!(
            "[[clients]]\nid = \"configured\"\nname = \"conformance\"\n{secret}\
             redirect_uris = [\"{}\"]\n",
            self.redirect()
        );
        fs::write(&file, text)?;
        Ok(builder.env("MCP_AUTH_PROXY_CONFIG", &file.display().to_string()))
    }

    /// Every check of the suite succeeds: none fails, warns or is skipped.
    async fn passes(&self, stage: &Stage, id: &str, secret: Option<&str>) -> Result<()> {
        let base = stage.proxy.url("")?;
        let issuer = base.as_str().trim_end_matches('/');
        let results = self.directory.path().join("results");
        fs::create_dir_all(&results)?;
        let mut command = conformance()?;
        command
            .args(["authorization", "--url", issuer, "--client-id", id])
            .args(["--port", &self.port.number().to_string()])
            .args(["--resource", stage.mcp()?.as_str()])
            .arg("--output-dir")
            .arg(&results);
        if let Some(secret) = secret {
            command.args(["--client-secret", secret]);
        }
        let output = self.directory.path().join("output");
        let mut run = Process::start("conformance", command, &output)?;
        let arrived = stage
            .browser_for(&self.redirect())?
            .log_in(&address_to_open(&run).await?, "alice")
            .await?;
        Reply::to(Http::direct()?.get(&arrived)).await?;
        let status = run.exited(LIMIT).await?;
        assert!(status.success(), "{}", run.output());
        let expected = [
            "authorization-code-grant SUCCESS",
            "authorization-server-metadata SUCCESS",
            "authorization-server-metadata-cimd SUCCESS",
        ];
        assert_eq!(
            checks(&results)?,
            expected.map(str::to_owned).into(),
            "{}",
            run.output()
        );
        Ok(())
    }
}

/// What the suite prints for a person to open.
async fn address_to_open(run: &Process) -> Result<Url> {
    wait::until("the address to open", LIMIT, || {
        let output = run.output();
        async move {
            Ok(output
                .split_whitespace()
                .find(|word| word.contains("/auth?"))
                .and_then(|word| Url::parse(word).ok()))
        }
    })
    .await
    .with_context(|| run.output())
}

/// Each check of a run with its outcome.
fn checks(results: &Path) -> Result<BTreeSet<String>> {
    let mut checks = BTreeSet::new();
    for entry in fs::read_dir(results)? {
        let file = fs::read(entry?.path().join("checks.json"))?;
        for check in serde_json::from_slice::<Value>(&file)?
            .as_array()
            .context("a list of checks")?
        {
            let word = |name: &str| check[name].as_str().unwrap_or("?").to_owned();
            checks.insert(format!("{} {}", word("id"), word("status")));
        }
    }
    Ok(checks)
}

/// A stage behind something that takes methods of client authentication out of the metadata and
/// passes all else on: the suite shows a secret only where the metadata offers no `none`.
async fn without_methods(
    builder: StageBuilder,
    hidden: &'static [&'static str],
) -> Result<(Stage, Recorder)> {
    let target = Url::parse(&format!("http://127.0.0.1:{}", builder.port()))?;
    let http = Http::direct()?;
    let filter = Recorder::start().await?;
    let port = filter.url().port().context("it has a port")?;
    filter.react(move |request| {
        let (http, target, request) = (http.clone(), target.clone(), request.clone());
        Box::pin(async move {
            match pass_on(&http, target, &request, hidden).await {
                Ok(answer) => answer,
                Err(_) => ready(Answer::status(502)).await,
            }
        })
    });
    let base = format!("http://localhost:{port}");
    let stage = builder.env("BASE_URL", &base).open().await?;
    Ok((stage, filter))
}

async fn pass_on(
    http: &Http,
    mut target: Url,
    request: &Recorded,
    hidden: &[&str],
) -> Result<Answer> {
    target.set_path(request.uri.path());
    target.set_query(request.uri.query());
    let reply = Reply::to(
        http.request(request.method.clone(), &target)
            .headers(passed_on(&request.headers))
            .body(request.body.clone()),
    )
    .await?;
    let mut answer = if request
        .uri
        .path()
        .starts_with("/.well-known/oauth-authorization")
    {
        let mut metadata = reply.json()?;
        if let Some(methods) = metadata["token_endpoint_auth_methods_supported"].as_array_mut() {
            methods.retain(|method| !hidden.iter().any(|hidden| method == hidden));
        }
        Answer::json(&metadata)
    } else {
        Answer::whole(reply.status.as_u16(), &[], reply.body.clone())
    };
    answer.head.headers = passed_on(&reply.headers);
    Ok(answer)
}

/// Without what belongs to one connection.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
    headers
}
