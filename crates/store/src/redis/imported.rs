//! Tokens of another server, each under its hash; and a mark that there are some.

use std::time::Duration;

use ::redis::cmd;
use async_trait::async_trait;

use super::{RedisStore, millis};
use crate::{ImportedName, ImportedStore, StoreUnavailable};

// === impl RedisStore ===

#[async_trait]
impl ImportedStore for RedisStore {
    /// The mark is written first, so that it never lacks.
    async fn put_imported(
        &self,
        name: &ImportedName,
        record: Vec<u8>,
        ttl: Duration,
    ) -> Result<Vec<u8>, StoreUnavailable> {
        let (mark, life) = (self.keys.imports(), millis(ttl));
        let mut begin = cmd("SET");
        begin.arg(&mark).arg(1).arg("NX").arg("PX").arg(&life);
        let _: Option<String> = self.link.ask(&begin).await?;
        let mut prolong = cmd("PEXPIRE");
        prolong.arg(&mark).arg(&life).arg("GT");
        let _: i64 = self.link.ask(&prolong).await?;
        let mut put = cmd("SET");
        put.arg(self.keys.imported(name)).arg(&record);
        put.arg("NX").arg("GET").arg("PX").arg(&life);
        let stood: Option<Vec<u8>> = self.link.ask(&put).await?;
        Ok(stood.unwrap_or(record))
    }

    async fn load_imported(
        &self,
        name: &ImportedName,
    ) -> Result<Option<Vec<u8>>, StoreUnavailable> {
        let record = self.read(self.keys.imported(name)).await?;
        if record.is_none() {
            self.offering.absent()?;
        }
        Ok(record)
    }

    async fn holds_imported(&self) -> Result<bool, StoreUnavailable> {
        self.link.ask(cmd("EXISTS").arg(self.keys.imports())).await
    }
}
