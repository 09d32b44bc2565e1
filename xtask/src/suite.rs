//! Runs the tests and counts them.

use std::{
    io::{BufRead as _, BufReader},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{Places, run::output};

#[cfg(test)]
mod tests;

/// Runs unit tests, stories and the examples in the documentation.
pub(crate) fn run(places: &Places, filters: &[String]) -> Result<()> {
    let cargo = Places::cargo();
    let nextest = output(Command::new(&cargo).args(["nextest", "--version"])).is_some();
    let mut tally = Tally::default();
    let mut green = true;

    let mut tests = Command::new(&cargo);
    if nextest {
        tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        tests.args(filters);
    } else {
        tests.args(["test", "--workspace", "--no-fail-fast", "--all-targets"]);
        tests.arg("--").args(filters);
    }
    green &= count(tests.current_dir(&places.workspace), &mut tally)?;

    if filters.is_empty() {
        // Neither of the two above runs the examples.
        let mut examples = Command::new(&cargo);
        examples.args(["test", "--workspace", "--doc", "--quiet"]);
        green &= count(examples.current_dir(&places.workspace), &mut tally)?;
    }

    println!("{tally}");
    if !green || tally.failed() > 0 {
        bail!("not all tests passed");
    }
    if tally.passed() == 0 {
        bail!("no test was run");
    }
    Ok(())
}

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    unit: Count,
    stories: Count,
    in_stories: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// Passes the output on line by line, counts, and says whether the command succeeded.
fn count(command: &mut Command, tally: &mut Tally) -> Result<bool> {
    let (reader, writer) = std::io::pipe()?;
    println!("$ {command:?}");
    let mut child = command
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("{command:?} cannot be started"))?;
    // The command holds copies of the writing end; without this the reader never sees the end.
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    Ok(child.wait()?.success())
}

// === impl Tally ===

impl Tally {
    /// Reads a line of cargo-nextest's or libtest's output.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("Running ") || line.starts_with("Doc-tests ") {
            self.in_stories = line.contains("tests/it/");
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let in_stories = self.in_stories;
            let count = self.count(in_stories);
            for part in result.split([';', '.']) {
                let mut words = part.split_whitespace();
                let (Some(number), Some(kind)) = (words.next(), words.next()) else {
                    continue;
                };
                let Ok(number) = number.parse::<u64>() else {
                    continue;
                };
                match kind {
                    "passed" => count.passed += number,
                    "failed" => count.failed += number,
                    "ignored" => count.skipped += number,
                    _ => {}
                }
            }
        } else if let Some((outcome, test)) = line.split_once(" [").and_then(|(outcome, rest)| {
            let (_, test) = rest.split_once(']')?;
            Some((outcome, test))
        }) {
            let count = self.count(test.contains("mcp-auth-proxy::it "));
            match outcome {
                "PASS" | "LEAK" => count.passed += 1,
                "FAIL" | "TIMEOUT" | "ABORT" | "SIGABRT" | "SIGSEGV" | "SIGKILL" => {
                    count.failed += 1;
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, stories: bool) -> &mut Count {
        if stories {
            &mut self.stories
        } else {
            &mut self.unit
        }
    }

    fn passed(&self) -> u64 {
        self.unit.passed + self.stories.passed
    }

    fn failed(&self) -> u64 {
        self.unit.failed + self.stories.failed
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, count) in [("unit tests", &self.unit), ("stories", &self.stories)] {
            writeln!(
                f,
                "{name}: {} passed, {} failed, {} skipped",
                count.passed, count.failed, count.skipped
            )?;
        }
        write!(
            f,
            "tests: {} passed, {} failed",
            self.passed(),
            self.failed()
        )
    }
}
