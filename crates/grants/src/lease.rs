//! One refresh of an identity session at a time over all processes: the lease that a refresh holds
//! while it asks the provider.

use std::time::Duration;

use store::{Lease, LeaseHolder};
use tokio::time::{Instant, sleep};

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
}

/// How long a lease lasts without a sign of its holder.
const LIFE: Duration = Duration::from_secs(4);
const RENEWAL: Duration = Duration::from_secs(1);
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
        loop {
            let patience = self.patience();
            let asked = patience
                .call(|| {
                    self.store
                        .lease_refresh(&live.id, held.version, &holder, LIFE)
                })
                .await;
            match asked {
                Ok(Lease::Taken { earlier }) => {
                    let left =
                        earlier.map_or(Duration::ZERO, |ago| LONGEST_TRY.saturating_sub(ago));
                    return Ok(HeldLease {
                        holder,
                        others_are_over: Instant::now() + left,
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

    /// Keeps a lease until this is dropped. Losing it ends no refresh: the version decides.
    pub(crate) async fn keep_lease(
        &self,
        live: &Live,
        held: &IdentitySession,
        lease: &HeldLease,
    ) -> Landing {
        loop {
            sleep(RENEWAL).await;
            let renewed = self
                .store
                .lease_refresh(&live.id, held.version, &lease.holder, LIFE);
            if let Err(error) = renewed.await {
                tracing::debug!(grant.id = %live.id, cause = %error, "a lease was not renewed");
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
