//! The one thread that writes: it commits what is queued, so that many waiters share a flush.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use domain::time::Clock;
use redb::Database;
use tokio::sync::oneshot;

use super::{
    patrol::Patrol,
    record::{Damage, Fault},
    tables::{SWEEP_STEP, Tables},
};
use crate::{Bounds, StoreUnavailable};

/// Most steps in one commit.
const BATCH: usize = 256;

/// How often expired records are looked for while nothing is written.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// What is left to do for a step once it is durable: answer.
type Answer = Box<dyn FnOnce() + Send>;
type Step = Box<dyn FnOnce(&mut Tables<'_>) -> Result<Answer, redb::Error> + Send>;

/// Hands steps to the writing thread; waits for its end when dropped.
pub(super) struct Writer {
    steps: Option<mpsc::Sender<Step>>,
    thread: Option<JoinHandle<()>>,
}

struct Loop {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    bounds: Bounds,
    steps: mpsc::Receiver<Step>,
    patrol: Patrol,
}

// === impl Writer ===

impl Writer {
    pub(super) fn start(
        path: &Path,
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        bounds: Bounds,
    ) -> io::Result<Self> {
        let (sender, steps) = mpsc::channel();
        let writing = Loop {
            patrol: Patrol::new(path, Arc::clone(&database)),
            database,
            clock,
            bounds,
            steps,
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writing.run())?;
        Ok(Self {
            steps: Some(sender),
            thread: Some(thread),
        })
    }

    /// Runs a step in the next commit and returns its result once that is durable. One that meets
    /// a damaged record has done nothing; the others of its commit go on.
    pub(super) async fn submit<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Result<T, Damage>, StoreUnavailable> {
        let (answer, answered) = oneshot::channel();
        let step: Step = Box::new(move |tables| {
            let result = match step(tables) {
                Ok(result) => Ok(result),
                Err(Fault::Damaged(damage)) => Err(damage),
                Err(Fault::Engine(error)) => return Err(error),
            };
            // An asker who has gone is no reason not to write.
            Ok(Box::new(move || drop(answer.send(result))) as Answer)
        });
        let queued = self
            .steps
            .as_ref()
            .is_some_and(|steps| steps.send(step).is_ok());
        if !queued {
            return Err(StoreUnavailable("the writing thread has ended".to_owned()));
        }
        // The thread drops the answer of a step whose commit failed, and logs why.
        answered
            .await
            .map_err(|_| StoreUnavailable("the write failed".to_owned()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.steps.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

// === impl Loop ===

impl Loop {
    fn run(mut self) {
        let mut more_expired = false;
        loop {
            let pause = if more_expired {
                Duration::ZERO
            } else {
                SWEEP_PAUSE
            };
            let mut batch = match self.steps.recv_timeout(pause) {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            batch.extend(self.steps.try_iter().take(BATCH));
            // The engine panics where pages of its file make no sense; the thread goes on, so that
            // what stands on sound pages is still written.
            let committed = panic::catch_unwind(AssertUnwindSafe(|| self.commit(batch)));
            let committed = committed.unwrap_or_else(|_| {
                let reason = "the file is damaged".to_owned();
                Err(Fault::Engine(redb::Error::Corrupted(reason)))
            });
            match committed {
                Ok(more) => more_expired = more,
                Err(error) => {
                    more_expired = false;
                    tracing::error!(
                        cause = %error,
                        "the store could not be written; requests that need it are answered 503"
                    );
                }
            }
            self.patrol.step();
        }
    }

    /// Runs the steps in one transaction and answers them; says whether more has expired.
    fn commit(&self, batch: Vec<Step>) -> Result<bool, Fault> {
        let mut transaction = self.database.begin_write()?;
        // Makes reopening after a kill a matter of milliseconds, however large the file.
        transaction.set_quick_repair(true);
        let mut answers = Vec::with_capacity(batch.len());
        let swept = {
            let mut tables = Tables::open(&transaction, self.bounds, self.clock.now())?;
            for step in batch {
                answers.push(step(&mut tables)?);
            }
            tables.sweep()?
        };
        if answers.is_empty() && swept == 0 {
            transaction.abort()?;
            return Ok(false);
        }
        transaction.commit()?;
        for answer in answers {
            answer();
        }
        Ok(swept == SWEEP_STEP)
    }
}
