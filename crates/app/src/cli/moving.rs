//! `move`.

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, builder::PossibleValuesParser};

use super::{Flags, MoveArguments, MoveTask, Side, directory_arguments};

pub(super) fn definition() -> Command {
    Command::new("move")
        .about("Move the sessions from the embedded store to Redis or back; the proxies must be stopped")
        .long_about(
            "Move the sessions from the embedded store to Redis or back.\n\n\
             The proxies must be stopped. The embedded store is that of the data directory, the \
             server that of MCP_AUTH_PROXY_REDIS_URL. Everything goes along with what is left of \
             its life, signing keys too, so that clients go on with the tokens they have. The \
             source stays whole and is marked at the very end, so that no proxy starts on it any \
             more; whatever interrupts the move, run it again.",
        )
        .args(directory_arguments())
        .arg(side("to", "Where the sessions go to"))
        .arg(side(
            "unmark",
            "Instead, let proxies start again on a store that was moved away or half filled",
        ))
        .group(ArgGroup::new("task").args(["to", "unmark"]).required(true))
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .conflicts_with("unmark")
                .help("Say what would be moved, and change nothing"),
        )
        .arg(
            Arg::new("overwrite")
                .long("overwrite")
                .action(ArgAction::SetTrue)
                .conflicts_with("unmark")
                .help("Forget the sessions that the other store holds already"),
        )
}

/// Reads what was asked; the settings may stand before the command too.
pub(super) fn arguments(outer: &ArgMatches, own: &ArgMatches) -> MoveArguments {
    let side = |name: &str| {
        own.get_one::<String>(name)
            .and_then(|name| Side::parse(name))
    };
    let task = match (side("unmark"), side("to")) {
        (Some(side), _) => MoveTask::Unmark(side),
        (None, to) => MoveTask::Move {
            // One of the two is always there.
            to: to.unwrap_or(Side::Redis),
            dry_run: own.get_flag("dry-run"),
            overwrite: own.get_flag("overwrite"),
        },
    };
    MoveArguments {
        flags: Flags::of(outer).over(Flags::of(own)),
        task,
    }
}

fn side(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("STORE")
        .value_parser(PossibleValuesParser::new(Side::ALL.map(Side::as_str)))
        .help(help)
}

// === impl Side ===

impl Side {
    const ALL: [Self; 2] = [Self::Embedded, Self::Redis];

    /// As it is written on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.as_str() == text)
    }
}
