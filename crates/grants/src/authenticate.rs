//! The hot path: from a bearer token to its session.

use std::sync::Arc;

use domain::{
    address::ClientNetwork,
    credential::{Credential, CredentialKind},
    resource::Resource,
};

use crate::{
    cache::Refusal, heart::Heart, imported::is_old_token, inspect::TokenKind, live::Live,
    lookup::Closed, messages::AuthenticateError, session::Session,
};

impl Heart {
    /// From memory: decode, compare, one HMAC. A token that says itself that it has expired is
    /// refused without a look-up: whether it is ours changes nothing for who shows it.
    pub(crate) async fn authenticate(
        heart: &Arc<Self>,
        access_token: &str,
        resource: &Resource,
        network: ClientNetwork,
    ) -> Result<Session, AuthenticateError> {
        let Ok(credential) = Credential::parse(access_token) else {
            return Box::pin(Self::authenticate_imported(
                heart,
                access_token,
                resource,
                network,
            ))
            .await;
        };
        if credential.kind != CredentialKind::Access {
            return Err(AuthenticateError::Malformed);
        }
        if credential.is_expired(heart.clock.now()) {
            return Err(AuthenticateError::Expired);
        }
        let live = match heart.registry.find(&credential.grant) {
            Some(live)
                if heart.is_current(&live) && live.knows_access_pad(credential.pad_number) =>
            {
                live
            }
            _ => Box::pin(heart.load(access_token, &credential)).await?,
        };
        if !live.verifies_access(&credential) {
            return Err(AuthenticateError::Unknown);
        }
        Self::let_in(heart, live, credential.generation, resource, network)
    }

    /// The same for a token of the predecessor: it bears no generation, which makes it one of the
    /// oldest.
    async fn authenticate_imported(
        heart: &Arc<Self>,
        access_token: &str,
        resource: &Resource,
        network: ClientNetwork,
    ) -> Result<Session, AuthenticateError> {
        if !is_old_token(access_token) {
            return Err(AuthenticateError::Malformed);
        }
        let patience = heart.patience();
        let opened = heart
            .open_imported(access_token, TokenKind::Access, &patience)
            .await?;
        let live = heart.live_imported(&opened, &patience).await?;
        Self::let_in(heart, live, 0, resource, network)
    }

    /// An authentic token: what is left to ask is whether its grant lives, and what it is for.
    fn let_in(
        heart: &Arc<Self>,
        live: Arc<Live>,
        generation: u32,
        resource: &Resource,
        network: ClientNetwork,
    ) -> Result<Session, AuthenticateError> {
        let is_over = live.ends_at() <= heart.clock.now();
        // Without its provider no session can go on; nothing is erased, so that it does if the
        // provider is configured again.
        if live.is_ended() || is_over || live.refresher.is_none() {
            return Err(AuthenticateError::Ended);
        }
        if live.facts.resource != *resource {
            return Err(AuthenticateError::WrongResource);
        }
        heart.note_use(&live, generation, network);
        Ok(Session::new(live, Arc::clone(heart)))
    }

    async fn load(
        &self,
        access_token: &str,
        credential: &Credential,
    ) -> Result<Arc<Live>, AuthenticateError> {
        let patience = self.patience();
        Ok(self.live(access_token, credential, &patience).await?)
    }

    /// Marks the first use of a generation, and from a network, beside the call. A lost mark only
    /// keeps older refresh tokens honoured for longer, so it is not tried again.
    fn note_use(self: &Arc<Self>, live: &Arc<Live>, generation: u32, network: ClientNetwork) {
        if !live.is_first_use(generation, network) {
            return;
        }
        let heart = Arc::clone(self);
        let live = Arc::clone(live);
        self.tasks.spawn(async move {
            if let Err(error) = heart.mark_seen(&live, generation, network).await {
                tracing::debug!(grant.id = %live.id, cause = %error, "the first use of a token was not marked");
            }
        });
    }

    async fn mark_seen(
        &self,
        live: &Live,
        generation: u32,
        network: ClientNetwork,
    ) -> Result<(), store::StoreUnavailable> {
        let patience = self.patience();
        let address = live.keys.address_hash(network);
        let mut held = patience.lock(&live.line).await?;
        let mut changed = held.line.clone();
        if !live.is_ended() && changed.mark_seen(generation, address, self.moment()) {
            self.write_line(live, &mut held, changed, &patience).await?;
        }
        Ok(())
    }
}

impl From<Closed> for AuthenticateError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Refused(Refusal::Unknown) => Self::Unknown,
            Closed::Refused(Refusal::Ended) => Self::Ended,
            Closed::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

#[cfg(test)]
mod tests;
