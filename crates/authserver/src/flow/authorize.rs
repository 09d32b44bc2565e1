//! The authorization request: every check, before anything is shown or redirected.
//!
//! The order matters. Until client and redirect URI are known to belong together, nothing may go
//! to that URI (RFC 6749 §4.1.2.1): those faults are shown to the person. All others are the
//! client's, and go to it.

pub(super) mod checks;

use domain::{
    address::ClientNetwork,
    client::{Client, DocumentUrl},
    id::ClientId,
    oauth_error::{OAuthError, OAuthErrorCode},
    redirect_uri::{InvalidRedirectUri, RedirectUri},
};
use store::StoreUnavailable;

use super::{
    answer::{Answer, Outcome},
    browser::BrowserId,
    interaction::{AuthorizationRequest, InteractionId, Interactions},
};
use crate::{
    AuthServer,
    clients::{FindError, documents::DocumentFault},
};

/// The parameters of a request, as they came; those given twice are absent and named.
#[derive(Clone, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) client_id: Option<&'a str>,
    pub(crate) redirect_uri: Option<&'a str>,
    pub(crate) response_type: Option<&'a str>,
    pub(crate) response_mode: Option<&'a str>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) code_challenge: Option<&'a str>,
    pub(crate) code_challenge_method: Option<&'a str>,
    pub(crate) prompt: Option<&'a str>,
    pub(crate) max_age: Option<&'a str>,
    pub(crate) login_hint: Option<&'a str>,
    pub(crate) resources: Vec<&'a str>,
    /// Whether a request object is there (OpenID Connect Core §6).
    pub(crate) has_request: bool,
    pub(crate) has_request_uri: bool,
    pub(crate) way: Way,
    /// The first one given twice.
    pub(crate) duplicate: Option<String>,
    /// Which of the two that decide where an answer may go was given twice.
    pub(crate) is_target_ambiguous: bool,
}

/// How a request reaches us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the browser.
    #[default]
    Direct,
    /// From the client itself (RFC 9126); the browser brings, or will bring, a reference.
    Pushed,
}

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The person is told; nothing is redirected.
    Shown(Unusable),
    /// The client is told.
    Answered(Answer),
}

/// Why a request is not valid.
#[derive(Debug)]
pub(crate) enum Invalid {
    /// Client and redirect URI do not belong together.
    Target(Unusable),
    /// They do, and the fault is for the client to know.
    Request(RedirectUri, OAuthError),
}

/// Why nothing may be redirected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("client_id is missing")]
    ClientIdMissing,
    #[error("client_id or redirect_uri is given more than once")]
    Ambiguous,
    #[error("the client names itself by a metadata document, which is turned off")]
    MetadataDocument(String),
    #[error(transparent)]
    Document(DocumentFault),
    #[error("the client is not registered")]
    UnknownClient {
        client_id: String,
        redirect_uri: Option<String>,
    },
    #[error("the client registered no redirect URI")]
    NoRedirectUri(Box<Client>),
    #[error("redirect_uri is missing")]
    RedirectUriMissing(Box<Client>),
    #[error("redirect_uri is not valid: {1}")]
    RedirectUriInvalid(Box<Client>, InvalidRedirectUri),
    #[error("redirect_uri is not registered for this client")]
    RedirectUriUnregistered(Box<Client>, RedirectUri),
    #[error("redirect_uri leads to a host that is not allowed here")]
    RedirectHostForbidden(Box<Client>, RedirectUri),
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

impl From<FindError> for Unusable {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Unavailable(fault) => Self::Unavailable(fault),
            FindError::Document(fault) => Self::Document(fault),
        }
    }
}

/// Checks a request and begins an interaction for it.
///
/// # Errors
/// See [`Refused`].
pub(crate) async fn authorize(
    server: &AuthServer,
    asked: &Asked<'_>,
    browser: &BrowserId,
    network: ClientNetwork,
) -> Result<InteractionId, Refused> {
    let (request, redirect_uri) =
        validate(server, asked, network)
            .await
            .map_err(|invalid| match invalid {
                Invalid::Target(unusable) => Refused::Shown(unusable),
                Invalid::Request(redirect_uri, error) => {
                    // A state that was given twice is none.
                    let outcome = Outcome::Error(error);
                    Refused::Answered(Answer::new(redirect_uri, asked.state, outcome))
                }
            })?;
    let client_id = request.client.clone();
    let id = Interactions::of(server)
        .begin(browser, request)
        .await
        .map_err(|fault| {
            tracing::error!(client.id = %client_id, cause = %fault, "an interaction could not be stored");
            Refused::Answered(Answer::new(
                redirect_uri,
                asked.state,
                Outcome::Error(OAuthError::new(
                    OAuthErrorCode::TemporarilyUnavailable,
                    "the server cannot reach its store right now; try again shortly",
                )),
            ))
        })?;
    Ok(id)
}

/// Every check of a request, pushed or not. Returns also where its answer goes.
///
/// # Errors
/// See [`Invalid`].
pub(crate) async fn validate(
    server: &AuthServer,
    asked: &Asked<'_>,
    network: ClientNetwork,
) -> Result<(AuthorizationRequest, RedirectUri), Invalid> {
    let (client, redirect_uri) = find_target(server, asked, network)
        .await
        .map_err(Invalid::Target)?;
    match checks::check(&server.settings, asked, client, redirect_uri.clone()) {
        Ok(request) => Ok((request, redirect_uri)),
        Err(error) => Err(Invalid::Request(redirect_uri, error)),
    }
}

/// Client and redirect URI, known to belong together.
async fn find_target(
    server: &AuthServer,
    asked: &Asked<'_>,
    network: ClientNetwork,
) -> Result<(Client, RedirectUri), Unusable> {
    if asked.is_target_ambiguous {
        return Err(Unusable::Ambiguous);
    }
    let text = asked.client_id.ok_or(Unusable::ClientIdMissing)?;
    let client = match ClientId::parse(text) {
        Ok(id) => server.clients.find(&id, network).await?,
        Err(_) => None,
    };
    let Some(client) = client else {
        return Err(if DocumentUrl::is_meant_by(text) {
            Unusable::MetadataDocument(text.to_owned())
        } else {
            Unusable::UnknownClient {
                client_id: text.to_owned(),
                redirect_uri: asked.redirect_uri.map(str::to_owned),
            }
        });
    };
    if client.metadata.redirect_uris.is_empty() {
        return Err(Unusable::NoRedirectUri(Box::new(client)));
    }
    let redirect_uri = match (asked.redirect_uri, client.metadata.redirect_uris.as_slice()) {
        (Some(text), _) => match RedirectUri::parse(text) {
            Ok(uri) => uri,
            Err(reason) => return Err(Unusable::RedirectUriInvalid(Box::new(client), reason)),
        },
        // Where just one is registered, it goes without saying (RFC 6749 §3.1.2.3).
        (None, [only]) => only.clone(),
        (None, _) => return Err(Unusable::RedirectUriMissing(Box::new(client))),
    };
    if client.redirect_uri_for(&redirect_uri).is_none() {
        return Err(Unusable::RedirectUriUnregistered(
            Box::new(client),
            redirect_uri,
        ));
    }
    // Asked again, since the rule may be newer than the registration.
    if !server
        .settings
        .allowed_redirect_hosts
        .permits(&redirect_uri)
    {
        return Err(Unusable::RedirectHostForbidden(
            Box::new(client),
            redirect_uri,
        ));
    }
    Ok((client, redirect_uri))
}
