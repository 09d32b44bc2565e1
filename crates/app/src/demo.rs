//! `mcp-auth-proxy demo`: everything that is needed to see the proxy work, and nothing else: a
//! user of its own, keys, a store, and a small MCP server, or the newcomer's own.

use std::{ffi::OsStr, path::Path};

use anyhow::{Context as _, Result, bail};
use domain::{base_url::is_loopback, random::Random, secret::SecretString};
use idp::local::LocalProvider;
use rustix::process::geteuid;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use self::{announcement::Announcement, directory::DemoDirectory};
use crate::{
    cli::{DemoArguments, Flags},
    config::{self, Config, Inherited, faults::Warning},
    env::{ALL, Environment, PREFIX, Variable, table as variable},
};

pub(crate) mod server;

mod announcement;
mod directory;
mod port;

/// Where a newcomer's own server is expected if nothing else is said.
const OWN_SERVER: &str = "http://localhost:3000/mcp";

/// What the demo takes from the environment besides `PORT` and `BASE_URL`: how it logs, and whom
/// it trusts. All else belongs to a real proxy, which may be set up on the same machine.
const KEPT: [&Variable; 9] = [
    &variable::LOG_LEVEL,
    &variable::MCP_AUTH_PROXY_LOG_FORMAT,
    &variable::DEBUG,
    &variable::APP_NAME,
    &variable::NODE_ENV,
    &variable::ENVIRONMENT,
    &variable::MCP_AUTH_PROXY_CA_FILE,
    &variable::SSL_CERT_FILE,
    &variable::NODE_EXTRA_CA_CERTS,
];

/// A demo, ready to be served. It holds its directory and its MCP server as long as it lives.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What to serve.
    pub(crate) config: Config,
    /// What is odd about it, for the log.
    pub(crate) warnings: Vec<Warning>,
    /// What to print once requests are answered. Holds the password.
    pub(crate) announcement: SecretString,
    _directory: DemoDirectory,
    _server: Option<DropGuard>,
}

/// Prepares the demo: its directory below the temporary one, its user, its port, its MCP server.
///
/// # Errors
/// If another demo runs, no port is free, or something that was said is wrong.
pub(crate) async fn prepare(
    arguments: &DemoArguments,
    environment: &Environment,
    random: &dyn Random,
) -> Result<Prepared> {
    let hash = |password: &SecretString| Ok(LocalProvider::hash_password(password)?);
    prepare_below(&std::env::temp_dir(), arguments, environment, random, hash).await
}

async fn prepare_below(
    temporary: &Path,
    arguments: &DemoArguments,
    environment: &Environment,
    random: &dyn Random,
    hash: impl FnOnce(&SecretString) -> Result<String>,
) -> Result<Prepared> {
    let told_port = told_port(arguments, environment)?;
    let mut directory = DemoDirectory::open(temporary, geteuid().as_raw(), arguments.fresh)?;
    let password = directory.password(random, hash)?;
    let behind = Behind::choose(arguments).await?;
    let port = port::choose(told_port, behind.port_to_leave(arguments))?;

    let settings = settings(arguments, environment, &directory, &behind, port)?;
    let (mut config, warnings) = config::load(&Flags::default(), &settings)?;
    config.inherited = Inherited(environment.variables().clone());

    let path = behind.url.path().trim_end_matches('/');
    let mcp_url = config.base_url.join(path);
    directory.say(&format!("process id {}, {mcp_url}", std::process::id()))?;
    let announcement = Announcement {
        mcp_url: &mcp_url,
        password: &password,
        port,
        moved: told_port.is_none() && port != port::PREFERRED,
        is_public: !is_loopback(config.base_url.as_url()),
        has_own_tools: behind.running.is_some(),
        directory: directory.path(),
    };
    Ok(Prepared {
        announcement: SecretString::new(announcement.render()),
        config,
        warnings,
        _directory: directory,
        _server: behind.running,
    })
}

/// The MCP server behind the demo.
struct Behind {
    url: Url,
    /// The one of our own, if it is that.
    running: Option<DropGuard>,
}

// === impl Behind ===

impl Behind {
    async fn choose(arguments: &DemoArguments) -> Result<Self> {
        if let Some(url) = &arguments.server {
            return Ok(Self {
                url: url.clone(),
                running: None,
            });
        }
        if !arguments.command.is_empty() {
            return Ok(Self {
                url: Url::parse(OWN_SERVER)?,
                running: None,
            });
        }
        let closing = CancellationToken::new();
        let server = server::start(closing.clone())
            .await
            .context("the demo's MCP server cannot be started")?;
        Ok(Self {
            url: server.url,
            running: Some(closing.drop_guard()),
        })
    }

    /// The port that a server which is yet to be started will want.
    fn port_to_leave(&self, arguments: &DemoArguments) -> Option<u16> {
        if arguments.command.is_empty() || !is_loopback(&self.url) {
            return None;
        }
        self.url.port_or_known_default()
    }
}

/// The demo's settings, in the words of a real proxy: it is one, and checks them likewise.
fn settings(
    arguments: &DemoArguments,
    environment: &Environment,
    directory: &DemoDirectory,
    behind: &Behind,
    port: u16,
) -> Result<Environment> {
    let base_url = arguments
        .base_url
        .clone()
        .or_else(|| text_of(environment, &variable::BASE_URL))
        .unwrap_or_else(|| format!("http://localhost:{port}"));
    let settings = environment
        .clone()
        .without(is_left_out)
        .with_dotenv(None)
        .with(variable::BASE_URL.name, base_url)
        .with(variable::PORT.name, port.to_string())
        .with(variable::MCP_AUTH_PROXY_HOST.name, "localhost")
        .with(variable::MCP_AUTH_PROXY_DATA_DIR.name, directory.path())
        .with(
            variable::MCP_AUTH_PROXY_USERS_FILE.name,
            directory.users_file(),
        )
        .with(variable::MCP_SERVER_URL.name, behind.url.as_str());
    let Some((program, rest)) = arguments.command.split_first() else {
        return Ok(settings);
    };
    if program.trim().is_empty() {
        bail!("the command after `--` is empty");
    }
    Ok(settings
        .with(variable::MCP_SERVER_RUN_COMMAND.name, program)
        .with(
            variable::MCP_SERVER_RUN_ARGS_JSON.name,
            serde_json::to_string(rest)?,
        ))
}

/// Whether a variable says something about a real proxy, which the demo is not.
fn is_left_out(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    if KEPT.iter().any(|kept| kept.name == name) {
        return false;
    }
    let is_ours = |variable: &&Variable| {
        variable.name == name || variable.file_name().as_deref() == Some(&*name)
    };
    name.starts_with(PREFIX) || ALL.iter().any(is_ours)
}

fn told_port(arguments: &DemoArguments, environment: &Environment) -> Result<Option<u16>> {
    if arguments.port.is_some() {
        return Ok(arguments.port);
    }
    let Some(text) = text_of(environment, &variable::PORT) else {
        return Ok(None);
    };
    let port = text
        .parse()
        .with_context(|| format!("PORT holds `{text}`, which is no port number"))?;
    Ok(Some(port))
}

/// A variable's value; an empty one is an absent one.
fn text_of(environment: &Environment, variable: &Variable) -> Option<String> {
    let text = environment.variables().get(OsStr::new(variable.name))?;
    let text = text.to_string_lossy().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
