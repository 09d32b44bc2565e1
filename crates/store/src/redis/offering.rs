//! Bringing back what a server has lost.
//!
//! Each new connection is asked which run of a server is at its other end, before anything else is
//! sent over it. Where it is another run than before (a restart, a failover), it may know less than
//! was answered. So what this process has written of late is offered to it: the higher version
//! wins, an end wins over all, and what is newer there stays.
//!
//! Other processes have other writes to offer, and notice the change a little later. For as long
//! nothing counts as absent, and nobody begins to refresh what somebody else may be refreshing.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Cmd, ErrorKind, Pipeline, RedisError, Script, ServerErrorKind, aio::MultiplexedConnection, cmd,
};
use tokio::{
    sync,
    time::{Instant, sleep},
};

use super::{
    Answer,
    key::Keys,
    millis,
    recent::{Named, OFFERED, Offer, Recent, Timed},
    scripts::{Scripts, code},
};
use crate::StoreUnavailable;

/// How long all processes may take to notice that a server is another one, and to offer what they
/// have written: the pause between two beats, the patience with one, and the way.
const SETTLING: Duration = Duration::from_secs(4);
/// How many offers are under way at once.
const TOGETHER: usize = 200;
/// Pause before a server that refuses writes is offered them again.
const PAUSE: Duration = Duration::from_secs(1);

/// The offers of one process, and which servers have had them.
pub(super) struct Offering {
    pub(super) recent: Recent,
    keys: Arc<Keys>,
    scripts: Arc<Scripts>,
    /// The run of each server. Locked while something is offered, so that nothing overtakes it.
    runs: sync::Mutex<HashMap<String, String>>,
    /// Servers that are offered again and again what they refuse.
    refusing: Mutex<HashSet<String>>,
    /// Servers that are met later are not those that were there at the start.
    has_begun: AtomicBool,
    /// Until when what is absent may still be brought back.
    doubtful_until: Mutex<Option<Instant>>,
}

/// What became of the offers.
#[derive(Default)]
struct Outcome {
    /// What the server did not have.
    taken: usize,
    offered: usize,
    /// Why it did not take some.
    refusal: Option<RedisError>,
}

// === impl Offering ===

impl Offering {
    pub(super) fn new(keys: Arc<Keys>, scripts: Arc<Scripts>) -> Self {
        Self {
            recent: Recent::new(),
            keys,
            scripts,
            runs: sync::Mutex::default(),
            refusing: Mutex::default(),
            has_begun: AtomicBool::new(false),
            doubtful_until: Mutex::default(),
        }
    }

    /// All servers have been met.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
    }

    /// What follows where a record is absent: nothing, as long as it may still be brought back.
    pub(super) fn absent(&self) -> Result<(), StoreUnavailable> {
        if self.is_settling() {
            return Err(StoreUnavailable(
                "its server was exchanged or restarted just now, and may still get back what it lost"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether other processes may still have something to bring back.
    pub(super) fn is_settling(&self) -> bool {
        let until = *self.doubtful_until();
        until.is_some_and(|until| Instant::now() < until) || !self.refusing().is_empty()
    }

    /// Looks who is at the other end of a new connection, before it is used.
    ///
    /// # Errors
    /// If the connection breaks, or the server is not ready.
    pub(super) async fn greet(
        self: &Arc<Self>,
        place: &str,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let run = run_of(connection).await?;
        let mut runs = self.runs.lock().await;
        if runs.get(place).is_some_and(|known| *known == run) {
            return Ok(());
        }
        if self.has_begun.load(Ordering::SeqCst) {
            // From now on, so that nobody is told that something is absent in the meantime.
            self.settle();
            let outcome = self.offer(connection).await?;
            self.settle();
            if let Some(refusal) = outcome.refusal {
                self.insist(place, run, connection.clone(), &refusal);
                return Ok(());
            }
            outcome.tell(place);
        }
        runs.insert(place.to_owned(), run);
        Ok(())
    }

    /// Offers again and again what a server refuses that takes no writes. Reads go on meanwhile.
    fn insist(
        self: &Arc<Self>,
        place: &str,
        run: String,
        mut connection: MultiplexedConnection,
        refusal: &RedisError,
    ) {
        if !self.refusing().insert(place.to_owned()) {
            return;
        }
        tracing::error!(
            cause = refusal.code().unwrap_or_default(),
            "the store at {place} may have lost the writes of the last seconds, and refuses to take \
             them back; they are offered again"
        );
        let (offering, place) = (Arc::clone(self), place.to_owned());
        tokio::spawn(async move {
            loop {
                sleep(PAUSE).await;
                match offering.offer(&mut connection).await {
                    Ok(outcome) if outcome.refusal.is_some() => {}
                    Ok(outcome) => {
                        outcome.tell(&place);
                        offering.runs.lock().await.insert(place.clone(), run);
                        break;
                    }
                    // The next connection is greeted anew.
                    Err(_) => break,
                }
            }
            offering.settle();
            offering.refusing().remove(&place);
        });
    }

    async fn offer(&self, connection: &mut MultiplexedConnection) -> Result<Outcome, RedisError> {
        let mut outcome = Outcome::default();
        let scripts = &self.scripts;
        for script in [
            &scripts.offer_grant,
            &scripts.offer_client,
            &scripts.offer_end,
            &scripts.index_grant,
            &scripts.share_keys,
        ] {
            script.load_async(connection).await?;
        }
        let offers = self.recent.offers();
        for some in offers.chunks(TOGETHER) {
            let pipeline = self.pipeline(some);
            if pipeline.is_empty() {
                continue;
            }
            let answers: Vec<Result<Answer, RedisError>> = pipeline.query_async(connection).await?;
            for answer in answers {
                outcome.count(answer)?;
            }
            if outcome.refusal.is_some() {
                break;
            }
        }
        Ok(outcome)
    }

    fn pipeline(&self, offers: &[Named]) -> Pipeline {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        for command in offers.iter().filter_map(|offer| self.command(offer)) {
            pipeline.add_command(command);
        }
        pipeline
    }

    /// `None` where what was written has expired.
    fn command(&self, offer: &Named) -> Option<Cmd> {
        match offer {
            Named::Grant(id, Offer::End { until }) => {
                let (keys, name) = (self.keys.ending(id), id.to_string());
                let channel = self.keys.channel();
                let life = millis(left(*until)?);
                let arguments = [&*life, channel.as_bytes(), name.as_bytes()];
                Some(call(&self.scripts.offer_end, &keys, &arguments))
            }
            Named::Grant(
                id,
                Offer::Grant {
                    grant,
                    identity,
                    device,
                },
            ) => {
                let timed = |timed: &Option<Timed>| {
                    let life = timed.as_ref().and_then(|timed| left(timed.until));
                    match (timed, life) {
                        (Some(timed), Some(life)) => (Arc::clone(&timed.value), millis(life)),
                        _ => (Arc::from([]), millis(Duration::ZERO)),
                    }
                };
                let ((grant, grant_life), (device, device_life)) = (timed(grant), timed(device));
                let identity = identity.as_deref().unwrap_or_default();
                let arguments = [&*grant, &*grant_life, identity, &*device, &*device_life];
                Some(call(
                    &self.scripts.offer_grant,
                    &self.keys.offered(id),
                    &arguments,
                ))
            }
            Named::Grant(..) => None,
            Named::SigningKeys(sealed) => {
                let name = [self.keys.signing_keys()];
                Some(call(&self.scripts.share_keys, &name, &[&**sealed, &[]]))
            }
            Named::Client(client, timed) => {
                let arguments = [&*timed.value, &*millis(left(timed.until)?)];
                let keys = [self.keys.client(client)];
                Some(call(&self.scripts.offer_client, &keys, &arguments))
            }
            Named::Holder(holder, grant, until) => {
                let (keys, name) = ([self.keys.holder(holder)], grant.to_string());
                let arguments = [name.as_bytes(), &*millis(left(*until)?)];
                Some(call(&self.scripts.index_grant, &keys, &arguments))
            }
        }
    }

    fn settle(&self) {
        *self.doubtful_until() = Some(Instant::now() + SETTLING);
    }

    fn doubtful_until(&self) -> MutexGuard<'_, Option<Instant>> {
        // Nobody panics with it, nor with the other.
        self.doubtful_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn refusing(&self) -> MutexGuard<'_, HashSet<String>> {
        self.refusing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Offering {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Offering")
            .field("is_settling", &self.is_settling())
            .finish_non_exhaustive()
    }
}

// === impl Outcome ===

impl Outcome {
    /// # Errors
    /// If the server is not ready, which passes.
    fn count(&mut self, answer: Result<Answer, RedisError>) -> Result<(), RedisError> {
        match answer {
            Ok((code, _, _)) => {
                self.offered += 1;
                self.taken += usize::from(code == code::TAKEN);
            }
            Err(failure) => match failure.kind() {
                // It lies with another server, which has it offered too.
                ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {}
                ErrorKind::Server(
                    ServerErrorKind::BusyLoading
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::TryAgain,
                ) => return Err(failure),
                _ if takes_no_writes(&failure) => self.refusal = Some(failure),
                _ => tracing::error!(
                    cause = failure.code().unwrap_or_default(),
                    "the store does not take back a record that it may have lost"
                ),
            },
        }
        Ok(())
    }

    fn tell(&self, place: &str) {
        let Self { taken, offered, .. } = self;
        tracing::warn!(
            "the store at {place} was restarted or exchanged; of the last writes of this process \
             ({offered}, of {} minutes at most) it had lost {taken}, and has them back",
            OFFERED.as_secs() / 60
        );
    }
}

/// Whether a server refuses all writes at present: its replicas are away, its memory is full, it
/// cannot write its files.
fn takes_no_writes(failure: &RedisError) -> bool {
    matches!(failure.code(), Some("NOREPLICAS" | "OOM" | "MISCONF"))
}

/// Which run of a server this is, and whose data it goes on from: that changes too where a replica
/// becomes master without a restart.
async fn run_of(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    let mut ask = cmd("INFO");
    ask.arg("server").arg("replication");
    let info: String = ask.query_async(connection).await?;
    let value = |name| info.lines().find_map(|line| line.strip_prefix(name));
    let (run, data) = (value("run_id:"), value("master_replid:"));
    Ok([run, data].map(Option::unwrap_or_default).join("/"))
}

fn call(script: &Script, keys: &[String], arguments: &[&[u8]]) -> Cmd {
    let mut command = cmd("EVALSHA");
    command
        .arg(script.get_hash())
        .arg(keys.len())
        .arg(keys)
        .arg(arguments);
    command
}

fn left(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(left)
}
