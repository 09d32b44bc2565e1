//! A client asks for the end of a session (OpenID Connect RP-Initiated Logout 1.0).
//!
//! What ends is the grant that its ID token names. The token is a hint, no credential: it says
//! which grant is meant and who asks, a person must say yes.

use domain::{
    id::{ClientId, GrantId, Subject},
    redirect_uri::RedirectUri,
    secret::SecretString,
};
use jose::verifying::VerifyingKeys;
use serde_json::Value;
use store::StoreUnavailable;

use super::interaction::display_name;
use crate::AuthServer;

/// Bound of `state` in bytes.
const MAX_STATE_BYTES: usize = 4096;

/// The parameters of a request, as they came.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) id_token_hint: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) post_logout_redirect_uri: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
}

/// What may be done once a person agrees.
#[derive(Debug)]
pub(crate) struct Logout {
    /// One; several where the ID token is the predecessor's, which named none.
    grants: Vec<GrantId>,
    pub(crate) client: ClientId,
    pub(crate) client_name: String,
    /// Where the person goes afterwards.
    pub(crate) back: Option<RedirectUri>,
    state: Option<SecretString>,
}

/// Why there is nothing to end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLogout {
    #[error("id_token_hint is missing")]
    HintMissing,
    #[error("id_token_hint is no ID token of this server: {0}")]
    HintInvalid(&'static str),
    #[error("client_id names another client than the ID token")]
    OtherClient,
    #[error("post_logout_redirect_uri is not registered for this client")]
    RedirectUriUnregistered,
    #[error("state is longer than {MAX_STATE_BYTES} bytes")]
    StateTooLong,
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Finds out what a request means. Changes nothing.
///
/// # Errors
/// See [`NoLogout`].
pub(crate) async fn check(server: &AuthServer, asked: Asked<'_>) -> Result<Logout, NoLogout> {
    let hint = asked.id_token_hint.ok_or(NoLogout::HintMissing)?;
    let (id, meant) = read_hint(server, hint)?;
    if asked.client_id.is_some_and(|asked| asked != id.as_str()) {
        return Err(NoLogout::OtherClient);
    }
    if asked
        .state
        .is_some_and(|state| state.len() > MAX_STATE_BYTES)
    {
        return Err(NoLogout::StateTooLong);
    }
    let grants = match meant {
        Meant::Grant(grant) => vec![grant],
        Meant::User(subject) => server.grants.held_by(&subject, &id).await?,
    };
    if grants.is_empty() {
        return Err(NoLogout::HintInvalid("its user has no session here"));
    }
    // One that was forgotten since can still be logged out, but has nowhere to return to.
    let client = server.clients.remembered(&id).await?;
    let back = match asked.post_logout_redirect_uri {
        None => None,
        Some(uri) => {
            let registered = client
                .iter()
                .flat_map(|client| &client.metadata.post_logout_redirect_uris)
                .find(|registered| registered.as_str() == uri)
                .filter(|uri| server.settings.allowed_redirect_hosts.permits(uri));
            Some(registered.ok_or(NoLogout::RedirectUriUnregistered)?.clone())
        }
    };
    Ok(Logout {
        grants,
        client: id,
        client_name: client.as_ref().map_or_else(
            || "A client that is not registered any more".to_owned(),
            |client| display_name(client).to_owned(),
        ),
        back,
        state: asked.state.map(SecretString::new),
    })
}

/// What an ID token names.
enum Meant {
    /// As ours do.
    Grant(GrantId),
    /// As the predecessor's did, which were signed with the same keys.
    User(Subject),
}

/// Client and session of an ID token that we signed. It may have expired: by the time of a logout
/// it mostly has (RP-Initiated Logout §2).
fn read_hint(server: &AuthServer, hint: &str) -> Result<(ClientId, Meant), NoLogout> {
    let invalid = NoLogout::HintInvalid;
    let claims = VerifyingKeys::parse(&server.keys.current().public_jwks())
        .and_then(|keys| keys.verify(hint))
        .map_err(|_| invalid("no key of ours has signed it"))?
        .claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(server.settings.base_url.issuer()) {
        return Err(invalid("it names another issuer"));
    }
    let client = text("aud")
        .and_then(|aud| ClientId::parse(aud).ok())
        .ok_or(invalid("it names no client"))?;
    let meant = match text("sid") {
        Some(sid) => GrantId::parse(sid).map(Meant::Grant),
        None => text("sub")
            .and_then(|sub| Subject::parse(sub).ok())
            .map(Meant::User),
    };
    Ok((client, meant.ok_or(invalid("it names no session"))?))
}

// === impl Logout ===

impl Logout {
    /// Ends the grant; one that has ended already is fine.
    ///
    /// # Errors
    /// If the store is away.
    pub(crate) async fn end(&self, server: &AuthServer) -> Result<(), StoreUnavailable> {
        for grant in &self.grants {
            server.grants.end(grant).await?;
        }
        Ok(())
    }

    /// Where the person goes, with the client's `state`.
    pub(crate) fn address(&self) -> Option<SecretString> {
        let back = self.back.as_ref()?;
        Some(match &self.state {
            Some(state) => SecretString::new(back.with_parameters(&[("state", state.expose())])),
            None => SecretString::new(back.to_string()),
        })
    }
}
