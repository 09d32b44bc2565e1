//! A master, its replicas, and sentinels that watch over them.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{Redis, command};
use crate::{
    port::Port,
    process::{Process, START},
    tools::Tools,
    wait,
};

/// Servers of which one is the master, whom sentinels replace when it fails.
#[derive(Debug)]
pub struct Watched {
    servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

/// One sentinel.
#[derive(Debug)]
struct Sentinel {
    process: Process,
    port: Port,
    directory: TempDir,
}

/// What the sentinels call the master.
const NAME: &str = "main";
/// How long a failover may take on a busy machine.
const FAILOVER: Duration = Duration::from_secs(60);

// === impl Watched ===

impl Watched {
    /// Starts a master with so many replicas and sentinels, most of whom have to agree. The
    /// arguments are for the servers, the lines for the configuration of the sentinels.
    ///
    /// # Errors
    /// If they do not come up and find each other.
    pub async fn start(
        replicas: usize,
        sentinels: usize,
        arguments: &[&str],
        lines: &str,
    ) -> Result<Self> {
        // The first copy is sent at once, not after five seconds.
        let mut arguments = arguments.to_vec();
        arguments.extend(["--repl-diskless-sync-delay", "0"]);
        let master = Redis::start_with(&arguments).await?;
        let port = master.port().to_string();
        arguments.extend(["--replicaof", "127.0.0.1", &port]);
        let mut servers = vec![master];
        for _ in 0..replicas {
            servers.push(Redis::start_with(&arguments).await?);
        }
        for replica in servers.iter().skip(1) {
            wait::until("a replica to have its copy", START, || async {
                let status = replica.info("master_link_status").await.ok();
                Ok(status.filter(|status| status == "up"))
            })
            .await?;
        }
        let mut watched = Self {
            servers,
            sentinels: Vec::new(),
        };
        let quorum = sentinels / 2 + 1;
        for _ in 0..sentinels {
            let sentinel = Sentinel::start(&port, quorum, lines)?;
            watched.sentinels.push(sentinel);
        }
        watched.agreed(replicas).await?;
        Ok(watched)
    }

    /// The URL that names the sentinels and the master.
    pub fn url(&self) -> String {
        self.url_with("")
    }

    /// The same with user and password for the master.
    pub fn url_with(&self, login: &str) -> String {
        let hosts = self.sentinels.iter();
        let hosts = hosts.map(|sentinel| format!("127.0.0.1:{}", sentinel.port.number()));
        let hosts: Vec<String> = hosts.collect();
        format!("redis-sentinel://{login}{}/?master={NAME}", hosts.join(","))
    }

    /// The servers; the first one was the master at the beginning.
    pub fn servers(&mut self) -> &mut [Redis] {
        &mut self.servers
    }

    /// One of them.
    ///
    /// # Errors
    /// If there is none.
    pub fn server(&self, index: usize) -> Result<&Redis> {
        self.servers.get(index).context("there is none")
    }

    /// The process of a sentinel.
    ///
    /// # Errors
    /// If there is none.
    pub fn sentinel(&mut self, index: usize) -> Result<&mut Process> {
        let sentinel = self.sentinels.get_mut(index).context("there is none")?;
        Ok(&mut sentinel.process)
    }

    /// The port of a sentinel.
    ///
    /// # Errors
    /// If there is none.
    pub fn sentinel_port(&self, index: usize) -> Result<u16> {
        let sentinel = self.sentinels.get(index).context("there is none")?;
        Ok(sentinel.port.number())
    }

    /// Which server is the master, as all sentinels that answer say and it says itself.
    ///
    /// # Errors
    /// If they do not agree on one, or none answers.
    pub async fn master(&self) -> Result<usize> {
        let mut named = None;
        for sentinel in &self.sentinels {
            let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
            let Ok(answer) = command(sentinel.port.number(), &words).await else {
                continue;
            };
            let port = answer.lines().nth(4).unwrap_or_default().to_owned();
            ensure!(
                named.is_none() || named.as_ref() == Some(&port),
                "they do not agree"
            );
            named = Some(port);
        }
        let named = named.context("no sentinel answers")?;
        let mut servers = self.servers.iter();
        let index = servers
            .position(|server| server.port().to_string() == named)
            .context("they name somebody else")?;
        let role = self.server(index)?.info("role").await?;
        ensure!(role == "master", "it is no master");
        Ok(index)
    }

    /// Waits until another server than that is the master, and returns which.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn other_master(&self, than: usize) -> Result<usize> {
        wait::until("another master", FAILOVER, || async {
            Ok(self.master().await.ok().filter(|&master| master != than))
        })
        .await
        .with_context(|| self.output())
    }

    /// Has the sentinels exchange a master that works.
    ///
    /// # Errors
    /// If they refuse.
    pub async fn exchange_master(&self) -> Result<()> {
        let sentinel = self.sentinels.first().context("there is none")?;
        let words = ["SENTINEL", "FAILOVER", NAME];
        // They may not know their replicas well enough yet: `-NOGOODSLAVE`.
        wait::until("the sentinels to agree to a failover", START, || async {
            let answer = command(sentinel.port.number(), &words).await?;
            Ok(answer.starts_with("+OK").then_some(()))
        })
        .await
    }

    async fn agreed(&self, replicas: usize) -> Result<()> {
        let others = (self.sentinels.len() - 1).to_string();
        let replicas = replicas.to_string();
        for sentinel in &self.sentinels {
            if sentinel.asks_for_password() {
                continue;
            }
            wait::until("the sentinels to find all", START, || async {
                let words = ["SENTINEL", "MASTER", NAME];
                let Ok(record) = command(sentinel.port.number(), &words).await else {
                    return Ok(None);
                };
                let is_found = field(&record, "num-other-sentinels") == Some(&*others)
                    && field(&record, "num-slaves") == Some(&*replicas);
                Ok(is_found.then_some(()))
            })
            .await
            .with_context(|| self.output())?;
        }
        Ok(())
    }

    fn output(&self) -> String {
        let outputs = self.sentinels.iter();
        outputs.map(|sentinel| sentinel.process.output()).collect()
    }
}

/// A field of a record, as it stands on the wire.
fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = record.lines().skip_while(|line| *line != name);
    lines.nth(2)
}

// === impl Sentinel ===

impl Sentinel {
    fn start(master: &str, quorum: usize, lines: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("sentinel.conf");
        // Two seconds, so that a busy machine is not taken for one that is down.
        let text = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds {NAME} 2000\n\
             sentinel failover-timeout {NAME} 6000\nsentinel parallel-syncs {NAME} 8\n{lines}\n",
            port.number(),
        );
        fs::write(&file, text)?;
        let mut command: Command = Tools::redis()?;
        command
            .current_dir(directory.path())
            .arg(&file)
            .arg("--sentinel");
        let log = directory.path().join("log");
        Ok(Self {
            process: Process::start("the sentinel", command, &log)?,
            port,
            directory,
        })
    }

    fn asks_for_password(&self) -> bool {
        let file = self.directory.path().join("sentinel.conf");
        fs::read_to_string(file).is_ok_and(|text| text.contains("requirepass"))
    }
}
