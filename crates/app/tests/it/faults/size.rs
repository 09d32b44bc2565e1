//! How large a run is.

use std::{env::var_os, path::PathBuf, time::Duration};

/// How large a run is; `cargo xtask faults` says it by variables of the environment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) sessions: usize,
    pub(super) time: Duration,
}

// === impl Size ===

impl Size {
    pub(super) fn of_run() -> Self {
        Self {
            sessions: number("FAULT_SESSIONS").unwrap_or(16),
            time: Duration::from_secs(number("FAULT_SECONDS").unwrap_or(5)),
        }
    }

    /// Time between two blows.
    pub(super) fn pause(self) -> Duration {
        (self.time / 4).min(Duration::from_secs(5))
    }
}

/// Where rows and logs are left, if somebody asks for them.
pub(super) fn report() -> Option<PathBuf> {
    var_os("FAULT_REPORT").map(PathBuf::from)
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    var_os(name)?.to_str()?.parse().ok()
}
