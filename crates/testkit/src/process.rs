//! Counterparts as processes: killed when dropped, their output kept.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    time::timeout,
};

use crate::wait;

/// How long a counterpart may take to come up on a busy machine.
pub const START: Duration = Duration::from_secs(40);
const ANSWER: Duration = Duration::from_secs(40);

/// A process whose output goes to a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: PathBuf,
    name: String,
}

/// A process that is spoken with in JSON lines.
#[derive(Debug)]
pub struct Conversation {
    // Dropped first: the child is killed.
    child: tokio::process::Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    name: String,
    errors: PathBuf,
    _directory: TempDir,
}

// === impl Process ===

impl Process {
    /// Starts a process; standard output and error go to `output`, appended to what is there.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, mut command: Command, output: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self {
            child,
            output: output.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Waits for the line `{"ready": true, "port": …}` and returns the port.
    ///
    /// # Errors
    /// If the process ends or stays silent.
    pub async fn ready_port(&mut self) -> Result<u16> {
        let output = self.output.clone();
        let name = self.name.clone();
        let child = &mut self.child;
        wait::until(&format!("{name} to be ready"), START, || {
            let answer = ready_line(&output).map(Ok).or_else(|| {
                let status = child.try_wait().ok().flatten()?;
                Some(Err(status))
            });
            let text = read(&output);
            let name = name.clone();
            async move {
                match answer {
                    Some(Err(status)) => bail!("{name} ended at once, {status}:\n{text}"),
                    Some(Ok(port)) => Ok(Some(port)),
                    None => Ok(None),
                }
            }
        })
        .await
    }

    /// Everything it has written.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// If it has ended already.
    pub fn terminate(&self) -> Result<()> {
        kill(pid(self.child.id())?, Signal::SIGTERM)?;
        Ok(())
    }

    /// Stops it where it stands: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// If it has ended.
    pub fn freeze(&self) -> Result<()> {
        kill(pid(self.child.id())?, Signal::SIGSTOP)?;
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it has ended.
    pub fn thaw(&self) -> Result<()> {
        kill(pid(self.child.id())?, Signal::SIGCONT)?;
        Ok(())
    }

    /// Ends it without asking, and waits for its end.
    ///
    /// # Errors
    /// If that fails.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it does not end within `limit`.
    pub async fn exited(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        let child = &mut self.child;
        wait::until(&format!("the end of {name}"), limit, || {
            let status = child.try_wait();
            async move { Ok(status?) }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.kill());
    }
}

/// Whether a process with this id is there (and no zombie waiting to be reaped).
pub fn is_running(id: u32) -> bool {
    let exists = pid(id).is_ok_and(|pid| kill(pid, None).is_ok());
    let zombie = std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'))
    });
    exists && !zombie
}

fn pid(id: u32) -> Result<Pid> {
    Ok(Pid::from_raw(i32::try_from(id)?))
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    // Not there yet is empty.
    if let Ok(mut file) = File::open(path) {
        drop(file.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn ready_line(output: &Path) -> Option<u16> {
    read(output).lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        line.get("ready")?;
        u16::try_from(line.get("port")?.as_u64()?).ok()
    })
}

// === impl Conversation ===

impl Conversation {
    /// Starts a process to speak with.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, command: Command) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let errors = directory.path().join("errors");
        let mut child = tokio::process::Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let input = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        Ok(Self {
            child,
            input,
            lines: BufReader::new(output).lines(),
            name: name.to_owned(),
            errors,
            _directory: directory,
        })
    }

    /// The next line it says.
    ///
    /// # Errors
    /// If it ends or stays silent.
    pub async fn listen(&mut self) -> Result<Value> {
        let line = timeout(ANSWER, self.lines.next_line())
            .await
            .with_context(|| format!("{} stays silent: {}", self.name, read(&self.errors)))??;
        match line {
            Some(line) => serde_json::from_str(&line)
                .with_context(|| format!("{} said no JSON: {line}", self.name)),
            None => bail!("{} ended: {}", self.name, read(&self.errors)),
        }
    }

    /// Gives a command and waits for its answer; what it says in between goes to `aside`.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn command(
        &mut self,
        command: &str,
        mut parameters: Value,
        mut aside: impl FnMut(Value),
    ) -> Result<Value> {
        self.tell(command, &mut parameters).await?;
        loop {
            let mut line = self.listen().await?;
            if line.get("answer").and_then(Value::as_str) != Some(command) {
                aside(line);
                continue;
            }
            if let Some(error) = line.get("error").and_then(Value::as_str) {
                bail!("{}: {command} failed: {error}", self.name);
            }
            return Ok(line.get_mut("result").map(Value::take).unwrap_or_default());
        }
    }

    /// Gives a command without waiting for the answer.
    ///
    /// # Errors
    /// If the process is gone.
    pub async fn tell(&mut self, command: &str, parameters: &mut Value) -> Result<()> {
        if parameters.is_null() {
            *parameters = Value::Object(serde_json::Map::new());
        }
        if let Some(members) = parameters.as_object_mut() {
            members.insert("command".to_owned(), command.into());
        }
        self.send(parameters).await
    }

    /// Says a line to it.
    ///
    /// # Errors
    /// If the process is gone.
    pub async fn send(&mut self, message: &Value) -> Result<()> {
        self.input
            .write_all(format!("{message}\n").as_bytes())
            .await?;
        Ok(())
    }

    /// Ends it without asking, and waits for its end: what it held is free.
    ///
    /// # Errors
    /// If that fails.
    pub async fn end(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }
}
