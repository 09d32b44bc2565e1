//! Running other programs: said before, bounded in time, and a failure names the command.

use std::{
    process::{Child, Command, ExitStatus},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Runs to the end with our own output; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let status = command
        .status()
        .with_context(|| format!("`{line}` cannot be started"))?;
    succeeded(&line, status)
}

/// As [`run`], killed at the end of `limit`.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let mut child = command
        .spawn()
        .with_context(|| format!("`{line}` cannot be started"))?;
    match wait_within(&mut child, limit)? {
        Some(status) => succeeded(&line, status),
        None => bail!(
            "`{line}` was stopped: it took more than {} s",
            limit.as_secs()
        ),
    }
}

/// What a program writes to its standard output, trimmed; `None` if it is absent or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits for the end, at most so long; then kills and answers `None`.
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    // A sender that never sends: the receiver's timeout is the pause between two looks.
    let (_never, pause) = mpsc::channel::<()>();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
}

fn succeeded(line: &str, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

fn describe(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}
