//! A client throws a token away (RFC 7009): its grant ends, whichever kind the token is.

use domain::address::ClientNetwork;
use grants::RevokeError;
use store::StoreUnavailable;

use super::{
    client_authentication::{self, ClientAuthenticationError, ShownCredentials},
    patience::Patience,
};
use crate::AuthServer;

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevocationError {
    /// The request shows none.
    #[error("token is absent")]
    MissingToken,
    /// The client is unknown or could not prove itself.
    #[error(transparent)]
    Client(#[from] ClientAuthenticationError),
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Ends the grant of a token that opens and is shown by its own client; anything else does
/// nothing, without a word.
///
/// # Errors
/// See [`RevocationError`].
pub(crate) async fn revoke(
    server: &AuthServer,
    shown: ShownCredentials<'_>,
    token: Option<&str>,
    network: ClientNetwork,
) -> Result<(), RevocationError> {
    let patience = Patience::begin();
    let client =
        client_authentication::authenticate(&server.clients, shown, network, patience).await?;
    let token = token.ok_or(RevocationError::MissingToken)?;
    let revoked = server.grants.revoke(token, &client.id);
    patience
        .once(revoked)
        .await
        .map_err(|RevokeError::Unavailable(fault)| RevocationError::Unavailable(fault))
}
