//! `mcp-auth-proxy backup` and `restore`: a copy of the embedded store, and its way back.

use std::{
    io::{IsTerminal as _, Write as _, stdin},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use domain::time::{Clock, Timestamp};
use store::embedded::{self, Backup, EmbeddedStore};

use crate::{
    cli::BackupArguments,
    config::{self, StoreConfig},
    control::{self, AskError, BackupRequest, span},
    env::Environment,
    memory::STORE_FILE,
};

/// How long the command waits for the running proxy: a million sessions are copied in a minute.
const COPIED_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Copies the store of the configured data directory into a file: the proxy that runs on it does,
/// else this process. Returns what to print.
///
/// # Errors
/// If something stands there already, or the store cannot be read or the file not written.
pub(crate) async fn backup_command(
    arguments: &BackupArguments,
    environment: &Environment,
    clock: Arc<dyn Clock>,
) -> Result<String> {
    let directory = directory(arguments, environment)?;
    let to = std::path::absolute(&arguments.file).context("that is no path")?;
    let request = serde_json::to_value(BackupRequest { to: to.clone() })?;
    let backup = match control::ask_within(COPIED_WITHIN, &directory, "backup", request).await {
        Ok(backup) => backup,
        Err(AskError::NotRunning { .. }) => {
            let path = directory.join(STORE_FILE);
            if !path.exists() {
                bail!(
                    "there is no store in {}; if the proxy keeps it elsewhere, set \
                     MCP_AUTH_PROXY_DATA_DIR to that",
                    directory.display()
                );
            }
            EmbeddedStore::open(&path, clock)?.backup(&to)?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(format!(
        "{}: {}{}",
        to.display(),
        counted(backup.records, "record"),
        damage(&backup, "left out"),
    ))
}

/// Puts a backup into the place of the store of the configured data directory, once a person has
/// agreed. Returns what to print.
///
/// # Errors
/// If the file is no backup, a proxy runs on the store, or nobody agrees.
pub(crate) fn restore_command(
    arguments: &BackupArguments,
    agreed: bool,
    environment: &Environment,
    now: Timestamp,
) -> Result<String> {
    let directory = directory(arguments, environment)?;
    let backup = embedded::read_backup(&arguments.file)?;
    let store = directory.join(STORE_FILE);
    if !agreed {
        agree(&arguments.file, &backup, &store, now)?;
    }
    crate::memory::make_private_directory(&directory)?;
    let kept = embedded::restore(&arguments.file, &store, now)?;
    let kept = kept.map_or(String::new(), |kept| {
        format!(
            "\nWhat was there is kept as {}; remove it once all is well.",
            kept.display()
        )
    });
    Ok(format!(
        "{} holds {} now. Start the proxy.{kept}",
        store.display(),
        counted(backup.records, "record"),
    ))
}

fn directory(arguments: &BackupArguments, environment: &Environment) -> Result<PathBuf> {
    match config::load_store(&arguments.flags, environment)? {
        StoreConfig::Embedded { directory } => Ok(directory),
        StoreConfig::Redis(_) => bail!(
            "this is for the embedded store; what Redis keeps is backed up by Redis' own means \
             (its RDB file, or your provider's backups)"
        ),
    }
}

fn agree(file: &Path, backup: &Backup, store: &Path, now: Timestamp) -> Result<()> {
    let text = format!(
        "{file} was made {age} ago and holds {records}{damage}.\n\
         It takes the place of {store}. Not in it, and lost to those they concern, who log in \
         anew: logins and registrations since then, and sessions whose identity token was renewed \
         since then at a provider that takes each refresh token once. Sessions that were ended \
         since then live again.",
        file = file.display(),
        age = span(now.since(backup.taken)),
        records = counted(backup.records, "record"),
        damage = damage(backup, "had been left out"),
        store = store.display(),
    );
    if !stdin().is_terminal() {
        bail!("{text}\nNothing was done. Say --yes if this is what you want");
    }
    let mut output = anstream::stderr();
    write!(output, "{text}\nGo on? [y/N] ")?;
    output.flush()?;
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    if !matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        bail!("nothing was done");
    }
    Ok(())
}

fn counted(number: u64, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

fn damage(backup: &Backup, what: &str) -> String {
    match backup.damaged {
        0 => String::new(),
        damaged => format!(" ({} {what})", counted(damaged, "damaged record")),
    }
}
