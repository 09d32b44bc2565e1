//! A store that several processes share: the model of one, behind connections that are slow, break,
//! and lose what they were asked or what was answered.

mod not_asked;

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::id::GrantId;
use store::{
    Ears, GrantStore, Lease, LeaseHolder, OperationId, Replaced, Settled, Store, StoreUnavailable,
    StoredGrant, model::Model,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    dice::Dice,
    scene::{Life, Scene},
};

#[derive(Debug)]
pub(super) struct SharedStore {
    scene: Arc<Scene>,
    inner: Mutex<Inner>,
    /// Percent of requests, and as many of answers, that are lost.
    faults: AtomicU64,
    /// Percent that take long.
    slow: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    model: Model,
    at: Duration,
    lines: Vec<Line>,
    /// The store as a replica has it that is a little behind; absent where it lacks more than
    /// rotations and leases.
    replica: Option<Model>,
}

/// On its way to who listens: when it arrives.
type Line = mpsc::UnboundedSender<(Instant, Sound)>;

#[derive(Debug)]
enum Sound {
    Ended(GrantId),
    Beat(Instant),
}

/// What one process has of the store.
pub(super) struct Connection {
    pub(super) store: Arc<SharedStore>,
    pub(super) process: usize,
    pub(super) life: Arc<Life>,
    pub(super) trouble: Arc<Trouble>,
    dice: Dice,
    /// By how many cuts it is cut off.
    cuts: AtomicU64,
    heard: Mutex<HashSet<GrantId>>,
}

/// When a process could last not reach the store, and since when.
#[derive(Debug, Default)]
pub(super) struct Trouble(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    last: Option<Instant>,
    /// What was lost by chance, not by a cut.
    last_loss: Option<Instant>,
    cut_off_since: Option<Instant>,
    /// The last cut that cost a lease.
    cut_off_until: Option<Instant>,
}

/// Who is cut off for so long may lose its lease to that: it lasts 4 s and is renewed each second.
const LEASE: Duration = Duration::from_millis(2900);
/// Pause between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// What takes longer than this may have cost a lease.
const LONG: Duration = Duration::from_millis(800);

// === impl SharedStore ===

impl SharedStore {
    pub(super) fn new(scene: Arc<Scene>) -> Self {
        let inner = Inner {
            model: Model::new(usize::MAX, usize::MAX),
            at: Duration::ZERO,
            lines: Vec::new(),
            replica: None,
        };
        Self {
            scene,
            inner: Mutex::new(inner),
            faults: AtomicU64::new(0),
            slow: AtomicU64::new(0),
        }
    }

    pub(super) fn connect(
        self: &Arc<Self>,
        process: usize,
        life: Arc<Life>,
        trouble: Arc<Trouble>,
    ) -> Connection {
        Connection {
            store: Arc::clone(self),
            process,
            life,
            trouble,
            dice: Dice::new(self.scene.seed, 100 + process as u64),
            cuts: AtomicU64::new(0),
            heard: Mutex::default(),
        }
    }

    pub(super) fn set_weather(&self, faults: u64, slow: u64) {
        self.faults.store(faults, Ordering::SeqCst);
        self.slow.store(slow, Ordering::SeqCst);
    }

    /// All who listen have to begin anew.
    pub(super) fn cut_lines(&self) {
        self.inner.lock().unwrap().lines.clear();
    }

    /// A replica has what there is now.
    pub(super) fn replicate(&self) {
        self.with(|inner| inner.replica = Some(inner.model.clone()));
    }

    /// The replica takes over; says whether there was one that lacks no more than rotations and
    /// leases.
    pub(super) fn fail_over(&self) -> bool {
        self.with(|inner| {
            let Some(replica) = inner.replica.take() else {
                return false;
            };
            inner.model = replica;
            true
        })
    }

    pub(super) fn look(&self, grant: &GrantId) -> Option<StoredGrant> {
        self.with(|inner| inner.model.load_grant(grant))
    }

    fn with<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().unwrap();
        let now = self.scene.elapsed();
        let passed = now.saturating_sub(inner.at);
        inner.at = now;
        inner.model.pass(passed);
        if let Some(replica) = &mut inner.replica {
            replica.pass(passed);
        }
        step(&mut inner)
    }
}

// === impl Connection ===

impl Connection {
    /// Cuts it off until [`Connection::mend`] is called as often.
    pub(super) fn cut(&self) {
        if self.cuts.fetch_add(1, Ordering::SeqCst) == 0 {
            self.trouble.note_cut(true);
        }
    }

    pub(super) fn mend(&self) {
        if self.cuts.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.trouble.note_cut(false);
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cuts.load(Ordering::SeqCst) > 0
    }

    /// Whether the end of a grant was announced here.
    pub(super) fn has_heard(&self, grant: &GrantId) -> bool {
        self.heard.lock().unwrap().contains(grant)
    }

    async fn ask<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> Result<T, StoreUnavailable> {
        self.life.go_on().await;
        let began = Instant::now();
        self.travel().await?;
        // Of what a process had sent when it was killed some arrives.
        if self.life.is_over() && self.dice.is_in(50) {
            self.life.go_on().await;
        }
        let answer = self.store.with(step);
        let back = self.travel().await;
        self.life.go_on().await;
        if began.elapsed() > LONG {
            self.trouble.note(true);
        }
        back.map(|()| answer)
    }

    async fn travel(&self) -> Result<(), StoreUnavailable> {
        let is_slow = self.dice.is_in(self.store.slow.load(Ordering::SeqCst));
        let longest = if is_slow { 1400 } else { 3 };
        sleep(self.dice.millis(0, longest)).await;
        let is_lost = self.dice.is_in(self.store.faults.load(Ordering::SeqCst));
        if !is_lost && !self.is_cut() {
            return Ok(());
        }
        if self.dice.is_in(10) {
            sleep(self.dice.millis(0, 3000)).await;
        }
        self.trouble.note(is_lost);
        Err(StoreUnavailable("lost on the way".to_owned()))
    }

    async fn listen_on(self: Arc<Self>, ears: Arc<dyn Ears>) {
        loop {
            while self.is_cut() && !self.life.is_over() {
                sleep(Duration::from_millis(500)).await;
            }
            let (line, mut sounds) = mpsc::unbounded_channel();
            self.store.inner.lock().unwrap().lines.push(line.clone());
            let sent = Instant::now();
            sleep(self.dice.millis(1, 20)).await;
            if self.life.is_over() {
                return;
            }
            ears.began();
            ears.confirmed(sent.into_std());
            let mut next_beat = sent + BEAT;
            // Only the store holds it on from here; its beats come behind what it announces.
            let beats = line.downgrade();
            drop(line);
            let mut last = sent;
            loop {
                match timeout_at(next_beat, sounds.recv()).await {
                    Ok(Some((arrives, sound))) => {
                        last = arrives.max(last);
                        sleep_until(last).await;
                        if self.life.is_over() {
                            return;
                        }
                        match sound {
                            Sound::Beat(sent) => ears.confirmed(sent.into_std()),
                            Sound::Ended(grant) => {
                                ears.ended(&grant);
                                self.heard.lock().unwrap().insert(grant);
                            }
                        }
                    }
                    Ok(None) => break,
                    Err(_) => {
                        next_beat += BEAT;
                        let now = Instant::now();
                        match beats.upgrade() {
                            Some(line) if !self.is_cut() => {
                                let arrives = now + self.dice.millis(0, 60);
                                drop(line.send((arrives, Sound::Beat(now))));
                            }
                            _ => break,
                        }
                    }
                }
            }
            // That nothing comes any more is noticed after a moment.
            sleep(self.dice.millis(0, 300)).await;
            if self.life.is_over() {
                return;
            }
            ears.interrupted(false);
            sleep(self.dice.millis(0, 5)).await;
            if !self.is_cut() {
                ears.interrupted(true);
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connection of p{}", self.process)
    }
}

/// The connection as the grants of a process hold it.
#[derive(Clone, Debug)]
pub(super) struct Connected(pub(super) Arc<Connection>);

impl Store for Connected {
    fn is_shared(&self) -> bool {
        true
    }
}

#[async_trait]
impl GrantStore for Connected {
    async fn open_grant(
        &self,
        grant: &GrantId,
        body: Vec<u8>,
        identity: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let asked = self.0.ask(|inner| {
            inner.replica = None;
            let model = &mut inner.model;
            model.open_grant(grant, body, identity, operation, ttl);
        });
        asked.await
    }

    async fn load_grant(&self, grant: &GrantId) -> Result<Option<StoredGrant>, StoreUnavailable> {
        self.0.ask(|inner| inner.model.load_grant(grant)).await
    }

    async fn replace_grant(
        &self,
        grant: &GrantId,
        expected: u64,
        body: Vec<u8>,
        operation: OperationId,
        ttl: Duration,
    ) -> Result<Replaced, StoreUnavailable> {
        let asked = self.0.ask(|inner| {
            let model = &mut inner.model;
            model.replace_grant(grant, expected, body, operation, ttl)
        });
        asked.await
    }

    async fn settle_identity(
        &self,
        grant: &GrantId,
        expected: u64,
        sealed: Vec<u8>,
    ) -> Result<Settled, StoreUnavailable> {
        let asked = self.0.ask(|inner| {
            inner.replica = None;
            inner.model.settle_identity(grant, expected, sealed)
        });
        asked.await
    }

    async fn lease_refresh(
        &self,
        grant: &GrantId,
        expected: u64,
        holder: &LeaseHolder,
        life: Duration,
    ) -> Result<Lease, StoreUnavailable> {
        let asked = self
            .0
            .ask(|inner| inner.model.lease_refresh(grant, expected, holder, life));
        asked.await
    }

    async fn release_refresh(
        &self,
        grant: &GrantId,
        holder: &LeaseHolder,
    ) -> Result<(), StoreUnavailable> {
        let asked = self
            .0
            .ask(|inner| inner.model.release_refresh(grant, holder));
        asked.await
    }

    fn listen(&self, ears: Arc<dyn Ears>) {
        let connection = Arc::clone(&self.0);
        #[expect(
            clippy::let_underscore_future,
            reason = "it lives as long as the schedule"
        )]
        let _ = tokio::spawn(connection.listen_on(ears));
    }

    async fn end_grant(
        &self,
        grant: &GrantId,
        tombstone_ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        let connection = &self.0;
        let asked = connection.ask(|inner| {
            inner.replica = None;
            let is_live = matches!(
                inner.model.load_grant(grant),
                Some(StoredGrant::Live { .. })
            );
            inner.model.end_grant(grant, tombstone_ttl);
            for line in &inner.lines {
                let arrives = Instant::now() + connection.dice.millis(0, 40);
                drop(line.send((arrives, Sound::Ended(*grant))));
            }
            if is_live {
                connection.store.scene.ended(grant, connection.process);
            }
        });
        asked.await
    }

    async fn index_grant(
        &self,
        holder: &[u8; 32],
        grant: &GrantId,
        ttl: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.0
            .ask(|inner| inner.model.index_grant(holder, grant, ttl))
            .await
    }

    async fn grants_of(&self, holder: &[u8; 32]) -> Result<Vec<GrantId>, StoreUnavailable> {
        self.0.ask(|inner| inner.model.grants_of(holder)).await
    }
}

// === impl Trouble ===

impl Trouble {
    fn note(&self, is_by_chance: bool) {
        let mut times = self.0.lock().unwrap();
        times.last = Some(Instant::now());
        if is_by_chance {
            times.last_loss = times.last;
        }
    }

    fn note_cut(&self, is_cut: bool) {
        let mut times = self.0.lock().unwrap();
        times.last = Some(Instant::now());
        let was_long = times
            .cut_off_since
            .is_some_and(|since| since.elapsed() >= LEASE);
        if was_long && !is_cut {
            times.cut_off_until = Some(Instant::now());
        }
        times.cut_off_since = is_cut.then(Instant::now);
    }

    /// So lately that a lease may be lost to it.
    pub(super) fn is_lately(&self) -> bool {
        let times = self.0.lock().unwrap();
        is_within(times.last, Duration::from_secs(9)) || times.cut_off_since.is_some()
    }

    /// Whether who holds a lease may have lost it to somebody who is well off: it is cut off, or was
    /// until a moment ago, when the other was not any more; or what it sends is lost again and again.
    pub(super) fn hinders(&self, other: &Self) -> bool {
        let (until, now) = (other.0.lock().unwrap().cut_off_until, Instant::now());
        let times = self.0.lock().unwrap();
        let is_cut_off = times
            .cut_off_since
            .is_some_and(|since| since.elapsed() >= LEASE);
        let was_cut_off = times.cut_off_until.is_some_and(|mended| {
            let is_alone = until.is_none_or(|until| until + Duration::from_secs(2) < mended);
            is_alone && mended + Duration::from_secs(1) > now
        });
        is_cut_off || was_cut_off || is_within(times.last_loss, Duration::from_secs(4))
    }
}

fn is_within(time: Option<Instant>, bound: Duration) -> bool {
    time.is_some_and(|time| time.elapsed() < bound)
}
