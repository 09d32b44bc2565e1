//! Budgets, which the one process that holds the store counts for itself.

use super::SwitchedStore;
use crate::BudgetStore;

// === impl SwitchedStore ===

impl BudgetStore for SwitchedStore {}
