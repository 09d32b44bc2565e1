//! The words between the proxy and the guard: one line each, over the socket that joins them.

use std::{os::unix::process::ExitStatusExt as _, process::ExitStatus};

/// What the proxy tells the guard. That the socket ends is an order too: the proxy has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// SIGTERM to the server's group.
    Terminate,
    /// SIGKILL to everything that the server started.
    Kill,
}

/// What the guard tells the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The server runs, with this process id, which is its group's too.
    Started(i32),
    /// It cannot be started.
    Failed(String),
    /// The server itself has ended.
    Exited(ExitStatus),
    /// Nothing is left of what it started either.
    Gone,
}

// === impl Order ===

impl Order {
    pub(super) fn line(self) -> &'static str {
        match self {
            Self::Terminate => "terminate\n",
            Self::Kill => "kill\n",
        }
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        match line {
            "terminate" => Some(Self::Terminate),
            "kill" => Some(Self::Kill),
            _ => None,
        }
    }
}

// === impl Report ===

impl Report {
    pub(super) fn line(&self) -> String {
        match self {
            Self::Started(pid) => format!("started {pid}\n"),
            Self::Failed(reason) => format!("failed {}\n", reason.replace('\n', " ")),
            Self::Exited(status) => format!("exited {}\n", status.into_raw()),
            Self::Gone => "gone\n".to_owned(),
        }
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "started" => rest.parse().ok().map(Self::Started),
            "failed" => Some(Self::Failed(rest.to_owned())),
            "exited" => {
                let raw = rest.parse().ok()?;
                Some(Self::Exited(ExitStatus::from_raw(raw)))
            }
            "gone" => Some(Self::Gone),
            _ => None,
        }
    }
}
