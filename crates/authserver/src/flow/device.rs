//! The device flow (RFC 8628): a device without a browser asks, and a person enters its code here.
//!
//! After that it is a login like any other: consent, then the identity provider.

use std::{net::IpAddr, time::Duration};

use domain::{
    address::ClientNetwork, client::GrantType, oauth_error::OAuthError, secret::SecretBytes,
    user_code::UserCode,
};
use grants::{DeviceAuthorization, DeviceRequest};
use store::StoreUnavailable;

use super::{
    authorize::checks,
    browser::BrowserId,
    client_authentication::{self, ClientAuthenticationError, ShownCredentials},
    interaction::{AuthorizationRequest, Device, InteractionId, Interactions, Reply, display_name},
    patience::Patience,
    resource::{self, ResourceError},
};
use crate::{
    AuthServer,
    clients::{FindError, documents::DocumentFault},
};

/// The parameters of a device authorization request, as they were given.
#[derive(Default)]
pub(crate) struct DeviceForm<'a> {
    pub(crate) scope: Option<&'a str>,
    pub(crate) resources: Vec<&'a str>,
}

/// Why a device is not let wait.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceAuthorizationError {
    /// The client is unknown or could not prove itself.
    #[error(transparent)]
    Client(#[from] ClientAuthenticationError),
    /// Its registration does not name the grant type.
    #[error(
        "this client did not register for the grant type urn:ietf:params:oauth:grant-type:device_code"
    )]
    NotRegistered,
    /// Not scope tokens.
    #[error("{0}")]
    Scope(OAuthError),
    /// Another MCP server than any of ours, or several.
    #[error(transparent)]
    Resource(#[from] ResourceError),
    /// None, where there are several MCP servers.
    #[error("resource is missing; there are several MCP servers here")]
    ResourceMissing,
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Why a code that was entered leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnterError {
    /// It cannot be one of ours.
    #[error("what was entered has not the form of a user code")]
    Malformed,
    /// Nothing waits for it (any more).
    #[error("the user code is not known, has expired, or was used")]
    Unknown,
    /// Too many wrong ones, from this address or from all together.
    #[error("too many wrong user codes; next try in {0:?}")]
    Throttled(Duration),
    /// The metadata document of its client does not make that known.
    #[error(transparent)]
    Document(DocumentFault),
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Lets a device wait for its user (RFC 8628 §3.1).
///
/// # Errors
/// See [`DeviceAuthorizationError`].
pub(crate) async fn begin(
    server: &AuthServer,
    shown: ShownCredentials<'_>,
    form: DeviceForm<'_>,
    asked_from: IpAddr,
) -> Result<DeviceAuthorization, DeviceAuthorizationError> {
    let patience = Patience::begin();
    let network = ClientNetwork::of(asked_from);
    let client =
        client_authentication::authenticate(&server.clients, shown, network, patience).await?;
    if !client.may_use(GrantType::DeviceCode) {
        return Err(DeviceAuthorizationError::NotRegistered);
    }
    let resources = &server.settings.resources;
    let named = resource::requested(resources, form.resources.into_iter())?;
    let protected = match (named, resources.as_slice()) {
        (Some(named), _) => named,
        (None, [only]) => only,
        (None, _) => return Err(DeviceAuthorizationError::ResourceMissing),
    };
    let known = server.settings.preregistered(&client.id);
    let limit = known.and_then(|known| known.scopes.as_ref());
    let scopes = checks::scopes(&server.settings, limit, form.scope)
        .map_err(DeviceAuthorizationError::Scope)?;
    let request = DeviceRequest {
        client: client.id,
        resource: protected.resource.clone(),
        scopes,
        asked_from,
    };
    let keys = server.keys.current();
    let secret = keys
        .derived_secrets()
        .next()
        .ok_or_else(|| StoreUnavailable("there is no signing key".to_owned()))?;
    let begun = server.grants.begin_device(request, secret);
    Ok(patience.once::<_, StoreUnavailable>(begun).await?)
}

/// Begins an interaction for the device that a user code leads to. Wrong codes are counted.
///
/// # Errors
/// See [`EnterError`].
pub(crate) async fn enter(
    server: &AuthServer,
    typed: &str,
    browser: &BrowserId,
    network: ClientNetwork,
) -> Result<InteractionId, EnterError> {
    let code = UserCode::parse(typed).ok_or(EnterError::Malformed)?;
    // Counted before it is looked up, so that many at once are no way round.
    let guess = server
        .code_guesses
        .begin(network, server.clock.now())
        .await
        .map_err(EnterError::Throttled)?;
    let keys = server.keys.current();
    let secrets: Vec<&SecretBytes<32>> = keys.derived_secrets().collect();
    let waiting = server
        .grants
        .find_device(&code, &secrets)
        .await?
        .ok_or(EnterError::Unknown)?;
    server.code_guesses.was_right(guess).await;
    // A client that was forgotten could not collect anything.
    let client = server
        .clients
        .find(&waiting.client, network)
        .await
        .map_err(|error| match error {
            FindError::Unavailable(fault) => EnterError::Unavailable(fault),
            FindError::Document(fault) => EnterError::Document(fault),
        })?
        .ok_or(EnterError::Unknown)?;
    let request = AuthorizationRequest {
        client_name: display_name(&client).to_owned(),
        client: waiting.client,
        reply: Reply::Device(Device {
            grant: waiting.grant,
            asked_at: waiting.asked_at,
            asked_from: waiting.asked_from,
        }),
        resource: waiting.resource,
        scopes: waiting.scopes,
        prompt: None,
        max_age: None,
        login_hint: None,
        // Whoever vouches for a client cannot vouch for a code that somebody passed on.
        skips_consent: false,
    };
    Ok(Interactions::of(server).begin(browser, request).await?)
}
