//! Budgets that all machines share: how much somebody has used up lately.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::rate::Rate;

use crate::StoreUnavailable;

/// Names a budget: a keyed hash, or what is random and public.
pub type BudgetKey = [u8; 16];

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// It was let in.
    LetIn {
        /// What is owed now, the charge included.
        debt: Duration,
    },
    /// It was more than was left, and is not counted.
    Refused {
        /// What is owed.
        debt: Duration,
    },
    /// No other process uses this store: who asks counts for itself.
    Alone,
}

/// Counts for all who share a store, by the store's clock. A budget that was used up by half is
/// forgotten when it is whole again.
///
/// The defaults are those of a store that one process holds.
#[async_trait]
pub trait BudgetStore: Send + Sync + fmt::Debug {
    /// Charges so many to a budget; none at all is a look.
    async fn charge_budget(
        &self,
        budget: &BudgetKey,
        rate: Rate,
        units: u32,
    ) -> Result<Charged, StoreUnavailable> {
        let _ = (budget, rate, units);
        Ok(Charged::Alone)
    }

    /// Takes a charge back.
    async fn give_back_budget(
        &self,
        budget: &BudgetKey,
        rate: Rate,
        units: u32,
    ) -> Result<(), StoreUnavailable> {
        let _ = (budget, rate, units);
        Ok(())
    }
}
