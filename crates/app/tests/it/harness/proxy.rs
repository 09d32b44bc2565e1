//! The real binary as a process.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use testkit::{
    http::{Http, Reply, Router},
    port::Port,
    process::{Process, START},
    provider::{CLIENT_ID, CLIENT_SECRET, Provider},
    redis::Redis,
    terminal::Terminal,
    wait,
    witness::Witness,
};
use url::Url;

/// A running proxy. When it is dropped, it is killed, and its log and store are searched for
/// every secret that the story saw.
#[derive(Debug)]
pub(crate) struct Proxy {
    process: Option<Process>,
    builder: ProxyBuilder,
}

/// A proxy about to be started.
#[derive(Debug)]
pub(crate) struct ProxyBuilder {
    port: Port,
    directory: TempDir,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    public: Option<Url>,
    slug: Option<(PathBuf, String)>,
    witness: Witness,
}

// === impl ProxyBuilder ===

impl ProxyBuilder {
    /// With what every story needs: a free port, a data directory of its own, the most verbose log.
    pub(crate) fn new(witness: &Witness) -> Result<Self> {
        let port = Port::reserve()?;
        let directory = tempfile::tempdir()?;
        let environment = BTreeMap::from([
            (
                "BASE_URL".to_owned(),
                format!("http://localhost:{}", port.number()),
            ),
            ("PORT".to_owned(), port.number().to_string()),
            (
                "MCP_AUTH_PROXY_DATA_DIR".to_owned(),
                directory.path().join("data").display().to_string(),
            ),
            ("LOG_LEVEL".to_owned(), "trace".to_owned()),
            // All requests of a story come from one address.
            ("MAX_REQUESTS".to_owned(), "1000".to_owned()),
        ]);
        Ok(Self {
            port,
            directory,
            arguments: Vec::new(),
            environment,
            public: None,
            slug: None,
            witness: witness.clone(),
        })
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        self
    }

    /// As a dyno runs it: by the line of a process type, in a directory that is its home.
    pub(crate) fn on_dyno(mut self, slug: &Path, line: &str) -> Self {
        self.slug = Some((slug.to_owned(), line.to_owned()));
        self.env("DYNO", "web.1")
    }

    /// Another process of the same settings on a dyno, as the release phase is one.
    pub(crate) fn clone_for(&self, slug: &Path, line: &str) -> Result<Self> {
        let builder = Self {
            environment: self.environment.clone(),
            ..Self::new(&self.witness)?
        };
        Ok(builder.on_dyno(slug, line))
    }

    /// Behind a router that ends TLS at `public`.
    pub(crate) fn behind_router(mut self, public: &str) -> Result<Self> {
        self.public = Some(Url::parse(public)?);
        Ok(self.env("BASE_URL", public))
    }

    pub(crate) fn server(self, url: &Url) -> Self {
        self.env("MCP_SERVER_URL", url.as_str())
    }

    /// Keeps its sessions there.
    pub(crate) fn redis(self, redis: &Redis) -> Self {
        self.env("MCP_AUTH_PROXY_REDIS_URL", &redis.url())
    }

    /// Another machine behind the router at `public`, which sends this one's share to it.
    pub(crate) fn serving(mut self, public: &str) -> Result<Self> {
        self.public = Some(Url::parse(public)?);
        Ok(self.env("BASE_URL", public))
    }

    pub(crate) fn provider(self, provider: &Provider) -> Self {
        self.env("IDENTITY_SERVER_URL", &provider.issuer())
            .env("IDENTITY_CLIENT_ID", CLIENT_ID)
            .env("IDENTITY_CLIENT_SECRET", CLIENT_SECRET)
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.environment["BASE_URL"]
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where its files may be put.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What is registered at the provider.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}/interaction/identity/callback", self.base_url())
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(self) -> Result<Proxy> {
        let mut proxy = self.spawn()?;
        proxy.answering().await?;
        Ok(proxy)
    }

    /// Starts it.
    pub(crate) fn spawn(self) -> Result<Proxy> {
        let process = self.process()?;
        Ok(Proxy {
            process: Some(process),
            builder: self,
        })
    }

    /// Runs a command of the binary in the same surroundings, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.binary().args(arguments).output()?)
    }

    /// The same, with a person at a terminal.
    pub(crate) fn at_terminal(&self, arguments: &[&str]) -> Result<Terminal> {
        let mut command = self.binary();
        command.args(arguments);
        Terminal::start(command)
    }

    fn process(&self) -> Result<Process> {
        let mut command = self.binary();
        command.args(&self.arguments);
        Process::start("mcp-auth-proxy", command, &self.log_file())
    }

    /// The binary in the same surroundings, about to be run.
    pub(crate) fn binary(&self) -> Command {
        let own = self.directory.path();
        let (mut command, home) = match &self.slug {
            None => (Command::new(env!("CARGO_BIN_EXE_mcp-auth-proxy")), own),
            Some((slug, line)) => {
                let mut command = Command::new("bash");
                command.args(["-c", &format!("source .profile.d/*.sh; exec {line}")]);
                (command, slug.as_path())
            }
        };
        command
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("TMPDIR", self.directory.path())
            .envs(&self.environment);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn data(&self) -> PathBuf {
        PathBuf::from(&self.environment["MCP_AUTH_PROXY_DATA_DIR"])
    }
}

// === impl Proxy ===

impl Proxy {
    pub(crate) fn builder(witness: &Witness) -> Result<ProxyBuilder> {
        ProxyBuilder::new(witness)
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        Ok(Url::parse(&format!("{}{path}", self.builder.base_url()))?)
    }

    pub(crate) fn port(&self) -> u16 {
        self.builder.port()
    }

    /// How the world reaches it; through a router, the client's address is 203.0.113.1.
    pub(crate) fn http(&self) -> Result<Http> {
        match &self.builder.public {
            None => Http::direct(),
            Some(public) => Http::through(Router {
                public: public.clone(),
                actual: Url::parse(&format!("http://127.0.0.1:{}", self.port()))?,
                client: [203, 0, 113, 1].into(),
            }),
        }
    }

    /// Waits until it answers; an end before that is an error with its log.
    pub(crate) async fn answering(&mut self) -> Result<()> {
        let http = self.http()?;
        let url = self.url("/.well-known/oauth-authorization-server")?;
        let process = self.process.as_mut().context("it was started")?;
        wait::until("the proxy to answer", START, || {
            let ended = process.ended();
            let output = process.output();
            let request = http.get(&url);
            async move {
                if let Some(status) = ended? {
                    bail!("the proxy ended while starting, {status}:\n{output}");
                }
                let reply = Reply::to(request).await;
                Ok(reply.is_ok_and(|reply| reply.status == 200).then_some(()))
            }
        })
        .await
        .with_context(|| self.log())
    }

    /// Everything it has logged, over all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read(self.builder.log_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("it was started")
    }

    /// Runs a command of the binary in the surroundings of this one, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.builder.run(arguments)
    }

    /// Kills it without a warning and starts it again on the same data.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.start_again()?;
        self.answering().await
    }

    /// Starts it again on the same data, after its end.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.process = Some(self.builder.process()?);
        Ok(())
    }

    /// Changes a variable for its next start, and for commands from now on.
    pub(crate) fn reconfigure(&mut self, name: &str, value: Option<&str>) {
        let environment = &mut self.builder.environment;
        match value {
            Some(value) => environment.insert(name.to_owned(), value.to_owned()),
            None => environment.remove(name),
        };
    }

    /// Asks it to end and starts it again on the same data.
    pub(crate) async fn stop_and_restart(&mut self) -> Result<()> {
        self.process()?.terminate()?;
        self.process()?.exited(Duration::from_secs(30)).await?;
        self.start_again()?;
        self.answering().await
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.builder.data()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.as_ref().map(Process::id).unwrap_or_default()
    }

    /// The secrets that stand in its log or files.
    fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut look = |path: &Path| {
            let bytes = fs::read(path).unwrap_or_default();
            for secret in self.builder.witness.found_in(&bytes) {
                leaks.push(format!("{secret} in {}", path.display()));
            }
        };
        look(&self.builder.log_file());
        let mut directories = vec![self.builder.data()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                    Ok(kind) if kind.is_file() => look(&entry.path()),
                    _ => {}
                }
            }
        }
        leaks
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.process.take());
        // Shown by the test runner only where the story failed.
        eprintln!("--- log of the proxy ---\n{}---", tail(&self.log()));
        let leaks = self.leaks();
        if !leaks.is_empty() {
            eprintln!("secrets stand where none may: {leaks:#?}");
        }
        assert!(
            leaks.is_empty() || std::thread::panicking(),
            "secrets stand where none may: {leaks:#?}"
        );
    }
}

/// The last part of a log: a run under load writes more than anybody reads.
fn tail(log: &str) -> String {
    const MOST: usize = 1024 * 1024;
    let start = log.len().saturating_sub(MOST);
    String::from_utf8_lossy(log.as_bytes().get(start..).unwrap_or_default()).into_owned()
}
