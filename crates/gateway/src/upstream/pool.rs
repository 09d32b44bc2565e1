//! Idle connections to one MCP server.

use std::{
    sync::{Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Link;

/// How long a connection is kept without use.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// How often those that were idle too long are looked for.
const REAP_EVERY: Duration = Duration::from_secs(15);
/// Most connections kept without use.
const MAX_IDLE: usize = 256;
/// How long a connection may take to come to rest after its answer; it is a matter of its task
/// being polled once.
const REST_WITHIN: Duration = Duration::from_millis(50);

/// Idle connections, the last one used at the end.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Idle>,
    is_closed: bool,
}

#[derive(Debug)]
struct Idle {
    link: Link,
    since: Instant,
}

impl Pool {
    /// A connection that can be used at once. The last one used comes first, so that those that
    /// a burst left behind grow old.
    pub(super) async fn take(&self) -> Option<Link> {
        loop {
            let mut link = self.pop()?;
            if link.sender.is_ready() {
                return Some(link);
            }
            if let Ok(Ok(())) = timeout(REST_WITHIN, link.sender.ready()).await {
                return Some(link);
            }
        }
    }

    pub(super) fn put(&self, link: Link) {
        let mut state = self.lock();
        if !state.is_closed && state.idle.len() < MAX_IDLE && !link.sender.is_closed() {
            state.idle.push(Idle {
                link,
                since: Instant::now(),
            });
        }
    }

    /// Prefers one that is at rest over one whose task has still to be polled.
    fn pop(&self) -> Option<Link> {
        let mut state = self.lock();
        state.idle.retain(|idle| !idle.link.sender.is_closed());
        let at_rest = state
            .idle
            .iter()
            .rposition(|idle| idle.link.sender.is_ready());
        let index = at_rest.or(state.idle.len().checked_sub(1))?;
        Some(state.idle.remove(index).link)
    }

    fn drop_old(&self) {
        let mut state = self.lock();
        state.idle.retain(|idle| idle.since.elapsed() < IDLE_FOR);
    }

    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.idle.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops connections that were idle too long, and at a drain all that are idle.
pub(super) async fn reap(pool: Weak<Pool>, closing: CancellationToken) {
    loop {
        tokio::select! {
            () = closing.cancelled() => break,
            () = sleep(REAP_EVERY) => {}
        }
        match pool.upgrade() {
            Some(pool) => pool.drop_old(),
            None => return,
        }
    }
    if let Some(pool) = pool.upgrade() {
        pool.close();
    }
}
