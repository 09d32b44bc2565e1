//! What is said of a move.

use std::fmt::Write as _;

use domain::time::Timestamp;
use store::{
    records::{Counted, Kind, MoveMark, MoveState, Records},
    redis::Process,
};

use super::keys::Keys;
use crate::{cli::Side, control::span};

/// Records that cannot be read and are named; more are only counted.
const NAMED: usize = 20;

/// It is done.
pub(super) fn moved(
    source: &dyn Records,
    target: &dyn Records,
    counted: &Counted,
    keys: Keys,
    to: Side,
) -> String {
    let mut text = format!("Moved from {} to {}:\n", source.place(), target.place());
    add_counted(&mut text, counted);
    add_keys(&mut text, keys, "went along");
    let _ = write!(
        text,
        "{} is marked, so that no proxy starts on it by mistake; what it holds can be removed.\n{}",
        capitalized(&source.place()),
        start(to)
    );
    text
}

/// It would be done.
pub(super) fn tried(
    source: &dyn Records,
    target: &str,
    counted: &Counted,
    keys: Keys,
    running: &[Process],
) -> String {
    let mut text = format!("Would move from {} to {target}:\n", source.place());
    add_counted(&mut text, counted);
    add_keys(&mut text, keys, "go along");
    if !running.is_empty() {
        let _ = writeln!(
            text,
            "Proxies run on the server, to be stopped before: {}.",
            names(running)
        );
    }
    text.push_str("Nothing was changed.");
    text
}

/// It was done before.
pub(super) fn before(source: &dyn Records, mark: &MoveMark, to: Side, now: Timestamp) -> String {
    format!(
        "The sessions of {} were moved to {} {} ago; nothing is left to do. {}",
        source.place(),
        mark.place,
        span(now.since(mark.at)),
        start(to)
    )
}

/// A mark was taken off.
pub(super) fn unmarked(place: &str, mark: Option<&MoveMark>) -> String {
    let Some(mark) = mark else {
        return format!("{} has no mark; proxies start on it.", capitalized(place));
    };
    let other = &mark.place;
    let what = match mark.state {
        MoveState::Away => format!(
            "It holds the sessions as they were when they were moved to {other}: those that ended \
             there since live again here, and those that began or were refreshed there since may \
             have to log in anew. Do not let proxies run on both."
        ),
        MoveState::Arriving => {
            format!("What had arrived from {other} is forgotten; it is still there.")
        }
    };
    format!("Proxies start on {place} again. {what}")
}

/// Processes, for people.
pub(super) fn names(processes: &[Process]) -> String {
    let names: Vec<String> = processes
        .iter()
        .map(|process| format!("{} (release {})", process.name, process.release))
        .collect();
    names.join(", ")
}

fn add_counted(text: &mut String, counted: &Counted) {
    // Writing to a `String` does not fail.
    for kind in Kind::ALL {
        if let Some(count) = counted.records.get(&kind) {
            let _ = writeln!(text, "{count:>10}  {}", kind.plural());
        }
    }
    if counted.total() == 0 {
        let _ = writeln!(text, "{:>10}  records", 0);
    }
    let unreadable = &counted.unreadable;
    if unreadable.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "{:>10}  that cannot be read: damaged, or of a later release; they stay where they are:",
        unreadable.len()
    );
    for record in unreadable.iter().take(NAMED) {
        let _ = writeln!(text, "{:>12}{} {}", "", record.kind, record.name);
    }
    if unreadable.len() > NAMED {
        let _ = writeln!(text, "{:>12}and {} more", "", unreadable.len() - NAMED);
    }
}

fn add_keys(text: &mut String, keys: Keys, verb: &str) {
    let _ = match keys {
        Keys::Configured => writeln!(
            text,
            "The signing keys are those of OIDC_PROVIDER_JWKS and stay so."
        ),
        Keys::Carried => writeln!(text, "The signing keys {verb}, under the same key ids."),
        Keys::None => writeln!(
            text,
            "There are no signing keys yet; the next start makes them."
        ),
    };
}

fn start(on: Side) -> &'static str {
    match on {
        Side::Redis => "Start the proxies with MCP_AUTH_PROXY_REDIS_URL set.",
        Side::Embedded => "Start the one proxy without MCP_AUTH_PROXY_REDIS_URL and REDIS_URL.",
    }
}

fn capitalized(text: &str) -> String {
    text.strip_prefix("the ")
        .map_or_else(|| text.to_owned(), |rest| format!("The {rest}"))
}
