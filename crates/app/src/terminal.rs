//! What is said to the person at the terminal, apart from the log. A pipe that was closed is no
//! reason to fail: whoever closed it has read enough.

use std::io::Write as _;

use crate::config::faults::Warning;

/// What was asked for, to standard output.
pub(crate) fn print(text: &str) {
    let mut output = anstream::stdout();
    let _ = writeln!(output, "{}", text.trim_end_matches('\n'));
    let _ = output.flush();
}

/// What went wrong, with its causes, to standard error.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(anstream::stderr(), "error: {error:#}");
}

/// What is odd, to standard error.
pub(crate) fn warn(warning: &Warning) {
    let _ = writeln!(anstream::stderr(), "warning: {warning}");
}
