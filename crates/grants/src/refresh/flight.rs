//! One refresh per grant at a time within this process: who comes first starts it, the others
//! wait for it, and after a failure nobody starts one too soon.
//!
//! This is all there is to it where one process holds the store. For one that other processes write
//! to, the flight takes a lease before it asks the provider.

use std::time::Duration;

use domain::time::Timestamp;
use tokio::{sync::watch, time::Instant};

/// What is known of the refreshes of one grant in this process.
#[derive(Debug, Default)]
pub(crate) struct RefreshState {
    flight: Option<Flight>,
    /// Failed refreshes since the last one that succeeded.
    failures: u32,
    /// Until then nobody asks the provider again.
    retry_at: Option<Timestamp>,
    /// Until then no refusal by the MCP server is a reason to refresh.
    fresh_refused_until: Option<Timestamp>,
}

/// A refresh under way, to wait for.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) started: Instant,
    landed: watch::Receiver<Option<Landing>>,
}

/// Held by the task that refreshes; lost without landing, it leaves the way free for the next.
#[derive(Debug)]
pub(super) struct Pilot(watch::Sender<Option<Landing>>);

/// How a refresh came out.
#[derive(Clone, Debug)]
pub(crate) enum Landing {
    /// There is a newer token, stored.
    Renewed,
    /// A passing fault.
    Failed(String),
    /// The grant has ended.
    Ended,
}

/// What to do for a caller that needs a newer token.
#[derive(Debug)]
pub(super) enum Boarding {
    /// Start this refresh, and wait for it.
    First(Pilot, Flight),
    /// Wait for this one.
    Aboard(Flight),
    /// It is too soon after a failure.
    Grounded { retry_after: Duration },
}

/// How long a refusal of a fresh token keeps further refusals from refreshing.
const FRESH_REFUSED_LIFE: Duration = Duration::from_secs(60);

// === impl RefreshState ===

impl RefreshState {
    pub(super) fn board(&mut self, now: Timestamp) -> Boarding {
        if let Some(flight) = self.flight.as_ref().filter(|flight| flight.is_under_way()) {
            return Boarding::Aboard(flight.clone());
        }
        if let Some(retry_at) = self.retry_at.filter(|retry_at| now < *retry_at) {
            return Boarding::Grounded {
                retry_after: retry_at.since(now),
            };
        }
        let (pilot, landed) = watch::channel(None);
        let flight = Flight {
            started: Instant::now(),
            landed,
        };
        self.flight = Some(flight.clone());
        Boarding::First(Pilot(pilot), flight)
    }

    /// Notes how a refresh came out; after failures in a row the next waits 1, 2, 4 … seconds.
    pub(super) fn land(&mut self, landing: &Landing, longest_pause: Duration, now: Timestamp) {
        self.flight = None;
        match landing {
            Landing::Renewed | Landing::Ended => {
                self.failures = 0;
                self.retry_at = None;
            }
            Landing::Failed(_) => {
                let pause = Duration::from_secs(1 << self.failures.min(8)).min(longest_pause);
                self.failures = self.failures.saturating_add(1);
                self.retry_at = Some(now.plus(pause));
            }
        }
    }

    /// Whether a fresh token was refused less than a minute ago.
    pub(super) fn is_fresh_refused(&self, now: Timestamp) -> bool {
        self.fresh_refused_until.is_some_and(|until| now < until)
    }

    pub(super) fn note_fresh_refused(&mut self, now: Timestamp) {
        self.fresh_refused_until = Some(now.plus(FRESH_REFUSED_LIFE));
    }
}

// === impl Flight ===

impl Flight {
    pub(super) async fn landed(&mut self) -> Landing {
        match self.landed.wait_for(Option::is_some).await {
            Ok(landing) => landing.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| Landing::Failed("the refresh was cut off".to_owned()))
    }

    fn is_under_way(&self) -> bool {
        self.landed.has_changed().is_ok()
    }
}

// === impl Pilot ===

impl Pilot {
    /// Tells all who wait.
    pub(super) fn tell(self, landing: Landing) {
        self.0.send_replace(Some(landing));
    }
}
