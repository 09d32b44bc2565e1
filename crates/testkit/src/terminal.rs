//! A terminal with a program at it, and the fingers of a person.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    pty::openpty,
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};

use crate::{process::START, wait};

/// What runs at a terminal of its own. Killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

// === impl Terminal ===

impl Terminal {
    /// Starts a program whose standard input, output and error are the terminal.
    ///
    /// # Errors
    /// If there is no terminal, or the program cannot be started.
    pub fn start(mut command: Command) -> Result<Self> {
        let pair = openpty(None, None).context("the system gives no terminal")?;
        let screen = File::from(pair.master);
        let child = command
            .stdin(pair.slave.try_clone()?)
            .stdout(pair.slave.try_clone()?)
            .stderr(pair.slave)
            .spawn()?;
        // It holds the program's side of the terminal open.
        drop(command);
        let shown = Arc::default();
        let terminal = Self {
            keyboard: screen.try_clone()?,
            child,
            shown: Arc::clone(&shown),
        };
        thread::spawn(move || watch(screen, &shown));
        Ok(terminal)
    }

    /// Everything that the person saw.
    pub fn shown(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Waits until it shows this.
    ///
    /// # Errors
    /// If it does not.
    pub async fn until_shown(&self, text: &str) -> Result<()> {
        wait::until(text, START, || async {
            Ok(self.shown().contains(text).then_some(()))
        })
        .await
        .with_context(|| self.shown())
    }

    /// Presses keys.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes())?;
        Ok(())
    }

    /// Whether it shows what is typed.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn echoes(&self) -> Result<bool> {
        let settings = tcgetattr(&self.keyboard)?;
        Ok(settings.local_flags.contains(LocalFlags::ECHO))
    }

    /// Does what Ctrl-C does at a terminal.
    ///
    /// # Errors
    /// If the program has ended.
    pub fn interrupt(&self) -> Result<()> {
        let program = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(program, Signal::SIGINT)?;
        Ok(())
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// If it does not end within `limit`.
    pub async fn exited(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        wait::until("the end at the terminal", limit, || {
            let status = child.try_wait();
            async move { Ok(status?) }
        })
        .await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Until everybody at the other side has closed it, which is an error of the read.
fn watch(mut screen: File, shown: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = screen.read(&mut chunk) {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.extend(chunk.iter().take(count));
    }
}
