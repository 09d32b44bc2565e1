//! The project's chores: `cargo xtask test`, `cargo xtask ci`, `cargo xtask setup`.
#![expect(
    clippy::print_stdout,
    reason = "a chore speaks to the person at the terminal"
)]

mod ci;
mod demo;
mod faults;
mod run;
mod suite;
mod tools;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask <chore>

  test [filter…]   install what the tests need, run all of them, print the counts
  setup            only install what the tests need (into target/test-tools)
  faults [--sessions N] [--seconds N] [filter…]
                   sessions under load while proxies, stores and providers fail, and a table of
                   what came of it (200 sessions, 60 s each)
  ci               everything a change must pass, the way .ci/run does it";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let places = Places::find()?;
    match arguments.split_first() {
        Some((chore, filters)) if chore == "test" => {
            tools::install(&places)?;
            suite::run(&places, filters)
        }
        Some((chore, [])) if chore == "setup" => tools::install(&places),
        Some((chore, arguments)) if chore == "faults" => {
            let size = faults::Size::parse(arguments)?;
            tools::install(&places)?;
            faults::run_all(&places, &size)
        }
        Some((chore, [])) if chore == "ci" => ci::run_all(&places),
        _ => bail!("{USAGE}"),
    }
}

/// Where things stand.
struct Places {
    /// The checkout this chore was started in.
    workspace: PathBuf,
    /// Cargo's target directory, wherever it was put.
    target: PathBuf,
}

// === impl Places ===

impl Places {
    fn find() -> Result<Self> {
        // Asked at run time: two checkouts that share a target directory share this program too.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("run this by `cargo xtask`, which says where the workspace is")?;
        let workspace = Path::new(&package)
            .parent()
            .context("xtask stands in the workspace")?
            .to_path_buf();
        // This program is <target>/<profile>/xtask.
        let target = std::env::current_exe()?
            .ancestors()
            .nth(2)
            .context("cargo put this program into its target directory")?
            .to_path_buf();
        Ok(Self { workspace, target })
    }

    fn tools(&self) -> PathBuf {
        self.target.join("test-tools")
    }

    fn cargo() -> PathBuf {
        std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
    }
}
