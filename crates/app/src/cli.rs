//! The command line.

mod backup;
mod import;
mod keys;
mod moving;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use jose::signing::SigningAlgorithm;
use url::Url;

use crate::{
    env::{ALL, Variable, table as variable},
    signing_keys::RotationRequest,
};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Serve; without a sub-command.
    Serve(Flags),
    /// Print the configuration as it is meant, with the origin of each value.
    Config(Flags),
    /// Try it out, without any service or account.
    Demo(DemoArguments),
    /// Ask the proxy that runs on the data directory how it is.
    Status(StatusArguments),
    /// Hash a password for a users file.
    HashPassword,
    /// Look at the signing keys, exchange them, or make one.
    Keys(KeysCommand),
    /// Take over the sessions of the predecessor.
    Import(ImportArguments),
    /// Copy the embedded store, also while a proxy runs on it.
    Backup(BackupArguments),
    /// Put a backup into the place of the embedded store.
    Restore {
        /// Which, and where to.
        arguments: BackupArguments,
        /// A person has agreed already.
        agreed: bool,
    },
    /// Move the sessions from one store to the other.
    Move(MoveArguments),
}

/// Settings given as flags, by the name of their variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(BTreeMap<&'static str, String>);

/// What `demo` was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DemoArguments {
    /// One's own MCP server, already running.
    pub(crate) server: Option<Url>,
    /// One's own MCP server, to be started: the program and its arguments.
    pub(crate) command: Vec<String>,
    /// Forget what earlier demos remembered.
    pub(crate) fresh: bool,
    /// The port to listen on.
    pub(crate) port: Option<u16>,
    /// The public URL.
    pub(crate) base_url: Option<String>,
}

/// What `status` was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatusArguments {
    /// Where the data directory is.
    pub(crate) flags: Flags,
    /// JSON instead of text.
    pub(crate) json: bool,
}

/// What `import-predecessor` was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportArguments {
    /// Settings.
    pub(crate) flags: Flags,
    /// Write nothing.
    pub(crate) dry_run: bool,
    /// JSON instead of text.
    pub(crate) json: bool,
}

/// What is to be done about signing keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeysCommand {
    /// Say which there are.
    List {
        /// Where the data directory is.
        flags: Flags,
        /// JSON instead of text.
        json: bool,
    },
    /// Put new ones in place of those that sign.
    Rotate {
        /// Where the data directory is.
        flags: Flags,
        /// What is to be rotated, and when.
        rotation: RotationRequest,
        /// JSON instead of text.
        json: bool,
    },
    /// Make one and print it.
    Generate {
        /// What it is to sign by.
        algorithm: SigningAlgorithm,
        /// After how long it begins to sign; absent: it does not say.
        wait: Option<Duration>,
    },
}

/// What `backup` and `restore` were told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackupArguments {
    /// Where the data directory is.
    pub(crate) flags: Flags,
    /// The backup.
    pub(crate) file: PathBuf,
}

/// What `move` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MoveArguments {
    /// Where the data directory is.
    pub(crate) flags: Flags,
    /// What is to be done.
    pub(crate) task: MoveTask,
}

/// What is to be done about a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveTask {
    /// Move the sessions.
    Move {
        /// Where to.
        to: Side,
        /// Only say what would be moved.
        dry_run: bool,
        /// Forget what is there.
        overwrite: bool,
    },
    /// Take the mark of a move off.
    Unmark(Side),
}

/// One of the two stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// That in the data directory.
    Embedded,
    /// That on the server.
    Redis,
}

/// Reads the command line.
///
/// # Errors
/// If it is wrong, or asks for `--help` or `--version`; the error prints itself and knows its exit
/// code.
pub(crate) fn parse<I, T>(arguments: I) -> Result<Invocation, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments)?;
    Ok(match matches.subcommand() {
        Some(("demo", matches)) => Invocation::Demo(demo_arguments(matches)),
        Some(("serve", own)) => Invocation::Serve(Flags::of(&matches).over(Flags::of(own))),
        Some(("config", own)) => Invocation::Config(Flags::of(&matches).over(Flags::of(own))),
        Some(("status", own)) => Invocation::Status(StatusArguments {
            flags: Flags::of(&matches).over(Flags::of(own)),
            json: own.get_flag("json"),
        }),
        Some(("hash-password", _)) => Invocation::HashPassword,
        Some(("import-predecessor", own)) => Invocation::Import(import::arguments(&matches, own)),
        Some(("backup", own)) => Invocation::Backup(backup::arguments(&matches, own)),
        Some(("restore", own)) => Invocation::Restore {
            arguments: backup::arguments(&matches, own),
            agreed: own.get_flag("yes"),
        },
        Some(("move", own)) => Invocation::Move(moving::arguments(&matches, own)),
        Some(("keys", own)) => Invocation::Keys(keys::command_of(&matches, own)?),
        _ => Invocation::Serve(Flags::of(&matches)),
    })
}

/// The definition, for help and its tests.
pub(crate) fn command() -> Command {
    Command::new("mcp-auth-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about("OAuth in front of any MCP server")
        .long_about(
            "OAuth in front of any MCP server.\n\n\
             Without a command it serves, as the environment, `.env` and the TOML file say. \
             A flag wins over them; everything that can be set stands in \
             docs/reference/configuration.md.",
        )
        .max_term_width(100)
        .args(setting_arguments())
        .subcommand(
            Command::new("serve")
                .about("Serve; without a command it does so too")
                .args(setting_arguments()),
        )
        .subcommand(
            Command::new("config")
                .about("Print the configuration as it is meant, with the origin of each value")
                .args(setting_arguments()),
        )
        .subcommand(demo())
        .subcommand(status())
        .subcommand(import::definition())
        .subcommand(backup::backup())
        .subcommand(backup::restore())
        .subcommand(moving::definition())
        .subcommand(keys::definition())
        .subcommand(Command::new("hash-password").about(
            "Ask for a password, or read it from a pipe, and print its hash for a users file",
        ))
}

fn demo() -> Command {
    Command::new("demo")
        .about("Try it out: a proxy with a user of its own, before a small or your own MCP server")
        .long_about(
            "Try it out: a proxy with a user of its own, before a small built-in MCP server or \
             your own. Reads no `.env` and nothing about an identity provider.",
        )
        .arg(
            Arg::new("server")
                .long("server")
                .value_name("URL")
                .value_parser(server_url)
                .help("Your own MCP server, already running (or started by COMMAND)"),
        )
        .arg(
            Arg::new("fresh")
                .long("fresh")
                .action(ArgAction::SetTrue)
                .help("Forget the clients, logins and keys of earlier demos"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .help("Port to listen on [default: PORT, else 3001, else the next free one]"),
        )
        .arg(
            Arg::new("base-url")
                .long("base-url")
                .value_name("URL")
                .help("Public URL, such as a tunnel's [default: http://localhost:PORT]"),
        )
        .arg(
            Arg::new("command")
                .last(true)
                .num_args(1..)
                .value_name("COMMAND")
                .help(
                    "Your own MCP server, to be started; it listens at --server \
                     [default: http://localhost:3000/mcp] and finds the port in PORT",
                ),
        )
}

fn status() -> Command {
    Command::new("status")
        .about("Ask the proxy that runs on the data directory how it is, or Redis who shares it")
        .args(directory_arguments())
        .arg(json_argument())
}

/// The flags that say where the data directory is.
fn directory_arguments() -> impl Iterator<Item = Arg> {
    let directory = [
        &variable::MCP_AUTH_PROXY_DATA_DIR,
        &variable::MCP_AUTH_PROXY_CONFIG,
    ];
    setting_arguments().filter(move |argument| {
        directory
            .iter()
            .any(|variable| argument.get_id() == variable.name)
    })
}

fn json_argument() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON")
}

/// One flag for each variable that has one.
fn setting_arguments() -> impl Iterator<Item = Arg> {
    ALL.iter().filter_map(|variable| {
        let flag = variable.flag?;
        let summary = variable.summary().trim_end_matches('.');
        let says_nothing = matches!(variable.default, "" | "none");
        let default = if says_nothing || variable.default.contains('`') {
            String::new()
        } else {
            format!(" [default: {}]", variable.default)
        };
        Some(
            Arg::new(variable.name)
                .long(flag)
                .value_name("VALUE")
                .help(format!("{summary} [env: {}]{default}", variable.name)),
        )
    })
}

fn demo_arguments(matches: &ArgMatches) -> DemoArguments {
    DemoArguments {
        server: matches.get_one::<Url>("server").cloned(),
        command: matches
            .get_many::<String>("command")
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
        fresh: matches.get_flag("fresh"),
        port: matches.get_one::<u16>("port").copied(),
        base_url: matches.get_one::<String>("base-url").cloned(),
    }
}

fn server_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!(
            "its scheme is `{other}`, but must be `http` or `https`"
        )),
    }
}

// === impl Flags ===

impl Flags {
    /// The value given for a variable.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn of(matches: &ArgMatches) -> Self {
        let given = |variable: &&'static Variable| {
            variable.flag?;
            // A command may know some of the flags only.
            let text = matches.try_get_one::<String>(variable.name).ok()??;
            (!text.is_empty()).then(|| (variable.name, text.clone()))
        };
        Self(ALL.iter().filter_map(given).collect())
    }

    /// These, and those of `other` over them.
    fn over(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// For tests: as if given on the command line.
    #[cfg(test)]
    pub(crate) fn with(mut self, variable: &'static Variable, value: &str) -> Self {
        self.0.insert(variable.name, value.to_owned());
        self
    }
}

#[cfg(test)]
mod tests;
