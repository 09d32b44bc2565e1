//! Hearing of grants that end, on a connection of its own.
//!
//! The server answers commands of a connection behind everything it has announced there before.
//! So the reply to a beat confirms that all announcements until the beat was sent have been heard.

use std::{sync::Arc, time::Duration};

use ::redis::{PushInfo, PushKind, Value, cmd};
use domain::id::GrantId;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{link::Link, set};
use crate::Ears;

/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// How long a beat may be unanswered. With the pause less than what ears take for certain.
const BEAT_PATIENCE: Duration = Duration::from_millis(1500);
/// How long a process is taken to run after its last beat.
const PROCESS_LIFE: Duration = Duration::from_secs(30);
/// Pause before the server is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// A task that listens; it ends with this value.
#[derive(Debug)]
pub(super) struct Listening {
    task: JoinHandle<()>,
    process: String,
}

/// What it listens to, and how it beats.
pub(super) struct Listener {
    pub(super) link: Arc<Link>,
    pub(super) channel: String,
    pub(super) process: String,
    pub(super) ears: Arc<dyn Ears>,
}

// === impl Listening ===

impl Listening {
    pub(super) fn start(listener: Listener) -> Self {
        Self {
            process: listener.process.clone(),
            task: tokio::spawn(listener.run()),
        }
    }

    /// Ends it; returns the name under which it beat.
    pub(super) fn stop(&self) -> &str {
        self.task.abort();
        &self.process
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Listener ===

impl Listener {
    async fn run(self) {
        let mut was_interrupted = false;
        loop {
            let cause = self.listen(&mut was_interrupted).await;
            // At once, so that no call waits for a store that may be away.
            self.ears.interrupted(false);
            let is_reached = self.link.ask::<()>(&cmd("PING")).await.is_ok();
            if is_reached {
                self.ears.interrupted(true);
            }
            if !was_interrupted {
                was_interrupted = true;
                if is_reached {
                    tracing::warn!(
                        %cause,
                        "nothing is heard of sessions that end; they are looked up again every few \
                         seconds"
                    );
                } else {
                    tracing::warn!(
                        %cause,
                        "the store is away; sessions in memory go on for a while"
                    );
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Listens until that is interrupted; returns by what.
    async fn listen(&self, was_interrupted: &mut bool) -> String {
        let broken = Arc::new(Notify::new());
        let (ears, breaks) = (Arc::clone(&self.ears), Arc::clone(&broken));
        let connected = self.link.listen(move |push| hear(&push, &*ears, &breaks));
        let mut connection = match connected.await {
            Ok(connection) => connection,
            Err(error) => return self.link.describe(&error),
        };
        if let Err(error) = connection.subscribe(&self.channel).await {
            return self.link.describe(&error);
        }
        let beat = set(
            &self.process,
            env!("CARGO_PKG_VERSION").as_bytes(),
            PROCESS_LIFE,
        );
        let mut is_first = true;
        loop {
            let sent = Instant::now();
            match timeout(BEAT_PATIENCE, beat.query_async::<()>(&mut connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return self.link.describe(&error),
                Err(_) => return "it does not answer".to_owned(),
            }
            if is_first {
                is_first = false;
                self.ears.began();
                if *was_interrupted {
                    *was_interrupted = false;
                    tracing::info!("the store is back");
                }
            }
            self.ears.confirmed(sent.into_std());
            tokio::select! {
                () = sleep(BEAT) => {}
                () = broken.notified() => return "the connection broke".to_owned(),
            }
        }
    }
}

fn hear(push: &PushInfo, ears: &dyn Ears, broken: &Notify) {
    match (&push.kind, push.data.as_slice()) {
        (PushKind::Disconnection, _) => broken.notify_one(),
        (PushKind::Message, [_, Value::BulkString(name)]) => {
            let grant = std::str::from_utf8(name).ok().and_then(GrantId::parse);
            if let Some(grant) = grant {
                ears.ended(&grant);
            }
        }
        _ => {}
    }
}
