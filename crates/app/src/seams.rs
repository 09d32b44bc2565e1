//! What the rules get from outside of them: time, randomness, tasks, the end.

use std::sync::Arc;

use domain::{random::Random, time::Clock};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::SharedClock,
    system::{SystemClock, SystemRandom},
};

/// What reaches beyond a single request.
#[derive(Debug)]
pub(crate) struct Seams {
    pub(crate) clock: Arc<dyn Clock>,
    /// The same clock, which follows that of a store that others share.
    pub(crate) shared_clock: Arc<SharedClock>,
    pub(crate) random: Arc<dyn Random>,
    /// Work that no hang-up and no drain may cut: refreshes of identity tokens.
    pub(crate) tasks: TaskTracker,
    /// Ends event streams at a drain.
    pub(crate) closing: CancellationToken,
}

// === impl Seams ===

impl Seams {
    pub(crate) fn real() -> Self {
        let shared_clock = Arc::new(SharedClock::new(SystemClock::since_epoch));
        Self {
            clock: Arc::<SharedClock>::clone(&shared_clock),
            shared_clock,
            random: Arc::new(SystemRandom),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }
}
