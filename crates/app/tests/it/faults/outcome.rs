//! What a run came to, and what of it may be.

use std::{fmt, fs::File, io::Write as _, sync::atomic::Ordering, time::Duration};

use anyhow::{Result, ensure};
use testkit::rotating::{self, Refresh};

use super::{
    fleet::{ACCESS_TTL, Fleet, Upstream},
    load::{Failure, Load},
    size::{self, Size},
};

/// What a run came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Calls and refreshes that no answer or a wrong one came to, of sessions that live.
    failures: Vec<Failure>,
    lost: Vec<Loss>,
    calls: usize,
    put_off: usize,
    refused_by_server: usize,
    refreshes: Refreshes,
}

/// A session that ended.
#[derive(Debug)]
struct Loss {
    user: String,
    /// Nobody could save it: the provider had answered a process that was killed before it could
    /// store the answer.
    is_unavoidable: bool,
    how: String,
}

/// What the provider was asked.
#[derive(Clone, Copy, Debug, Default)]
struct Refreshes {
    asked: usize,
    /// Those that replaced an access token at its end.
    of_ended: usize,
}

/// How long an answer may be on its way into the store; a busy machine needs a part of it.
const STORING: Duration = Duration::from_secs(2);
/// Proxies count in whole seconds, so a token may seem to end so much earlier.
const ROUNDING: Duration = Duration::from_millis(1020);

// === impl Outcome ===

impl Outcome {
    pub(super) async fn of(name: &str, size: Size, load: &Load, fleet: &Fleet) -> Result<Self> {
        let (refreshes, lost) = match &fleet.provider {
            Upstream::Rotating(provider) => {
                let log = provider.refreshes();
                (Refreshes::of(&log), losses(&log, fleet))
            }
            Upstream::OpenId(provider, _) => {
                let control = provider.control();
                let refused = control.token_requests("refresh_token", 400).await?;
                ensure!(refused == 0, "{refused} refresh tokens came twice");
                let asked = control.refreshes().await?;
                (Refreshes { asked, of_ended: 0 }, Vec::new())
            }
        };
        let failures = load
            .tally
            .failures()
            .iter()
            .filter(|failure| !lost.iter().any(|loss| loss.user == failure.user))
            .cloned()
            .collect();
        let outcome = Self {
            failures,
            lost,
            calls: load.tally.calls.load(Ordering::SeqCst),
            put_off: load.tally.put_off.load(Ordering::SeqCst),
            refused_by_server: fleet.refused_by_server.load(Ordering::SeqCst),
            refreshes,
        };
        let tally = &load.tally;
        let unavoidable = outcome.lost.iter().filter(|loss| loss.is_unavoidable);
        write(&[
            name.to_owned(),
            load.sessions.len().to_string(),
            size.time.as_secs().to_string(),
            outcome.calls.to_string(),
            tally.refreshes.load(Ordering::SeqCst).to_string(),
            outcome.failures.len().to_string(),
            outcome.put_off.to_string(),
            tally.repeated.load(Ordering::SeqCst).to_string(),
            format!("{} ({})", outcome.lost.len(), unavoidable.count()),
            outcome.refreshes.asked.to_string(),
            outcome.refreshes.of_ended.to_string(),
            format!("{:.1} s", tally.longest().duration.as_secs_f64()),
        ])?;
        eprintln!("longest: {}", tally.longest().what);
        eprintln!("lost: {}", list(&outcome.lost));
        eprintln!("failed: {}", list(&outcome.failures));
        Ok(outcome)
    }

    /// Every call was answered, and no session ended.
    pub(super) fn nothing_is_lost(&self) -> Result<()> {
        ensure!(self.lost.is_empty(), "lost:\n{}", list(&self.lost));
        self.nothing_else_is_lost()
    }

    /// The same, but for sessions that nobody can save.
    pub(super) fn nothing_else_is_lost(&self) -> Result<()> {
        let avoidable: Vec<_> = self
            .lost
            .iter()
            .filter(|loss| !loss.is_unavoidable)
            .collect();
        ensure!(avoidable.is_empty(), "lost:\n{}", list(&avoidable));
        ensure!(self.calls > 0, "nothing was called");
        let failures = &self.failures;
        ensure!(failures.is_empty(), "failed:\n{}", list(failures));
        Ok(())
    }

    /// Nobody was asked to come again.
    pub(super) fn nothing_is_put_off(&self) -> Result<()> {
        ensure!(self.put_off == 0, "{} were put off", self.put_off);
        Ok(())
    }

    /// The provider was asked for no token that had not ended, and for none twice; and it is not
    /// left to the MCP server to tell that one has ended. A few end on their way there.
    pub(super) fn each_token_that_ends_is_renewed_once(&self) -> Result<()> {
        let Refreshes { asked, of_ended } = self.refreshes;
        ensure!(asked > 0, "nothing was refreshed");
        ensure!(asked == of_ended, "{asked} refreshes, {of_ended} expiries");
        let refused = self.refused_by_server;
        let is_on_the_way = refused * 10 <= asked;
        ensure!(is_on_the_way, "the MCP server refused {refused} tokens");
        Ok(())
    }
}

// === impl Refreshes ===

impl Refreshes {
    fn of(log: &[Refresh]) -> Self {
        let of_ended = log.iter().filter(|refresh| match refresh.outcome {
            rotating::Outcome::Rotated { age } => age + ROUNDING >= ACCESS_TTL,
            _ => false,
        });
        Self {
            asked: log.len(),
            of_ended: of_ended.count(),
        }
    }
}

/// How many, and the first of them.
fn list<T: fmt::Display>(things: &[T]) -> String {
    const SHOWN: usize = 10;
    let shown = things.iter().take(SHOWN).map(|thing| format!("{thing}\n"));
    format!("{}\n{}", things.len(), shown.collect::<String>())
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.user, self.how)
    }
}

fn losses(log: &[Refresh], fleet: &Fleet) -> Vec<Loss> {
    log.iter()
        .filter_map(|refresh| match refresh.outcome {
            rotating::Outcome::Reused { first } => Some((refresh, log.get(first)?)),
            _ => None,
        })
        .map(|(again, first)| {
            let ends = fleet.machines[first.machine].ends();
            let next_end = ends
                .iter()
                .filter_map(|end| end.checked_duration_since(first.asked))
                .min();
            // What a process sent before its end may be read after it.
            let was_on_the_way = first.answered.is_none()
                && ends
                    .iter()
                    .filter_map(|end| first.asked.checked_duration_since(*end))
                    .any(|before| before < STORING);
            Loss {
                user: again.subject.clone(),
                is_unavoidable: was_on_the_way || next_end.is_some_and(|after| after < STORING),
                how: format!(
                    "machine {} used its refresh token, was answered after {:?} and ended after \
                     {next_end:?}; machine {} used it again {:?} after the first",
                    first.machine,
                    first.answered.map(|answered| answered - first.asked),
                    again.machine,
                    again.asked - first.asked,
                ),
            }
        })
        .collect()
}

/// Notes how long something took.
pub(super) fn note(what: &str, duration: Duration) -> Result<()> {
    let mut row = vec![String::new(); COLUMNS.len()];
    if let [first, .., last] = row.as_mut_slice() {
        what.clone_into(first);
        *last = format!("{} ms", duration.as_millis());
    }
    write(&row)
}

const COLUMNS: [&str; 12] = [
    "run",
    "sessions",
    "seconds",
    "calls",
    "refreshes by clients",
    "failed",
    "put off",
    "repeated elsewhere",
    "sessions lost (that nobody can save)",
    "refreshes at the provider",
    "of tokens at their end",
    "longest call",
];

fn write(row: &[String]) -> Result<()> {
    let line = format!("| {} |", row.join(" | "));
    eprintln!("{line}");
    if let Some(report) = size::report() {
        let is_new = !report.exists();
        let mut file = File::options().create(true).append(true).open(report)?;
        if is_new {
            writeln!(
                file,
                "| {} |\n|{}",
                COLUMNS.join(" | "),
                " --- |".repeat(COLUMNS.len())
            )?;
        }
        writeln!(file, "{line}")?;
    }
    Ok(())
}
