//! The grants that a user gave a client.

use domain::id::{ClientId, GrantId, Subject};
use store::{StoreUnavailable, StoredGrant};

use crate::{heart::Heart, open::holder, record::Record};

/// Grants of a user that are looked at, at most.
const MAX_LOOKED_AT: usize = 256;

impl Heart {
    /// The live grants of a user (as any provider names them) to a client.
    pub(crate) async fn held_by(
        &self,
        subject: &Subject,
        client: &ClientId,
    ) -> Result<Vec<GrantId>, StoreUnavailable> {
        let patience = self.patience();
        let mut held = Vec::new();
        for issuer in self.providers.keys() {
            let holder = holder(issuer, subject);
            let grants = patience.call(|| self.store.grants_of(&holder)).await?;
            for grant in grants.into_iter().take(MAX_LOOKED_AT) {
                let stored = patience.call(|| self.store.load_grant(&grant)).await?;
                if let Some(StoredGrant::Live { body, .. }) = stored
                    && Record::decode(&body).is_ok_and(|record| record.facts.client == *client)
                {
                    held.push(grant);
                }
            }
        }
        Ok(held)
    }
}
