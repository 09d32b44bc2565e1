//! Counting: in this process, and where other processes share the store, for all of them.
//!
//! What this process alone has let in is a lower bound of what all have. So it is asked first, which
//! keeps a flood from the store; then the store, which may take a moment but never holds a request up:
//! if it is slow or away, the count of this process decides.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{
    address::ClientNetwork,
    rate::{Budget, Rate, Standing},
};
use jose::signing::{KeyRing, SigningKeys};
use quick_cache::sync::Cache;
use store::{
    BudgetKey, Charged, Store, StoreUnavailable,
    seal::{MacKey, sha256},
};
use tokio::time::{Instant, timeout};

use super::WIDER;
use crate::per_keys::PerKeys;

/// Budgets remembered in this process. Beyond it those seldom seen are forgotten: who has so many
/// addresses could not be held back by counting them, and nobody else may suffer for it.
const MAX_BUDGETS: usize = 100_000;

/// How long a request waits for the shared count.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the store is left alone after it did not answer in time.
const REST: Duration = Duration::from_secs(5);

/// A budget that something is charged to.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// What askers are told that it is.
    policy: &'static str,
    /// What tells it from every other one.
    name: Vec<u8>,
    rate: Rate,
}

/// Counts what was charged to budgets.
pub(crate) struct Meter {
    here: Cache<[u8; 32], Arc<Mutex<Budget>>>,
    shared: Option<Shared>,
}

/// What all processes count together.
struct Shared {
    store: Arc<dyn Store>,
    issuer: String,
    keys: Arc<KeyRing>,
    hashing: PerKeys<Option<Arc<MacKey>>>,
    rests_until: Mutex<Option<Instant>>,
    patience: Duration,
}

// === impl Due ===

impl Due {
    /// A budget of one kind.
    pub(crate) fn new(policy: &'static str, kind: &str, name: &[u8], rate: Rate) -> Self {
        // The length in front keeps two pairs from being one text.
        let mut joined = vec![u8::try_from(kind.len()).unwrap_or(u8::MAX)];
        joined.extend(kind.as_bytes());
        joined.extend(name);
        Self {
            policy,
            name: joined,
            rate,
        }
    }

    /// The budgets of a network: its own and, so that many networks of one hand are no way round, a
    /// wider one of those around it.
    pub(crate) fn of_network(
        policy: &'static str,
        kind: &str,
        name: &[u8],
        network: ClientNetwork,
        rate: Rate,
    ) -> Vec<Self> {
        let joined = |bytes: &[u8]| [bytes, name].concat();
        let own = Self::new(policy, kind, &joined(&network.to_bytes()), rate);
        let site = network.site().map(|site| {
            let name = joined(site.to_string().as_bytes());
            Self::new("site", kind, &name, rate.times(WIDER))
        });
        std::iter::once(own).chain(site).collect()
    }

    fn standing(&self, debt: Duration) -> Standing {
        self.rate.standing(self.policy, debt)
    }
}

// === impl Meter ===

impl Meter {
    /// Nothing counted yet. Addresses are hashed under a key from ours before they are stored.
    pub(crate) fn new(store: &Arc<dyn Store>, keys: &Arc<KeyRing>, issuer: &str) -> Self {
        let shared = store.is_shared().then(|| Shared {
            store: Arc::clone(store),
            issuer: issuer.to_owned(),
            keys: Arc::clone(keys),
            hashing: PerKeys::default(),
            rests_until: Mutex::new(None),
            patience: PATIENCE,
        });
        Self::bounded(shared, MAX_BUDGETS)
    }

    /// Of a process that shares with nobody.
    #[cfg(test)]
    pub(crate) fn alone() -> Self {
        Self::bounded(None, MAX_BUDGETS)
    }

    fn bounded(shared: Option<Shared>, budgets: usize) -> Self {
        Self {
            here: Cache::new(budgets),
            shared,
        }
    }

    /// Charges one to all of these or to none; `now` is since any beginning that is the same for all
    /// charges of a kind. Returns how the asker stands where it is tightest.
    ///
    /// # Errors
    /// If one of them is used up: with how the asker stands there.
    pub(crate) async fn charge(&self, dues: &[Due], now: Duration) -> Result<Standing, Standing> {
        let standing = self.charge_here(dues, now)?;
        match self.charge_shared(dues).await {
            None => Ok(standing),
            Some(Ok(standing)) => Ok(standing),
            Some(Err(refused)) => {
                self.give_back_here(dues);
                Err(refused)
            }
        }
    }

    /// Takes a charge back.
    pub(crate) async fn give_back(&self, dues: &[Due]) {
        self.give_back_here(dues);
        self.give_back_shared(dues).await;
    }

    /// As [`Meter::charge`], for this process alone.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn charge_here(&self, dues: &[Due], now: Duration) -> Result<Standing, Standing> {
        let mut tightest = None;
        for (index, due) in dues.iter().enumerate() {
            let (outcome, debt) = self.with(due, |budget| {
                let outcome = budget.charge(due.rate, 1, now);
                (outcome, budget.debt(now))
            });
            let standing = due.standing(debt);
            if outcome.is_err() {
                self.give_back_here(dues.get(..index).unwrap_or_default());
                return Err(standing);
            }
            tightest = Some(tighter(tightest, standing));
        }
        Ok(tightest.unwrap_or(Standing::of_nothing("none", Duration::ZERO)))
    }

    /// Takes a charge of this process back.
    pub(crate) fn give_back_here(&self, dues: &[Due]) {
        for due in dues {
            self.with(due, |budget| budget.give_back(due.rate, 1));
        }
    }

    /// As [`Meter::charge`], for all processes together; `None` where there are no others, or the
    /// store does not answer in time.
    pub(crate) async fn charge_shared(&self, dues: &[Due]) -> Option<Result<Standing, Standing>> {
        let shared = self.shared.as_ref()?;
        shared.in_time(shared.charge(dues)).await
    }

    /// Whether one more could be charged for all processes together; charges nothing.
    ///
    /// # Errors
    /// If one of them is used up: with how the asker stands there.
    pub(crate) async fn look_shared(&self, dues: &[Due]) -> Result<(), Standing> {
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        shared.in_time(shared.look(dues)).await.unwrap_or(Ok(()))
    }

    /// Takes a charge of all processes back.
    pub(crate) async fn give_back_shared(&self, dues: &[Due]) {
        if let Some(shared) = &self.shared {
            // Where that fails somebody has a little less for a while.
            let _: Option<()> = shared.in_time(shared.give_back(dues)).await;
        }
    }

    fn with<T>(&self, due: &Due, act: impl FnOnce(&mut Budget) -> T) -> T {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let budget = match self.here.get_or_insert_with(&sha256(&due.name), fresh) {
            Ok(budget) => budget,
            Err(never) => match never {},
        };
        // Every state of a budget is a good one.
        act(&mut budget.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Meter")
    }
}

// === impl Shared ===

impl Shared {
    async fn charge(&self, dues: &[Due]) -> Result<Result<Standing, Standing>, StoreUnavailable> {
        let mut tightest = None;
        for (index, due) in dues.iter().enumerate() {
            let key = self.key(due)?;
            match self.store.charge_budget(&key, due.rate, 1).await? {
                Charged::LetIn { debt } => {
                    tightest = Some(tighter(tightest, due.standing(debt)));
                }
                Charged::Refused { debt } => {
                    self.give_back(dues.get(..index).unwrap_or_default())
                        .await?;
                    return Ok(Err(due.standing(debt)));
                }
                Charged::Alone => {}
            }
        }
        tightest
            .map(Ok)
            .ok_or_else(|| StoreUnavailable("it counts nothing".to_owned()))
    }

    async fn look(&self, dues: &[Due]) -> Result<Result<(), Standing>, StoreUnavailable> {
        for due in dues {
            let key = self.key(due)?;
            let (Charged::LetIn { debt } | Charged::Refused { debt }) =
                self.store.charge_budget(&key, due.rate, 0).await?
            else {
                continue;
            };
            if !due.rate.wait(debt, 1).is_zero() {
                return Ok(Err(due.standing(debt)));
            }
        }
        Ok(Ok(()))
    }

    async fn give_back(&self, dues: &[Due]) -> Result<(), StoreUnavailable> {
        for due in dues {
            let key = self.key(due)?;
            self.store.give_back_budget(&key, due.rate, 1).await?;
        }
        Ok(())
    }

    /// Waits a little, and where that was in vain not at all for a while.
    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreUnavailable>>,
    ) -> Option<T> {
        if self.rests() {
            return None;
        }
        let cause = match timeout(self.patience, asked).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(fault)) => fault.to_string(),
            Err(_) => format!("no answer within {:?}", self.patience),
        };
        *self.resting() = Some(Instant::now() + REST);
        tracing::debug!(%cause, "requests are counted by this process alone for {REST:?}");
        None
    }

    fn rests(&self) -> bool {
        self.resting().is_some_and(|until| Instant::now() < until)
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store knows it by: addresses and names could be guessed from a plain hash.
    fn key(&self, due: &Due) -> Result<BudgetKey, StoreUnavailable> {
        let hashing = self.hashing.of(&self.keys.current(), |keys: &SigningKeys| {
            let secret = keys.derived_secrets().next()?;
            let key = MacKey::derive(secret.expose(), b"", "budgets", &self.issuer);
            Some(Arc::new(key))
        });
        hashing
            .map(|hashing| hashing.mac(&due.name))
            .ok_or_else(|| StoreUnavailable("there is no signing key to hash with".to_owned()))
    }
}

/// The one in which less is left.
fn tighter(one: Option<Standing>, other: Standing) -> Standing {
    one.filter(|one| one.left <= other.left).unwrap_or(other)
}
