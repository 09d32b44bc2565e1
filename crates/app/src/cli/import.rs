//! `import-predecessor`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Flags, ImportArguments, json_argument, setting_arguments};

pub(super) fn definition() -> Command {
    Command::new("import-predecessor")
        .about("Take over the sessions of the Node.js predecessor, so that nobody logs in again")
        .long_about(
            "Take over the sessions of the Node.js predecessor, so that nobody logs in again.\n\n\
             Reads its clients, grants and tokens from the Redis that is configured (or from \
             MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL) and writes sessions of our own beside them, or \
             into the embedded store. Its records are only read. It can be interrupted at any moment \
             and run again: what was taken over stays, and what has ended since does not come back.\n\n\
             With Redis this is not needed: each token is taken over at its first use.",
        )
        .args(setting_arguments())
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Write nothing; say what would be taken over, and what not"),
        )
        .arg(json_argument())
}

pub(super) fn arguments(outer: &ArgMatches, own: &ArgMatches) -> ImportArguments {
    ImportArguments {
        flags: Flags::of(outer).over(Flags::of(own)),
        dry_run: own.get_flag("dry-run"),
        json: own.get_flag("json"),
    }
}
