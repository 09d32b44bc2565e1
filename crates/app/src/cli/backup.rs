//! `backup` and `restore`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{BackupArguments, Flags, directory_arguments};

pub(super) fn backup() -> Command {
    Command::new("backup")
        .about("Copy the embedded store into a file, also while a proxy runs on it")
        .args(directory_arguments())
        .arg(file("The file to make; one that is there is left as it is"))
}

pub(super) fn restore() -> Command {
    Command::new("restore")
        .about("Put a backup into the place of the embedded store; the proxy must be stopped")
        .args(directory_arguments())
        .arg(file("The backup"))
        .arg(
            Arg::new("yes")
                .long("yes")
                .action(ArgAction::SetTrue)
                .help("Do not ask"),
        )
}

/// Reads what was asked; the settings may stand before the command too.
pub(super) fn arguments(outer: &ArgMatches, own: &ArgMatches) -> BackupArguments {
    BackupArguments {
        flags: Flags::of(outer).over(Flags::of(own)),
        // A required argument is always there.
        file: own.get_one("file").cloned().unwrap_or_default(),
    }
}

fn file(help: &'static str) -> Arg {
    Arg::new("file")
        .required(true)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}
