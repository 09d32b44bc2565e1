//! What machines that share a store keep in step while they run: the time, and the signing keys that
//! one of them, or a command, has exchanged.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use domain::secret::SecretString;
use store::{StoreUnavailable, redis::RedisStore};
use tokio::time::sleep;

use crate::{
    clock::{Compared, SharedClock},
    config::Config,
    shared_keys::Seals,
    signing_keys::KeyKeeper,
};

/// How long it takes at most until a running proxy has taken a change up. Much less than the time
/// for which a new key is published before it signs.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// Keeps this process in step with the others.
#[derive(Debug)]
pub(crate) struct InStep {
    store: Arc<RedisStore>,
    clock: Arc<SharedClock>,
    /// Where the keys are shared, and not configured.
    keys: Option<KnownKeys>,
}

/// The shared keys as this process knows them.
#[derive(Debug)]
struct KnownKeys {
    seals: Seals,
    keeper: Arc<KeyKeeper>,
    present: SecretString,
    /// What was read the last time.
    seen: Option<Vec<u8>>,
}

// === impl InStep ===

impl InStep {
    /// Follows the time only.
    pub(crate) const fn of_time(store: Arc<RedisStore>, clock: Arc<SharedClock>) -> Self {
        Self {
            store,
            clock,
            keys: None,
        }
    }

    /// Follows the keys too, which are these for now.
    #[must_use]
    pub(crate) fn with_keys(
        self,
        config: &Config,
        keeper: &Arc<KeyKeeper>,
        present: SecretString,
    ) -> Self {
        Self {
            keys: Some(KnownKeys {
                seals: Seals::of(config),
                keeper: Arc::clone(keeper),
                present,
                seen: None,
            }),
            ..self
        }
    }

    /// Looks again and again, for ever.
    pub(crate) async fn keep(mut self) {
        loop {
            if let Err(cause) = self.look().await {
                tracing::debug!(%cause, "neither time nor signing keys could be looked at");
            }
            sleep(EVERY).await;
        }
    }

    async fn look(&mut self) -> Result<(), StoreUnavailable> {
        compare(&self.store, &self.clock).await?.tell();
        if let Some(keys) = &mut self.keys {
            let stored = self.store.shared_keys().await?;
            if stored.is_some() && stored != keys.seen {
                keys.seen = stored;
                keys.take_up();
            }
        }
        Ok(())
    }
}

// === impl KnownKeys ===

impl KnownKeys {
    fn take_up(&mut self) {
        let Some(keys) = self
            .seen
            .as_deref()
            .and_then(|sealed| self.seals.open(sealed))
        else {
            tracing::warn!(
                "the shared signing keys were sealed anew, and IDENTITY_CLIENT_SECRET does not open \
                 them: this proxy goes on with those it has; let all machines run with one secret"
            );
            return;
        };
        if keys == self.present {
            return;
        }
        match self.keeper.take_over(&keys) {
            Ok(()) => {
                self.present = keys;
                tracing::info!("took up signing keys that were exchanged elsewhere");
            }
            Err(error) => tracing::error!("the shared signing keys cannot be used: {error:#}"),
        }
    }
}

/// Lets a clock learn what the store's shows.
///
/// # Errors
/// If the store is away.
pub(crate) async fn compare(
    store: &RedisStore,
    clock: &SharedClock,
) -> Result<Compared, StoreUnavailable> {
    let sent = clock.here();
    let theirs = store.server_time().await?;
    Ok(clock.compare(sent, Duration::from_millis(theirs), clock.here()))
}
