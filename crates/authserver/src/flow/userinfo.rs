//! What is known about the user of an access token.

use domain::claims;
use grants::{InspectError, TokenKind};
use serde_json::{Map, Value};
use store::StoreUnavailable;

use super::patience::Patience;
use crate::AuthServer;

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserinfoError {
    /// It opens nothing; never a fault of the store.
    #[error(transparent)]
    Token(InspectError),
    /// It is for the token endpoint.
    #[error("this is a refresh token; show an access token")]
    RefreshToken,
    /// It was not granted for this.
    #[error("the access token lacks the scope openid; log in again with it")]
    ScopeMissing,
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// The claims that the scopes of an access token open, from the identity session that the token
/// itself opens. Looks only: nothing is marked as used and nothing is refreshed.
///
/// # Errors
/// See [`UserinfoError`].
pub(crate) async fn claims(
    server: &AuthServer,
    access_token: &str,
) -> Result<Map<String, Value>, UserinfoError> {
    let inspected = Patience::begin()
        .once(server.grants.inspect(access_token))
        .await?;
    if inspected.kind == TokenKind::Refresh {
        return Err(UserinfoError::RefreshToken);
    }
    if !inspected.scopes().contains("openid") {
        return Err(UserinfoError::ScopeMissing);
    }
    let known = inspected.claims();
    // The same `sub` as in our ID tokens (§5.3.2), whatever the provider calls the user elsewhere.
    let subject = ("sub".to_owned(), inspected.subject().as_str().into());
    let opened = claims::opened_by(inspected.scopes())
        .filter_map(|name| Some((name.to_owned(), known.get(name)?.clone())))
        .filter(|(_, value)| !value.is_null());
    Ok(std::iter::once(subject).chain(opened).collect())
}

impl From<InspectError> for UserinfoError {
    fn from(error: InspectError) -> Self {
        match error {
            InspectError::Unavailable(fault) => Self::Unavailable(fault),
            InspectError::Unknown
            | InspectError::Expired
            | InspectError::Replaced
            | InspectError::Ended => Self::Token(error),
        }
    }
}
