//! Where the programs stand that `cargo xtask setup` installs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// The installed programs. A test without them fails, and says how to get them.
#[derive(Clone, Debug)]
pub struct Tools {
    root: PathBuf,
}

// === impl Tools ===

impl Tools {
    /// Looks in `test-tools` of the target directory that this test binary was built into.
    ///
    /// # Errors
    /// If something is missing.
    pub fn find() -> Result<Self> {
        let tools = Self {
            root: Self::root()?,
        };
        for needed in [
            "bin/node",
            "bin/chromium",
            "js/node_modules",
            "python/bin/python",
        ] {
            if !tools.root.join(needed).exists() {
                bail!(
                    "{} is missing: run `cargo xtask setup`",
                    tools.root.join(needed).display()
                );
            }
        }
        Ok(tools)
    }

    /// Node, about to run one of the scripts beside this crate.
    pub fn script(&self, name: &str) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        let mut command = self.node();
        command
            .arg("--import")
            .arg(scripts.join("resolve.mjs"))
            .arg(scripts.join(name));
        command
    }

    /// Node, about to run the program of an installed package.
    pub fn package(&self, program: &str) -> Command {
        let mut command = self.node();
        command.arg(self.package_path(program));
        command
    }

    /// A file of an installed package.
    pub fn package_path(&self, path: &str) -> PathBuf {
        self.root.join("js/node_modules").join(path)
    }

    /// Where Node stands.
    pub fn node_path(&self) -> PathBuf {
        self.root.join("bin/node")
    }

    /// Where Chromium stands.
    pub fn chromium(&self) -> PathBuf {
        self.root.join("bin/chromium")
    }

    /// A Redis (or Valkey) server.
    ///
    /// # Errors
    /// If it is missing.
    pub fn redis() -> Result<Command> {
        let program = Self::root()?.join("bin/redis-server");
        if !program.exists() {
            bail!("{} is missing: run `cargo xtask setup`", program.display());
        }
        Ok(Command::new(program))
    }

    /// Python with the SDK, about to run one of the scripts beside this crate.
    pub fn python_script(&self, name: &str) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let mut command = Command::new(self.root.join("python/bin/python"));
        command.arg(scripts.join(name));
        command
    }

    /// A directory for pictures of pages, kept after the tests.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn screenshots(&self) -> Result<PathBuf> {
        let directory = self.root.with_file_name("screenshots");
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    fn root() -> Result<PathBuf> {
        // The binary is <target>/<profile>/deps/<name>.
        let program = std::env::current_exe()?;
        let target = program
            .ancestors()
            .nth(3)
            .context("cargo put this test into its target directory")?;
        Ok(target.join("test-tools"))
    }

    fn node(&self) -> Command {
        let mut command = Command::new(self.node_path());
        command.env("MCP_TESTKIT_PACKAGES", self.root.join("js"));
        command
    }
}
