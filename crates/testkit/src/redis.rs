//! A real Redis or Valkey server, with a directory and a port of its own; and several that stand
//! together.

mod cluster;
mod sentinel;

use std::{fmt::Write as _, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    port::Port,
    process::{Process, START},
    tools::Tools,
    wait,
};

pub use self::{cluster::Cluster, sentinel::Watched};

const ANSWER: Duration = Duration::from_secs(10);

/// A running server. What it has acknowledged outlives its end.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: Port,
    directory: TempDir,
    arguments: Vec<String>,
}

// === impl Redis ===

impl Redis {
    /// Starts a server that writes down everything before it answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with further arguments, such as `--requirepass`.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_with(arguments: &[&str]) -> Result<Self> {
        let port = Port::reserve()?;
        let directory = tempfile::tempdir()?;
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        let process = Self::run(&port, directory.path(), &arguments)?;
        let redis = Self {
            process,
            port,
            directory,
            arguments,
        };
        redis.answering().await?;
        Ok(redis)
    }

    /// Its port on the loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again on the same data, after its end.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = Self::run(&self.port, self.directory.path(), &self.arguments)?;
        self.answering().await
    }

    /// Everything it has written to its files.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn files(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut directories = vec![self.directory.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                } else {
                    bytes.extend(fs::read(entry.path())?);
                }
            }
        }
        Ok(bytes)
    }

    /// Sends one command and returns the first bytes of its answer, as they came.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        command(self.port(), words).await
    }

    /// Waits until it has a copy of all that a master has taken until now.
    ///
    /// # Errors
    /// If it does not get one.
    pub async fn has_copied(&self, master: &Redis) -> Result<()> {
        let offset = |text: String| Ok::<u64, anyhow::Error>(text.parse()?);
        let written = offset(master.info("master_repl_offset").await?)?;
        wait::until("a copy", START, || async {
            let copied = offset(self.info("slave_repl_offset").await?)?;
            Ok((copied >= written).then_some(()))
        })
        .await
    }

    /// What `INFO` says of one thing.
    ///
    /// # Errors
    /// If it does not answer, or says nothing of it.
    pub async fn info(&self, name: &str) -> Result<String> {
        let info = self.command(&["INFO"]).await?;
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines
            .find(|(found, _)| *found == name)
            .with_context(|| format!("INFO says nothing of {name}"))?;
        Ok(value.trim().to_owned())
    }

    fn run(port: &Port, directory: &Path, arguments: &[String]) -> Result<Process> {
        let mut command: Command = Tools::redis()?;
        command
            .current_dir(directory)
            .args(["--bind", "127.0.0.1", "--port", &port.number().to_string()])
            .args(["--save", "", "--appendonly", "yes"])
            // `everysec` puts writing off while the disk is busy, and answers all the same.
            .args(["--appendfsync", "always"])
            .args(arguments);
        Process::start("redis-server", command, &directory.join("log"))
    }

    async fn answering(&self) -> Result<()> {
        wait::until("the Redis server to answer", START, || async {
            match self.command(&["PING"]).await {
                // Also where a password is asked for, or TLS expected.
                Ok(answer) if !answer.starts_with("-LOADING") => Ok(Some(())),
                _ => Ok(None),
            }
        })
        .await
        .with_context(|| self.process.output())?;
        if self.process.output().contains("Address already in use") {
            bail!("another server has its port");
        }
        Ok(())
    }
}

async fn command(port: u16, words: &[&str]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        write!(request, "${}\r\n{word}\r\n", word.len())?;
    }
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 64 * 1024];
    // A process that is stopped has its connections accepted all the same.
    let length = timeout(ANSWER, stream.read(&mut answer)).await??;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
