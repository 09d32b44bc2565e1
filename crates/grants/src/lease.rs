//! One refresh of an identity session at a time over all processes: the lease that a refresh holds
//! while it asks the provider.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use store::{Lease, LeaseHolder};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    audit::EndReason,
    heart::Heart,
    identity::IdentitySession,
    live::Live,
    refresh::{Landing, adopt},
};

/// The right to refresh one version.
#[derive(Debug)]
pub(crate) struct HeldLease {
    holder: LeaseHolder,
    /// By then every try of another, of which the outcome is not known, has come to its end.
    pub(crate) others_are_over: Instant,
    /// Until then nobody else gets it.
    until: Mutex<Instant>,
}

/// How long a lease lasts without a sign of its holder.
const LIFE: Duration = Duration::from_secs(4);
const RENEWAL: Duration = Duration::from_secs(1);
/// After an absence of the store, whoever has an answer that could not be stored has stored it by
/// then, and whoever waits for one has taken back its lease.
const CATCHING_UP: Duration = Duration::from_millis(2500);
/// How often a lease is given back for that: a store that is there, but tells nothing, may stay so.
const GIVEN_BACK: u32 = 2;
/// A lease that was on its way for so long is asked for again: nobody may hold it by the time the
/// provider is asked.
const LATE: Duration = Duration::from_secs(3);
/// How long one question to a provider may take, with some slack.
const LONGEST_TRY: Duration = Duration::from_secs(15);
/// Pauses of who waits for another's refresh.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

impl Heart {
    /// Takes the lease of the version held. A landing where there is nothing to refresh (any more),
    /// or no telling.
    pub(crate) async fn take_lease(
        &self,
        live: &Live,
        held: &IdentitySession,
    ) -> Result<HeldLease, Landing> {
        let holder: LeaseHolder = self.random.bytes();
        let give_up = Instant::now() + self.pace.refresh;
        let mut pause = FIRST_PAUSE;
        let mut given_back = 0;
        loop {
            self.let_others_catch_up(give_up).await;
            let patience = self.patience();
            let sent = Instant::now();
            let asked = patience
                .call(|| {
                    self.store
                        .lease_refresh(&live.id, held.version, &holder, LIFE)
                })
                .await;
            match asked {
                // The answer was long on its way: the lease may be over soon.
                Ok(Lease::Taken { .. }) if sent.elapsed() >= LATE => {
                    if Instant::now() >= give_up {
                        return Err(Landing::Failed("the store is too slow".to_owned()));
                    }
                }
                // It was taken right after an absence: whoever had it before takes it back.
                Ok(Lease::Taken { .. })
                    if self.registry.heard_for() < CATCHING_UP && given_back < GIVEN_BACK =>
                {
                    given_back += 1;
                    let released = self.store.release_refresh(&live.id, &holder).await;
                    if let Err(error) = released {
                        tracing::debug!(grant.id = %live.id, cause = %error, "a lease was not given back");
                    }
                }
                Ok(Lease::Taken { earlier }) => {
                    let left =
                        earlier.map_or(Duration::ZERO, |ago| LONGEST_TRY.saturating_sub(ago));
                    return Ok(HeldLease {
                        holder,
                        others_are_over: Instant::now() + left,
                        until: Mutex::new(sent + LIFE),
                    });
                }
                Ok(Lease::Busy) => {
                    if Instant::now() + pause >= give_up {
                        let reason = "another process is refreshing it".to_owned();
                        return Err(Landing::Failed(reason));
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Ok(Lease::Newer(stored)) => return Err(adopt(self, live, &stored)),
                Ok(Lease::Ended) => {
                    drop(self.registry.end(&live.id, EndReason::Elsewhere));
                    live.end(EndReason::Elsewhere);
                    return Err(Landing::Ended);
                }
                // Without the store there is no telling who else refreshes.
                Err(error) => return Err(Landing::Failed(error.to_string())),
            }
        }
    }

    /// Waits until the store was there without a break for a while: after an absence, or with a
    /// replica that took over, leases are lost that their holders take back at their next renewal.
    async fn let_others_catch_up(&self, give_up: Instant) {
        loop {
            let left = CATCHING_UP.saturating_sub(self.registry.heard_for());
            if left.is_zero() || Instant::now() + left > give_up {
                return;
            }
            sleep(left).await;
            // Where it is still away the next step says so.
            if self.registry.heard_for().is_zero() {
                return;
            }
        }
    }

    /// Keeps a lease until this is dropped. Losing it ends no question that is under way (the version
    /// decides), but no further one is asked.
    pub(crate) async fn keep_lease(
        &self,
        live: &Live,
        held: &IdentitySession,
        lease: &HeldLease,
    ) -> Landing {
        loop {
            sleep(RENEWAL).await;
            let sent = Instant::now();
            let renewed = self
                .store
                .lease_refresh(&live.id, held.version, &lease.holder, LIFE);
            // One that hangs must not cost the next ones.
            match timeout(RENEWAL, renewed).await {
                Ok(Ok(Lease::Taken { .. })) => *lease.until() = sent + LIFE,
                Ok(Ok(Lease::Busy | Lease::Newer(_) | Lease::Ended)) => *lease.until() = sent,
                Ok(Err(error)) => {
                    tracing::debug!(grant.id = %live.id, cause = %error, "a lease was not renewed");
                }
                Err(_) => {
                    tracing::debug!(grant.id = %live.id, "the renewal of a lease was not answered");
                }
            }
        }
    }

    /// Lets the next one try, after a failure; if that fails, the lease ends by itself.
    pub(crate) async fn release_lease(&self, live: &Live, lease: &HeldLease) {
        let released = self.store.release_refresh(&live.id, &lease.holder).await;
        if let Err(error) = released {
            tracing::debug!(grant.id = %live.id, cause = %error, "a lease was not given back");
        }
    }
}

// === impl HeldLease ===

impl HeldLease {
    /// Whether nobody else can have it yet.
    pub(crate) fn is_held(&self) -> bool {
        Instant::now() < *self.until()
    }

    fn until(&self) -> MutexGuard<'_, Instant> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
