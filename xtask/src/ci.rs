//! Everything a change must pass, in the order in which faults are cheapest to find.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    Places, demo,
    run::{output, run, run_within},
};

/// The one tool that is compiled here; kept in the target directory.
const CARGO_DENY: &str = "0.20.2";

pub(crate) fn run_all(places: &Places) -> Result<()> {
    let start = Instant::now();
    let ci = Ci { places };
    ci.step("format", Ci::format)?;
    ci.step("lints", Ci::lints)?;
    ci.step("documentation", Ci::documentation)?;
    ci.step("dependencies", Ci::dependencies)?;
    ci.step("the README's commands in a clean clone", Ci::readme)?;
    println!("\nAll passed in {} s", start.elapsed().as_secs());
    Ok(())
}

struct Ci<'a> {
    places: &'a Places,
}

// === impl Ci ===

impl Ci<'_> {
    fn step(&self, name: &str, step: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        step(self).with_context(|| format!("step '{name}' failed"))?;
        println!("== {name}: {} s", start.elapsed().as_secs());
        Ok(())
    }

    fn format(&self) -> Result<()> {
        run(self.cargo().args(["fmt", "--all", "--check"]))
    }

    fn lints(&self) -> Result<()> {
        run(self
            .cargo()
            .args(["clippy", "--workspace", "--all-targets", "--locked"])
            .args(["--", "--deny", "warnings"]))
    }

    fn documentation(&self) -> Result<()> {
        run(self
            .cargo()
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
            ])
            .arg("--locked")
            .env("RUSTDOCFLAGS", "--deny warnings"))
    }

    fn dependencies(&self) -> Result<()> {
        let deny = self.cargo_deny()?;
        run(self.deny(&deny).args([
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ]))?;
        // The advisories' database is a git repository on a host that not every machine reaches.
        // A database that cannot be had is said; an advisory that applies is a failure.
        let fetched = run_within(
            self.deny(&deny).args(["fetch", "db"]),
            Duration::from_secs(60),
        );
        match fetched {
            Ok(()) => run(self
                .deny(&deny)
                .args(["check", "--disable-fetch", "advisories"])),
            Err(error) => {
                println!("advisories are not checked: their database cannot be reached ({error})");
                Ok(())
            }
        }
    }

    /// Both commands as the README has them, where nothing but what is committed exists.
    fn readme(&self) -> Result<()> {
        let clone = self.places.target.join("clean-clone");
        if clone.exists() {
            fs::remove_dir_all(&clone)?;
        }
        run(Command::new("git")
            .args(["clone", "--quiet", "--no-hardlinks"])
            .arg(&self.places.workspace)
            .arg(&clone))?;
        let readme = fs::read_to_string(clone.join("README.md"))?;
        let as_written = |command: &str| {
            if !readme.lines().any(|line| line == command) {
                bail!("the README does not have the line `{command}` any more");
            }
            let mut words = command.split(' ');
            words.next();
            let mut cargo = Command::new(Places::cargo());
            cargo
                .args(words)
                .current_dir(&clone)
                // Compiled dependencies and tools are shared with this checkout, or all is built
                // twice.
                .env("CARGO_TARGET_DIR", &self.places.target);
            Ok(cargo)
        };
        demo::try_out(
            as_written("cargo run --release -- demo")?,
            &self.places.target.join("demo"),
        )?;
        run(&mut as_written("cargo xtask test")?)
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new(Places::cargo());
        cargo.current_dir(&self.places.workspace);
        cargo
    }

    fn deny(&self, program: &PathBuf) -> Command {
        let mut deny = Command::new(program);
        deny.current_dir(&self.places.workspace)
            .args(["--workspace", "--locked"]);
        deny
    }

    fn cargo_deny(&self) -> Result<PathBuf> {
        let wanted = format!("cargo-deny {CARGO_DENY}");
        let root = self.places.target.join("ci-tools");
        for program in [PathBuf::from("cargo-deny"), root.join("bin/cargo-deny")] {
            if output(Command::new(&program).arg("--version")).is_some_and(|found| found == wanted)
            {
                return Ok(program);
            }
        }
        run_within(
            self.cargo()
                .args(["install", "--locked", "--quiet", "--force", "cargo-deny"])
                .args(["--version", CARGO_DENY, "--root"])
                .arg(&root)
                .arg("--target-dir")
                .arg(root.join("build")),
            Duration::from_secs(15 * 60),
        )?;
        fs::remove_dir_all(root.join("build"))?;
        Ok(root.join("bin/cargo-deny"))
    }
}
