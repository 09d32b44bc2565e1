//! Budgets, which the one process that holds the store counts for itself.

use super::EmbeddedStore;
use crate::BudgetStore;

impl BudgetStore for EmbeddedStore {}
