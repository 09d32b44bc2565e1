//! Revoking by a token.

use domain::{
    credential::{Credential, CredentialKind},
    id::ClientId,
};
use store::StoreUnavailable;

use crate::{
    audit::{self, EndReason},
    heart::Heart,
    keys::Root,
    live::Live,
    lookup::Closed,
    messages::RevokeError,
    patience::Patience,
};

impl Heart {
    /// Whether or not anything was ended is not said (RFC 7009 §2.2).
    pub(crate) async fn revoke(&self, token: &str, client: &ClientId) -> Result<(), RevokeError> {
        let Ok(credential) = Credential::parse(token) else {
            return Ok(());
        };
        let patience = self.patience();
        let live = match self.live(token, &credential, &patience).await {
            Ok(live) => live,
            Err(Closed::Refused(_)) => return Ok(()),
            Err(Closed::Unavailable(error)) => return Err(error.into()),
        };
        if !self.opens(&live, &credential, &patience).await? {
            return Ok(());
        }
        if live.facts.client != *client {
            audit::foreign_client(&live.id, &live.facts, client);
            return Ok(());
        }
        self.end_grant(&live.id, Some(&live.facts), EndReason::Revoked, &patience)
            .await?;
        Ok(())
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
                let held = patience.lock(&live.line).await?;
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
