//! Revoking by a token.

use std::sync::Arc;

use domain::{
    credential::{Credential, CredentialKind},
    id::ClientId,
};
use store::{StoreUnavailable, StoredGrant};

use crate::{
    audit::{self, EndReason},
    heart::Heart,
    keys::Root,
    live::Live,
    lookup::Closed,
    messages::RevokeError,
    open::holder,
    patience::Patience,
};

/// Ended grants of a user that are looked at, at most.
const MAX_LOOKED_AT: usize = 64;

impl Heart {
    /// Whether or not anything was ended is not said (RFC 7009 §2.2).
    pub(crate) async fn revoke(
        self: &Arc<Self>,
        token: &str,
        client: &ClientId,
    ) -> Result<(), RevokeError> {
        let patience = self.patience();
        let Some(live) = self.opened_by(token, &patience).await? else {
            return Ok(());
        };
        if live.facts.client != *client {
            audit::foreign_client(&live.id, &live.facts, client);
            return Ok(());
        }
        self.end_grant(&live.id, Some(&live.facts), EndReason::Revoked, &patience)
            .await?;
        self.give_back(live);
        Ok(())
    }

    /// The grant that a token of either kind opens, whoever made it.
    async fn opened_by(
        &self,
        token: &str,
        patience: &Patience,
    ) -> Result<Option<Arc<Live>>, StoreUnavailable> {
        let opened = async {
            let Ok(credential) = Credential::parse(token) else {
                let (opened, _) = self.open_either(token, patience).await?;
                return Ok(Some(self.live_imported(&opened, patience).await?));
            };
            let live = self.live(token, &credential, patience).await?;
            let opens = self.opens(&live, &credential, patience).await?;
            Ok(opens.then_some(live))
        };
        match opened.await {
            Ok(live) => Ok(live),
            Err(Closed::Refused(_)) => Ok(None),
            Err(Closed::Unavailable(error)) => Err(error),
        }
    }

    /// Tells the identity provider that its tokens are not needed any more: in a task of its own,
    /// once, so that neither a slow provider nor its no changes anything for the client.
    ///
    /// Not while the user has another session through us: many providers take one token for all
    /// that they granted us for the user, and would end those as well.
    fn give_back(self: &Arc<Self>, live: Arc<Live>) {
        let Some(refresher) = live.refresher.clone() else {
            return;
        };
        if !refresher.can_revoke() {
            return;
        }
        let heart = Arc::clone(self);
        self.tasks.spawn(async move {
            if heart.has_another(&live).await {
                tracing::debug!(
                    grant.id = %live.id,
                    "the identity tokens are not revoked, since the user may have another session"
                );
                return;
            }
            match refresher.revoke(&live.identity().tokens).await {
                Ok(()) => tracing::info!(
                    grant.id = %live.id,
                    identity.issuer = %live.facts.issuer,
                    "the identity tokens were revoked at their provider"
                ),
                Err(cause) => tracing::warn!(
                    grant.id = %live.id,
                    identity.issuer = %live.facts.issuer,
                    %cause,
                    "the identity tokens could not be revoked; they end when their provider says"
                ),
            }
        });
    }

    /// Whether the user of a grant may have another one that lives. In doubt, yes.
    async fn has_another(&self, live: &Live) -> bool {
        let holder = holder(&live.facts.issuer, &live.facts.subject);
        let Ok(grants) = self.store.grants_of(&holder).await else {
            return true;
        };
        let others = grants.iter().filter(|grant| **grant != live.id);
        for (count, other) in others.enumerate() {
            let found = self.store.load_grant(other).await;
            if count >= MAX_LOOKED_AT || !matches!(found, Ok(None | Some(StoredGrant::Ended))) {
                return true;
            }
        }
        false
    }

    /// Whether a token is one of the grant's, of any generation and age.
    pub(crate) async fn opens(
        &self,
        live: &Live,
        credential: &Credential,
        patience: &Patience,
    ) -> Result<bool, StoreUnavailable> {
        Ok(match credential.kind {
            CredentialKind::Access => live.verifies_access(credential),
            CredentialKind::Refresh => {
                let held = self.hold(live, patience).await?;
                let pads = &held.line.refresh_pads;
                pads.numbered(credential.pad_number).is_some_and(|pad| {
                    let root = Root::from_half(credential, pad, &self.settings.issuer);
                    live.is_key(&root.key()) && root.verifies(credential)
                })
            }
            CredentialKind::Code | CredentialKind::Device => false,
        })
    }
}

#[cfg(test)]
mod tests;
