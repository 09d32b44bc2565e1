//! `mcp-auth-proxy keys …`.

use std::time::Duration;

use authserver::JWKS_MAX_AGE;
use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind};
use jose::signing::SigningAlgorithm;

use super::{Flags, KeysCommand, directory_arguments, json_argument};
use crate::{
    config::{parse_duration, show_duration},
    signing_keys::RotationRequest,
};

/// Long enough for verifiers that keep keys for longer than they are told.
const USUAL_WAIT: &str = "1h";

/// The definition.
pub(super) fn definition() -> Command {
    Command::new("keys")
        .about("Look at the signing keys, exchange them while the proxy runs, or make one")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("Say which signing keys there are, and what each does")
                .args(directory_arguments())
                .arg(json_argument()),
        )
        .subcommand(rotate())
        .subcommand(generate())
}

fn rotate() -> Command {
    Command::new("rotate")
        .about("Put new keys in place of those that sign, without a restart")
        .long_about(
            "Put new keys in place of those that sign, without a restart.\n\n\
             New keys are published at once and sign later, so that everybody knows them by then. \
             Those that they replace are published until nothing can be verified with them any \
             more. Proxies that share keys on a Redis server take new ones up within 10 s. Keys in \
             OIDC_PROVIDER_JWKS are exchanged there: see docs/guides/operations.md.",
        )
        .args(directory_arguments())
        .arg(
            Arg::new("alg")
                .long("alg")
                .value_name("ALGORITHM")
                .value_parser(algorithm)
                .help(
                    "Only the key for this algorithm, or one more if there is none [default: all]",
                ),
        )
        .arg(
            Arg::new("in")
                .long("in")
                .value_name("DURATION")
                .value_parser(wait)
                .default_value(USUAL_WAIT)
                .conflicts_with("now")
                .help("How long the new keys are published before they sign"),
        )
        .arg(
            Arg::new("now").long("now").action(ArgAction::SetTrue).help(
                "Sign with them at once; verifiers that still keep the old set must fetch anew",
            ),
        )
        .arg(
            Arg::new("withdraw")
                .long("withdraw")
                .action(ArgAction::SetTrue)
                .requires("now")
                .help(
                    "Take the old keys out at once, since they leaked: what they signed is refused",
                ),
        )
        .arg(json_argument())
}

fn generate() -> Command {
    Command::new("generate")
        .about("Make a private key and print it, for OIDC_PROVIDER_JWKS=\"[$(…)]\"")
        .arg(
            Arg::new("alg")
                .long("alg")
                .value_name("ALGORITHM")
                .value_parser(algorithm)
                .default_value("RS256")
                .help("EdDSA, ES256, ES384, RS256 (what clients expect that say nothing) or PS256"),
        )
        .arg(
            Arg::new("in")
                .long("in")
                .value_name("DURATION")
                .value_parser(wait)
                .help("After how long it begins to sign, for a key put before others"),
        )
}

/// Reads what was asked; the settings may stand before the command too.
pub(super) fn command_of(
    outer: &ArgMatches,
    matches: &ArgMatches,
) -> Result<KeysCommand, clap::Error> {
    let flags = |own| Flags::of(outer).over(Flags::of(own));
    match matches.subcommand() {
        Some(("list", own)) => Ok(KeysCommand::List {
            flags: flags(own),
            json: own.get_flag("json"),
        }),
        Some(("rotate", own)) => Ok(KeysCommand::Rotate {
            flags: flags(own),
            rotation: RotationRequest {
                algorithm: own.get_one::<Name>("alg").map(|name| name.text.clone()),
                wait_seconds: match own.get_one::<Duration>("in") {
                    Some(wait) if !own.get_flag("now") => wait.as_secs(),
                    _ => 0,
                },
                withdraw: own.get_flag("withdraw"),
            },
            json: own.get_flag("json"),
        }),
        Some(("generate", own)) => Ok(KeysCommand::Generate {
            algorithm: own
                .get_one::<Name>("alg")
                .map_or(SigningAlgorithm::Rs256, |name| name.algorithm),
            wait: own.get_one::<Duration>("in").copied(),
        }),
        _ => Err(definition().error(ErrorKind::MissingSubcommand, "list, rotate or generate?")),
    }
}

/// An algorithm with the name it was given by.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    algorithm: SigningAlgorithm,
}

fn algorithm(text: &str) -> Result<Name, String> {
    let algorithm =
        SigningAlgorithm::parse(text).ok_or("it must be EdDSA, ES256, ES384, RS256 or PS256")?;
    Ok(Name {
        text: text.to_owned(),
        algorithm,
    })
}

/// Whoever fetched the keys just before would not know the new one if it signed sooner.
fn wait(text: &str) -> Result<Duration, String> {
    let wait = parse_duration(text)?;
    if wait < JWKS_MAX_AGE {
        return Err(format!(
            "it is shorter than verifiers may go on using the keys that they have fetched ({})",
            show_duration(JWKS_MAX_AGE)
        ));
    }
    Ok(wait)
}
