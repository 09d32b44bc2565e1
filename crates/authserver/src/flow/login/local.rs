//! The login of the local identity: name and password, after consent, in the same interaction.

use std::time::Duration;

use domain::{address::ClientNetwork, secret::SecretString};
use idp::provider::IdentityProvider;

use super::{FinishError, Opened};
use crate::flow::{
    answer::Ending,
    interaction::{InteractionError, Stage},
};

/// What was typed.
pub(crate) struct Typed<'a> {
    pub(crate) name: &'a str,
    pub(crate) password: &'a SecretString,
    pub(crate) network: ClientNetwork,
}

/// Why a local login gives no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalLoginError {
    /// The same for a name that nobody has.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many wrong ones from this address or for this name.
    #[error("too many wrong passwords; next try in {0:?}")]
    Throttled(Duration),
    /// Consent comes first.
    #[error("nothing was agreed to yet")]
    NotAgreed,
    #[error(transparent)]
    Finish(#[from] FinishError),
}

// === impl LocalLoginError ===

impl From<InteractionError> for LocalLoginError {
    fn from(error: InteractionError) -> Self {
        Self::Finish(FinishError::Interaction(error))
    }
}

impl Opened<'_> {
    /// Checks name and password and, if they are right, opens the grant.
    ///
    /// # Errors
    /// See [`LocalLoginError`].
    pub(crate) async fn log_in(self, typed: Typed<'_>) -> Result<Ending, LocalLoginError> {
        let resource = self.resource()?;
        let (Stage::AtLogin, IdentityProvider::Local(provider)) =
            (&self.interaction.stage, &resource.provider)
        else {
            return Err(LocalLoginError::NotAgreed);
        };
        let server = self.server;
        // Counted before it is checked, so that many at once are no way round.
        let attempt = server
            .guesses
            .begin(typed.name, typed.network, server.clock.now())
            .await
            .map_err(LocalLoginError::Throttled)?;
        let login = provider.login(typed.name, typed.password, &resource.server_url);
        let Ok(identity) = login.await else {
            tracing::info!(client.network = %typed.network, "wrong name or password");
            return Err(LocalLoginError::Wrong);
        };
        server.guesses.succeeded(attempt).await;
        Ok(self.finish(identity).await?)
    }
}
