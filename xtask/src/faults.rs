//! The fault runs at full size, one after another, and the table of what came of them.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{Places, run::run};

/// How large the runs are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Size {
    sessions: u32,
    seconds: u32,
    /// Only runs whose test has one of these in its name.
    filters: Vec<String>,
}

// === impl Size ===

impl Size {
    /// From `[--sessions N] [--seconds N] [filter…]`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut size = Self {
            sessions: 200,
            seconds: 60,
            filters: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let value = match argument.as_str() {
                "--sessions" => &mut size.sessions,
                "--seconds" => &mut size.seconds,
                unknown if unknown.starts_with('-') => bail!("unknown option `{unknown}`"),
                filter => {
                    size.filters.push(format!("faults::{filter}"));
                    continue;
                }
            };
            *value = arguments
                .next()
                .and_then(|number| number.parse().ok())
                .filter(|number| *number > 0)
                .with_context(|| format!("`{argument}` needs a number"))?;
        }
        if size.filters.is_empty() {
            size.filters.push("faults::".to_owned());
        }
        Ok(size)
    }
}

/// Runs them and prints the table, also where some failed.
pub(crate) fn run_all(places: &Places, size: &Size) -> Result<()> {
    let report = report(places)?;
    let mut tests = Command::new(Places::cargo());
    tests
        .current_dir(&places.workspace)
        .args(["test", "--package", "mcp-auth-proxy", "--test", "it", "--"])
        // Each run wants the machine for itself.
        .arg("--test-threads=1")
        .args(&size.filters)
        .env("FAULT_SESSIONS", size.sessions.to_string())
        .env("FAULT_SECONDS", size.seconds.to_string())
        .env("FAULT_REPORT", &report);
    let ended = run(&mut tests);
    let table = fs::read_to_string(&report).context("no run came to its end")?;
    println!(
        "\n{table}\nLogs of the proxies: {}",
        report.with_file_name("").display()
    );
    ended
}

fn report(places: &Places) -> Result<PathBuf> {
    let directory = places.target.join("faults");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    Ok(directory.join("table.md"))
}

#[cfg(test)]
mod tests;
