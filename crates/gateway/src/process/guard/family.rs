//! The server's process, its group, and what came of them.

use std::{fs, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group,
        test_kill_process_group, wait,
    },
};

/// Everything that the guard has started, directly or not.
#[derive(Debug)]
pub(super) struct Family {
    /// The server: leader of its group.
    leader: Pid,
    status: Option<ExitStatus>,
}

/// Makes this process the parent of what its descendants leave behind.
pub(super) fn adopt_orphans() {
    // Refused by kernels before 3.4 only; then the process group alone is what can be ended.
    #[cfg(target_os = "linux")]
    {
        _ = rustix::process::set_child_subreaper(Some(getpid()));
    }
}

// === impl Family ===

impl Family {
    pub(super) fn new(leader: u32) -> Option<Self> {
        let leader = Pid::from_raw(i32::try_from(leader).ok()?)?;
        Some(Self {
            leader,
            status: None,
        })
    }

    pub(super) fn leader(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    /// How the server itself ended, if it did.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Whether the server has ended and nothing is left of what it started. Takes the statuses of
    /// all children that have ended, adopted ones too, which nobody else would.
    pub(super) fn is_gone(&mut self) -> bool {
        let has_children = self.reap();
        self.status.is_some()
            && !has_children
            && test_kill_process_group(self.leader) == Err(Errno::SRCH)
    }

    /// SIGTERM to the group; once the server itself has ended, to everything else that is left.
    pub(super) fn terminate(&self) {
        self.signal_group(Signal::TERM);
        if self.status.is_some() {
            signal_children(Signal::TERM);
        }
    }

    /// SIGKILL to the group and all children. Their own children become ours by that and are
    /// reached by the next call.
    pub(super) fn kill_all(&self) {
        self.signal_group(Signal::KILL);
        signal_children(Signal::KILL);
    }

    // Errors of signalling mean that the receiver has just ended, or has become another user's
    // and cannot be ended by us; `is_gone` and the deadlines handle both.
    fn signal_group(&self, signal: Signal) {
        _ = kill_process_group(self.leader, signal);
    }

    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid == self.leader {
                        self.status = Some(ExitStatus::from_raw(status.as_raw()));
                    }
                }
                Ok(None) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

fn signal_children(signal: Signal) {
    for child in children() {
        _ = kill_process(child, signal);
    }
}

/// Our children by the process table; empty where there is none to read.
fn children() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let itself = getpid().as_raw_nonzero().get();
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            (parent(&stat)? == itself).then(|| Pid::from_raw(pid))?
        })
        .collect()
}

/// The parent's process id in a line of `/proc/<pid>/stat`: the second field after the name, which
/// stands in parentheses and may hold anything (proc(5)).
fn parent(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (a) S 3 (b) R 9 12 12 0"), Some(9));
        assert_eq!(parent("12 (sh"), None);
        assert_eq!(parent(""), None);
    }
}
