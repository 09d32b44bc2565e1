//! Budgets, each a key that ends when it is whole again.

use std::time::Duration;

use async_trait::async_trait;
use domain::rate::Rate;

use super::{RedisStore, scripts::code};
use crate::{BudgetKey, BudgetStore, Charged, OperationId, StoreUnavailable};

#[async_trait]
impl BudgetStore for RedisStore {
    async fn charge_budget(
        &self,
        budget: &BudgetKey,
        rate: Rate,
        units: u32,
    ) -> Result<Charged, StoreUnavailable> {
        let (code, debt) = self.change_budget(budget, rate, i64::from(units)).await?;
        Ok(if code == code::DONE {
            Charged::LetIn { debt }
        } else {
            Charged::Refused { debt }
        })
    }

    async fn give_back_budget(
        &self,
        budget: &BudgetKey,
        rate: Rate,
        units: u32,
    ) -> Result<(), StoreUnavailable> {
        self.change_budget(budget, rate, -i64::from(units)).await?;
        Ok(())
    }
}

// === impl RedisStore ===

impl RedisStore {
    async fn change_budget(
        &self,
        budget: &BudgetKey,
        rate: Rate,
        units: i64,
    ) -> Result<(i64, Duration), StoreUnavailable> {
        let operation: OperationId = self.random.bytes();
        let key = self.keys.budget(budget);
        let each = rate.each().as_micros().to_string();
        let (at_once, units) = (rate.at_once().to_string(), units.to_string());
        let arguments = [
            operation.as_slice(),
            each.as_bytes(),
            at_once.as_bytes(),
            units.as_bytes(),
        ];
        let (code, micros): (i64, u64) = self
            .link
            .run(&self.scripts.change_budget, &[&key], &arguments)
            .await?;
        Ok((code, Duration::from_micros(micros)))
    }
}
