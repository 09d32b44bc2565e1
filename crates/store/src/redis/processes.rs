//! Which processes use the server.

use std::time::Duration;

use ::redis::cmd;

use super::{RedisStore, listening::PROCESS_LIFE};
use crate::StoreUnavailable;

/// A process that uses the server, or did until a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// A random name, for as long as it runs.
    pub name: String,
    /// Its release.
    pub release: String,
    /// How long it is taken to run if nothing more is heard of it. More than before: it runs.
    pub life: Duration,
}

// === impl Process ===

impl Process {
    /// How long nothing was heard of it.
    pub const fn silent(&self) -> Duration {
        PROCESS_LIFE.saturating_sub(self.life)
    }
}

// === impl RedisStore ===

impl RedisStore {
    /// Says that this process goes, so that nobody takes it to run. Nothing is heard from here on.
    pub async fn say_goodbye(&self) {
        let Some(listening) = self.listening.get() else {
            return;
        };
        let left = async {
            let process = listening.stop();
            for shard in &self.link.map().await?.shards {
                if let Some(key) = shard.key_here(process) {
                    self.remove(key).await?;
                }
            }
            Ok::<(), StoreUnavailable>(())
        };
        if let Err(fault) = left.await {
            tracing::debug!(cause = %fault, "the server still takes this process to run for a while");
        }
    }

    /// The processes that use the server. One that was killed is among them for half a minute.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn processes(&self) -> Result<Vec<Process>, StoreUnavailable> {
        let prefix = self.keys.process_prefix();
        let mut processes: Vec<Process> = Vec::new();
        let mut from = None;
        loop {
            let (names, next) = self.scan_below(&prefix, from.as_ref()).await?;
            for key in names {
                let (mut get, mut life) = (cmd("GET"), cmd("PTTL"));
                let (release, life): (Option<String>, i64) =
                    tokio::try_join!(self.link.ask(get.arg(&key)), self.link.ask(life.arg(&key)))?;
                let (Some(release), Ok(life)) = (release, u64::try_from(life)) else {
                    continue;
                };
                let life = Duration::from_millis(life);
                let name = key.strip_prefix(&prefix).unwrap_or(&key);
                let name = name.trim_matches(['{', '}']);
                // In a cluster it beats at each master, under a name with more behind.
                let name = name.split_once('.').map_or(name, |(name, _)| name);
                match processes.iter_mut().find(|process| process.name == name) {
                    Some(process) => process.life = process.life.max(life),
                    None => processes.push(Process {
                        name: name.to_owned(),
                        release,
                        life,
                    }),
                }
            }
            from = next;
            if from.is_none() {
                return Ok(processes);
            }
        }
    }
}
