//! What all parts of a schedule share: its time, what happened so far, and what must not have.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{
    id::GrantId,
    time::{Clock, Timestamp},
};
use tokio::{sync::Notify, time::Instant};

/// One per schedule.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) seed: u64,
    began: Instant,
    /// Seconds by which all clocks were put forward, beside the time that passes.
    skipped: AtomicU64,
    history: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
    truths: Mutex<HashMap<GrantId, Truth>>,
    pub(super) counts: Counts,
}

/// What a schedule has exercised.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) rotations: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) refreshes: AtomicU64,
    pub(super) kills: AtomicU64,
    pub(super) ends: AtomicU64,
}

/// What is known of a grant from outside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Truth {
    pub(super) user: usize,
    /// Why it may end from now on.
    pub(super) may_end: Option<&'static str>,
    /// When the store ended it.
    pub(super) ended: Option<Instant>,
}

/// A process lives until it is killed, and does nothing from then on.
#[derive(Debug, Default)]
pub(super) struct Life {
    is_over: AtomicBool,
    killed: Notify,
}

/// The clock of one process.
#[derive(Debug)]
pub(super) struct SceneClock {
    pub(super) scene: Arc<Scene>,
    /// By how many seconds it is ahead of the slowest.
    pub(super) ahead: u64,
}

// === impl Scene ===

impl Scene {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            began: Instant::now(),
            skipped: AtomicU64::new(0),
            history: Mutex::default(),
            violations: Mutex::default(),
            truths: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed() + Duration::from_secs(self.skipped.load(Ordering::SeqCst))
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_unix(1_800_000_000).plus(self.elapsed())
    }

    pub(super) fn skip(&self, seconds: u64) {
        self.skipped.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) fn note(&self, event: &str) {
        let at = self.elapsed().as_millis();
        self.history
            .lock()
            .unwrap()
            .push(format!("{at:>9} {event}"));
    }

    /// What must never be.
    pub(super) fn violated(&self, what: &str) {
        self.note(&format!("VIOLATED: {what}"));
        self.violations.lock().unwrap().push(what.to_owned());
    }

    /// Fails with the seed and all that happened, if something must not have.
    pub(super) fn judge(&self) {
        let violations = self.violations.lock().unwrap();
        assert!(
            violations.is_empty(),
            "GRANTS_SEED={}\n{}\n{}",
            self.seed,
            self.history.lock().unwrap().join("\n"),
            violations.join("\n")
        );
    }

    pub(super) fn is_violated(&self) -> bool {
        !self.violations.lock().unwrap().is_empty()
    }

    pub(super) fn truth(&self, grant: &GrantId) -> Truth {
        let truths = self.truths.lock().unwrap();
        truths.get(grant).copied().unwrap_or_default()
    }

    pub(super) fn change(&self, grant: &GrantId, change: impl FnOnce(&mut Truth)) {
        change(self.truths.lock().unwrap().entry(*grant).or_default());
    }

    pub(super) fn all_of(&self, user: usize, reason: &'static str) {
        let mut truths = self.truths.lock().unwrap();
        for truth in truths.values_mut().filter(|truth| truth.user == user) {
            truth.may_end.get_or_insert(reason);
        }
    }

    /// A grant is ended in the store.
    pub(super) fn ended(&self, grant: &GrantId, process: usize) {
        let truth = self.truth(grant);
        self.note(&format!("p{process} ends {grant}: {:?}", truth.may_end));
        self.counts.ends.fetch_add(1, Ordering::SeqCst);
        if truth.may_end.is_none() {
            self.violated(&format!("p{process} ended {grant} without a reason"));
        }
        self.change(grant, |truth| truth.ended = Some(Instant::now()));
    }
}

// === impl Life ===

impl Life {
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.killed.notify_waiters();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Goes no further in a process that was killed.
    pub(super) async fn go_on(&self) {
        if self.is_over() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn over(&self) {
        let killed = self.killed.notified();
        if !self.is_over() {
            killed.await;
        }
    }
}

// === impl SceneClock ===

impl Clock for SceneClock {
    fn now(&self) -> Timestamp {
        self.scene.now().plus(Duration::from_secs(self.ahead))
    }
}
