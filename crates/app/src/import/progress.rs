//! How far it is: a bar for a person at a terminal, nothing for a pipe.

use std::io::{IsTerminal as _, Write as _, stderr};

/// Characters of the bar.
const WIDTH: u64 = 30;

/// A bar on the standard error.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    done: u64,
    is_shown: bool,
}

// === impl Progress ===

impl Progress {
    /// At the beginning of about so many steps.
    pub(super) fn begin(total: u64) -> Self {
        let progress = Self {
            total,
            done: 0,
            is_shown: stderr().is_terminal(),
        };
        progress.show();
        progress
    }

    /// So many more.
    pub(super) fn advance(&mut self, steps: u64) {
        // The number of keys is a guess by the end, and a scan looks at some more than once.
        self.done = self.done.saturating_add(steps).min(self.total);
        self.show();
    }

    /// Takes the bar away.
    pub(super) fn end(self) {
        if self.is_shown {
            let _ = write!(anstream::stderr(), "\r{:1$}\r", "", 80);
        }
    }

    fn show(&self) {
        if self.is_shown {
            let _ = write!(anstream::stderr(), "\r{}", bar(self.done, self.total));
            let _ = anstream::stderr().flush();
        }
    }
}

fn bar(done: u64, total: u64) -> String {
    let share = |of: u64| done.saturating_mul(of) / total.max(1);
    let full = usize::try_from(share(WIDTH)).unwrap_or_default();
    let width = usize::try_from(WIDTH).unwrap_or_default();
    format!(
        "[{:#<full$}{:.<rest$}] {:3} % of about {total} keys",
        "",
        "",
        share(100),
        rest = width.saturating_sub(full),
    )
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_fills_up() {
        let empty = "[..............................]   0 % of about 0 keys";
        assert_eq!(bar(0, 0), empty);
        let half = "[###############...............]  50 % of about 2000 keys";
        assert_eq!(bar(1000, 2000), half);
        let full = "[##############################] 100 % of about 7 keys";
        assert_eq!(bar(7, 7), full);
    }
}
