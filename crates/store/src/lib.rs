//! What is remembered: the [`Store`] trait, named by intent, the seal, and two engines: one file for
//! one machine, a Redis or Valkey for several.
//!
//! The rules live in Rust above this crate and are the same for every engine; an engine only
//! compares and sets on a version. Values are opaque bytes that callers have sealed or hashed
//! where they must be.

pub mod embedded;
pub mod predecessor;
pub mod records;
pub mod redis;
pub mod seal;

#[cfg(feature = "testing")]
pub mod testing;

mod budgets;
mod clients;
#[cfg(test)]
mod contract;
mod devices;
mod grants;
mod imported;
mod interactions;
#[cfg(any(test, feature = "testing"))]
pub mod model;
mod stored;

pub use budgets::{BudgetKey, BudgetStore, Charged};
pub use clients::ClientStore;
pub use devices::DeviceStore;
pub use grants::{Ears, GrantStore, LeaseHolder};
pub use imported::{ImportedName, ImportedStore};
pub use interactions::InteractionStore;
pub use stored::{
    DeviceApproval, DeviceReplaced, Lease, Replaced, Settled, StoredDevice, StoredGrant,
    StoredIdentity,
};

/// The store did not answer, or not in time. A passing fault: nobody's session may end for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store is not available: {0}")]
pub struct StoreUnavailable(pub String);

/// Names one write, so that a write that was sent twice is recognised as the same.
pub type OperationId = [u8; 8];

/// How many records of each kind that strangers can make are kept; the oldest go first.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Registrations that never led to a login.
    unused_clients: u64,
    /// Anybody can begin one, each lives an hour, and one may be 30 KB large. Honest people do not
    /// begin so many in an hour.
    interactions: u64,
}

// === impl Bounds ===

impl Bounds {
    const DEFAULT: Self = Self {
        unused_clients: 100_000,
        interactions: 20_000,
    };
}

/// What the proxy remembers. Every method is one atomic step; absent is `Ok(None)`; what has
/// expired is absent. A write that was answered is durable.
pub trait Store:
    ClientStore + InteractionStore + GrantStore + DeviceStore + BudgetStore + ImportedStore
{
    /// Whether other processes write to this store too.
    fn is_shared(&self) -> bool;
}
