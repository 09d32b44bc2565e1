//! The official conformance suite, as a black box.

mod authorization;

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testkit::{port::Port, process::Process, tools::Tools};
use url::Url;

use crate::harness::{Everything, Stage, listening};

const LIMIT: Duration = Duration::from_secs(200);

#[tokio::test]
async fn server_mode_loses_no_check_of_server_everything() -> Result<()> {
    let everything = Everything::start().await?;
    loses_nothing(&everything.url()?, "2025-11-25").await
}

#[tokio::test]
async fn server_mode_loses_no_check_2025_11_25() -> Result<()> {
    let (url, _server) = server().await?;
    loses_nothing(&url, "2025-11-25").await
}

#[tokio::test]
async fn server_mode_loses_no_check_2026_07_28() -> Result<()> {
    let (url, _server) = server().await?;
    loses_nothing(&url, "2026-07-28").await
}

/// A server of the official Python SDK with what the suite asks for: server-everything has little
/// of it, and what fails without a proxy proves nothing about one.
async fn server() -> Result<(Url, (Process, Port, tempfile::TempDir))> {
    let directory = tempfile::tempdir()?;
    let port = Port::reserve()?;
    let mut command = Tools::find()?.python_script("conformance_server.py");
    command.arg(json!({ "port": port.number() }).to_string());
    let process = Process::start(
        "conformance server",
        command,
        &directory.path().join("output"),
    )?;
    listening(port.number())
        .await
        .with_context(|| process.output())?;
    let url = Url::parse(&format!("http://127.0.0.1:{}/mcp", port.number()))?;
    Ok((url, (process, port, directory)))
}

async fn loses_nothing(server: &Url, revision: &str) -> Result<()> {
    let stage = Stage::builder()?.server(server).open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    let directory = tempfile::tempdir()?;

    // The suite cannot log in: something before the proxy adds the token.
    let settings = json!({ "target": stage.proxy.url("")?, "bearer": tokens.access });
    let mut command = Tools::find()?.script("bearer-shim.mjs");
    command.arg(settings.to_string());
    let mut shim = Process::start("bearer-shim", command, &directory.path().join("shim"))?;
    let through = Url::parse(&format!(
        "http://127.0.0.1:{}/mcp",
        shim.ready_port().await?
    ))?;

    let direct = checks(server, revision, &directory.path().join("direct")).await?;
    let proxied = checks(&through, revision, &directory.path().join("proxied")).await?;
    assert!(direct.len() > 40, "the suite ran: {}", direct.len());
    let lost: Vec<_> = direct.difference(&proxied).collect();
    assert!(
        lost.is_empty(),
        "lost on the way through the proxy: {lost:#?}"
    );
    Ok(())
}

/// The checks that succeed, as `scenario/check`.
async fn checks(url: &Url, revision: &str, results: &Path) -> Result<BTreeSet<String>> {
    fs::create_dir_all(results)?;
    let mut command = conformance()?;
    command
        .args(["server", "--url", url.as_str(), "--requirements", revision])
        .arg("--output-dir")
        .arg(results);
    let mut run = Process::start("conformance", command, &results.join("output"))?;
    run.exited(LIMIT).await?;
    let mut checks = BTreeSet::new();
    for entry in fs::read_dir(results)? {
        let entry = entry?;
        let Ok(file) = fs::read(entry.path().join("checks.json")) else {
            continue;
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        // `server-<scenario>-2026-11-25T09-47-58-440Z`
        let scenario = name.get(..name.len().saturating_sub(25)).unwrap_or(&name);
        for check in serde_json::from_slice::<Value>(&file)?.as_array().unwrap() {
            if check["status"] == "SUCCESS" {
                checks.insert(format!("{scenario}/{}", check["id"]));
            }
        }
    }
    assert!(!checks.is_empty(), "{}", run.output());
    Ok(checks)
}

fn conformance() -> Result<Command> {
    let mut command = Tools::find()?.package("@modelcontextprotocol/conformance/dist/index.js");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    Ok(command)
}
