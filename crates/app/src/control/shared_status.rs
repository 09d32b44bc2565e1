//! What a store that machines share tells of them.

use std::fmt::Write as _;

use serde::Serialize;
use store::{records::Records as _, redis::RedisStore};

use super::span;

/// Which proxies share a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SharedStatus {
    /// The store, without its password.
    store: String,
    /// The proxies, by name.
    processes: Vec<ListedProcess>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ListedProcess {
    /// A random name, for as long as it runs.
    name: String,
    /// Its release.
    version: String,
    /// How long nothing was heard of it. Running ones are heard of every two seconds; one that was
    /// killed is listed for half a minute.
    silent_seconds: u64,
}

// === impl SharedStatus ===

impl SharedStatus {
    /// Asks the store.
    ///
    /// # Errors
    /// If it is away.
    pub(crate) async fn ask(store: &RedisStore) -> anyhow::Result<Self> {
        let mut processes: Vec<ListedProcess> = store
            .processes()
            .await?
            .into_iter()
            .map(|process| ListedProcess {
                silent_seconds: process.silent().as_secs(),
                name: process.name,
                version: process.release,
            })
            .collect();
        processes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            store: store.place(),
            processes,
        })
    }

    /// For people.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("store    {}\n", self.store);
        // Writing to a `String` does not fail.
        if self.processes.is_empty() {
            text.push_str("no proxy uses it\n");
            return text;
        }
        let width = self.processes.iter().map(|process| process.name.len());
        let width = width.max().unwrap_or_default().max("PROCESS".len());
        _ = writeln!(text, "{:width$}  VERSION   LAST HEARD OF", "PROCESS");
        for process in &self.processes {
            let (name, version) = (&process.name, &process.version);
            let silent = span(std::time::Duration::from_secs(process.silent_seconds));
            _ = writeln!(text, "{name:width$}  {version:8}  {silent} ago");
        }
        text
    }
}
