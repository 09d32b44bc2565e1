//! What Heroku's builder makes of an app by our buildpack.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// What a release for this machine is named by.
pub(super) const TARGET: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-musl"
} else {
    "x86_64-unknown-linux-musl"
};

/// An app, and what the builder keeps beside it.
pub(super) struct Slug {
    directory: TempDir,
    app: PathBuf,
}

// === impl Slug ===

impl Slug {
    /// An app of these files. The binary under test is what was released.
    pub(super) fn of(files: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let app = directory.path().join("app");
        let slug = Self { directory, app };
        for name in ["app", "cache", "env", "releases"] {
            fs::create_dir(slug.beside(name))?;
        }
        for (name, content) in files {
            fs::write(slug.app.join(name), content)?;
        }
        let releases = slug.beside("releases");
        let version = concat!("download/v", env!("CARGO_PKG_VERSION"));
        publish(&releases.join(version))?;
        fs::create_dir(releases.join("latest"))?;
        symlink(releases.join(version), releases.join("latest/download"))?;
        let place = format!("file://{}", releases.display());
        slug.config("MCP_PROXY_RELEASES_URL", &place)?;
        Ok(slug)
    }

    /// Where the app stands; on a dyno this is `/app`.
    pub(super) fn app(&self) -> &Path {
        &self.app
    }

    /// Sets a config var.
    pub(super) fn config(&self, name: &str, value: &str) -> Result<()> {
        Ok(fs::write(self.beside("env").join(name), value)?)
    }

    /// Takes a config var away.
    pub(super) fn unset(&self, name: &str) -> Result<()> {
        Ok(fs::remove_file(self.beside("env").join(name))?)
    }

    /// Builds as the builder does, and returns what that prints; the error is what it printed.
    pub(super) fn build(&self) -> Result<String> {
        let detected = self.script("detect").arg(&self.app).output()?;
        ensure!(detected.status.success(), "bin/detect refuses the app");
        let output = self
            .script("compile")
            .args([&self.app, &self.beside("cache"), &self.beside("env")])
            .output()?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        if !output.status.success() {
            bail!(printed);
        }
        Ok(printed)
    }

    /// The line of a process type: the app's own, else the buildpack's.
    pub(super) fn process_type(&self, name: &str) -> Result<String> {
        let told = match fs::read_to_string(self.app.join("Procfile")) {
            Ok(procfile) => procfile,
            Err(_) => String::from_utf8(self.script("release").arg(&self.app).output()?.stdout)?,
        };
        let line = told
            .lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        Ok(line.context("no such process type")?.to_owned())
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn script(&self, name: &str) -> Command {
        let buildpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin");
        let mut command = Command::new(buildpack.join(name));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory.path())
            .env("STACK", "heroku-24");
        command
    }
}

/// Puts the binary under test into a directory as a release has it.
fn publish(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let binary = Path::new(env!("CARGO_BIN_EXE_mcp-auth-proxy"));
    let archive = directory.join(format!("mcp-auth-proxy-{TARGET}.tar.gz"));
    let parent = binary
        .parent()
        .context("the binary stands in a directory")?;
    // Seldom is the binary so large as here; packing it well would take a while.
    let packed = Command::new("tar")
        .arg("--use-compress-program=gzip -1")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(parent)
        .arg("mcp-auth-proxy")
        .status()?;
    ensure!(packed.success(), "tar failed");
    let sum = Command::new("sha256sum").arg(&archive).output()?;
    fs::write(archive.with_extension("gz.sha256"), sum.stdout)?;
    Ok(())
}
