//! `mcp-auth-proxy hash-password`: a password becomes a hash for the users file.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _, stdin},
    thread,
};

use anyhow::{Context as _, Result, bail};
use domain::secret::SecretString;
use idp::local::LocalProvider;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Asks for a password, twice and without showing it, where a person sits at standard input; else
/// reads it from there, up to the end of the line. Returns its argon2id hash.
///
/// # Errors
/// If there is none, two different ones are typed, or the system gives no randomness.
pub(crate) async fn from_standard_input() -> Result<String> {
    let password = if stdin().is_terminal() {
        asked().await?
    } else {
        line()?
    };
    if password.expose().is_empty() {
        bail!(
            "no password on standard input; for example: printf %s 'the password' | mcp-auth-proxy hash-password"
        );
    }
    Ok(LocalProvider::hash_password(&password)?)
}

/// The terminal's settings while nothing that is typed is shown; as before when it is dropped.
struct Unseen {
    before: Termios,
}

// === impl Unseen ===

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        // But the end of a line is, else the next words would stand beside these.
        unseen.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(stdin(), OptionalActions::Flush, &unseen)?;
        Ok(Self { before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // The terminal may be gone.
        _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Ctrl-C ends this with the terminal as it was before.
async fn asked() -> Result<SecretString> {
    // Heard before anything changes.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _unseen =
        Unseen::begin().context("the terminal cannot be kept from showing what is typed")?;
    let (sender, answer) = oneshot::channel();
    // A thread of its own: nothing ends a read of a terminal, and a runtime would wait for it.
    thread::spawn(move || _ = sender.send(twice()));
    tokio::select! {
        answer = answer => answer.context("nobody asked for the password")?,
        _ = interrupt.recv() => bail!("nothing was done"),
    }
}

fn twice() -> Result<SecretString> {
    let first = answer_to("Password: ")?;
    if first.expose().is_empty() {
        bail!("a password has at least one character; nothing was done");
    }
    if answer_to("The same again: ")? != first {
        bail!("these were two different passwords; nothing was done");
    }
    Ok(first)
}

/// The question goes to standard error: standard output is for the hash.
fn answer_to(question: &str) -> Result<SecretString> {
    let mut output = anstream::stderr();
    write!(output, "{question}")?;
    output.flush()?;
    line()
}

fn line() -> Result<SecretString> {
    let mut line = String::new();
    stdin()
        .lock()
        .read_line(&mut line)
        .context("standard input cannot be read as UTF-8 text")?;
    Ok(SecretString::new(line.trim_end_matches(['\r', '\n'])))
}
