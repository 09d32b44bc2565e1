//! Pushed authorization requests (RFC 9126): the client sends the request itself, and the browser
//! brings but a reference to it.
//!
//! The reference is a secret of 256 bits. The store holds the request sealed under it and bound to
//! the client, found by a hash of it.

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    address::ClientNetwork,
    id::ClientId,
    oauth_error::OAuthError,
    secret::{SecretBytes, SecretString},
};
use store::{
    StoreUnavailable,
    seal::{SealKey, derive},
};
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::{
    authorize::{self, Asked, Invalid, Unusable, Way},
    client_authentication::{self, ClientAuthenticationError, ShownCredentials},
    patience::Patience,
};
use crate::AuthServer;

/// How long a reference is good: the client opens the browser at once.
pub(crate) const PUSHED_LIFE: Duration = Duration::from_secs(60);

/// What each reference begins with (RFC 9126 §2.2).
const URN: &str = "urn:ietf:params:oauth:request_uri:";

/// Format of the records: the byte in front. Never that of an interaction, since they lie
/// together.
const FORMAT: u8 = 0x81;
const LABEL: &[u8] = b"pushed request 1";

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The client is unknown or could not prove itself.
    #[error(transparent)]
    Client(#[from] ClientAuthenticationError),
    /// The parameters name another client than the one that asks.
    #[error("client_id names another client than the one that proves itself")]
    OtherClient,
    /// RFC 9126 §2.1: a reference to what was pushed cannot be pushed.
    #[error("request_uri cannot be pushed; send the parameters themselves")]
    RequestUri,
    /// Client and redirect URI do not belong together.
    #[error("{0}")]
    Target(Unusable),
    /// The request would be refused at the authorization endpoint.
    #[error("{0}")]
    Request(OAuthError),
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Why a reference leads to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPushed {
    #[error("client_id is missing beside request_uri")]
    ClientIdMissing,
    #[error("request_uri is not known, was used, has expired, or is another client's")]
    Unknown,
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Where a request lies and what opens it.
struct Reference(SecretBytes<32>);

/// Checks a request as the authorization endpoint would, and keeps its `parameters` (encoded,
/// without `client_id`) for [`PUSHED_LIFE`]. Returns the `request_uri`.
///
/// # Errors
/// See [`PushError`].
pub(crate) async fn push(
    server: &AuthServer,
    shown: ShownCredentials<'_>,
    asked: Asked<'_>,
    parameters: &str,
    network: ClientNetwork,
) -> Result<SecretString, PushError> {
    let patience = Patience::begin();
    let client =
        client_authentication::authenticate(&server.clients, shown, network, patience).await?;
    // Absent where the client names itself in the header only.
    let named = asked.client_id.unwrap_or(client.id.as_str());
    if named != client.id.as_str() {
        return Err(PushError::OtherClient);
    }
    if asked.has_request_uri {
        return Err(PushError::RequestUri);
    }
    let asked = Asked {
        client_id: Some(client.id.as_str()),
        way: Way::Pushed,
        ..asked
    };
    authorize::validate(server, &asked, network)
        .await
        .map_err(|invalid| match invalid {
            Invalid::Target(Unusable::Unavailable(fault)) => PushError::Unavailable(fault),
            Invalid::Target(unusable) => PushError::Target(unusable),
            Invalid::Request(_, error) => PushError::Request(error),
        })?;
    let reference = Reference(server.random.secret());
    // Proved, so that it stands there even where the form leaves it out.
    let id: String = byte_serialize(client.id.as_str().as_bytes()).collect();
    let parameters = Zeroizing::new(format!("client_id={id}&{parameters}"));
    let record = reference.seal(server, &client.id, parameters.as_bytes());
    let uid = reference.uid(server);
    patience
        .insist(
            |_: &StoreUnavailable| true,
            || {
                server
                    .store
                    .put_interaction(&uid, record.clone(), PUSHED_LIFE)
            },
        )
        .await?;
    Ok(reference.expose())
}

/// Whether a `request_uri` is one of those given out here.
pub(crate) fn is_reference(request_uri: &str) -> bool {
    request_uri.starts_with(URN)
}

/// The parameters that a client pushed. Only one asker gets them, and only with the client's id;
/// another id uses nothing up.
///
/// # Errors
/// See [`NotPushed`].
pub(crate) async fn take(
    server: &AuthServer,
    client_id: Option<&str>,
    request_uri: &str,
) -> Result<Zeroizing<Vec<u8>>, NotPushed> {
    let client = client_id.ok_or(NotPushed::ClientIdMissing)?;
    let client = ClientId::parse(client).map_err(|_| NotPushed::Unknown)?;
    let reference = Reference::parse(request_uri).ok_or(NotPushed::Unknown)?;
    let uid = reference.uid(server);
    let record = server.store.load_interaction(&uid).await?;
    let parameters = record
        .and_then(|record| reference.open(server, &client, &record))
        .ok_or(NotPushed::Unknown)?;
    match server.store.take_interaction(&uid).await? {
        Some(_) => Ok(parameters),
        // Somebody else was faster.
        None => Err(NotPushed::Unknown),
    }
}

// === impl Reference ===

impl Reference {
    fn parse(request_uri: &str) -> Option<Self> {
        let text = request_uri.strip_prefix(URN)?;
        if text.len() != 43 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(SecretBytes::new(bytes.try_into().ok()?)))
    }

    fn expose(&self) -> SecretString {
        let mut text = URN.to_owned();
        URL_SAFE_NO_PAD.encode_string(self.0.expose(), &mut text);
        SecretString::new(text)
    }

    /// Where the request lies.
    fn uid(&self, server: &AuthServer) -> [u8; 16] {
        let issuer = server.settings.base_url.issuer();
        *derive::<16>(self.0.expose(), &[], "pushed request name", issuer).expose()
    }

    fn key(&self, server: &AuthServer) -> SealKey {
        let issuer = server.settings.base_url.issuer();
        SealKey::derive(self.0.expose(), &[], "pushed request", issuer)
    }

    fn seal(&self, server: &AuthServer, client: &ClientId, plain: &[u8]) -> Vec<u8> {
        let sealed = self.key(server).seal(
            &[LABEL, client.as_str().as_bytes()],
            plain,
            server.random.as_ref(),
        );
        let mut record = vec![FORMAT];
        record.extend_from_slice(&sealed);
        record
    }

    fn open(
        &self,
        server: &AuthServer,
        client: &ClientId,
        record: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (&format, sealed) = record.split_first()?;
        (format == FORMAT).then(|| {
            self.key(server)
                .open(&[LABEL, client.as_str().as_bytes()], sealed)
        })?
    }
}
