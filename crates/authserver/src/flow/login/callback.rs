//! The way back from the identity provider: state, cookie and interaction must agree, once.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    oauth_error::{OAuthError, OAuthErrorCode},
    random::Random,
    secret::{SecretBytes, SecretString},
};
use idp::{
    provider::IdentityProvider,
    upstream::{LoginError, LoginSecrets, UpstreamProvider},
};
use store::seal::sha256;

use super::{FinishError, Opened, ToProvider, find_resource};
use crate::{
    AuthServer,
    flow::{
        answer::Ending,
        browser::BrowserId,
        interaction::{InteractionError, InteractionId, Interactions, Stage},
    },
};

/// The `prompt` that lets a person choose an account (OpenID Connect Core §3.1.2.1).
const CHOOSE_ACCOUNT: &str = "select_account";

/// How long a person may take at the provider.
pub(crate) const STATE_LIFE: Duration = Duration::from_secs(10 * 60);

/// What the provider sends back.
#[derive(Clone, Copy, Default)]
pub(crate) struct Returned<'a> {
    pub(crate) state: Option<&'a str>,
    pub(crate) code: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) iss: Option<&'a str>,
}

/// Where a callback leads.
pub(crate) enum Completed {
    /// To its end.
    Answered(Ending),
    /// To the provider once more: it does not know the `prompt` that it was sent.
    SentAgain(ToProvider),
}

/// Names the interaction and proves that we sent the person away: its id, so that it is found
/// even when the state is used up, and 32 random bytes.
pub(super) struct State(SecretString);

/// What the provider was asked, and what its answer is held against.
struct Asked {
    prompt: Option<String>,
    secrets: LoginSecrets,
}

/// Why a callback gives no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallbackError {
    /// No state, or none that we could have made.
    #[error("state is missing or is not one of ours")]
    StateMissing,
    /// Used before.
    #[error("the callback was used before")]
    AlreadyDone,
    /// The person has agreed anew since, or the attempt failed: either made this state void.
    #[error("the state is void: a newer login was begun, or this one had failed")]
    Superseded(InteractionId),
    /// The person took too long; the interaction itself is still good.
    #[error("the state has expired")]
    StateExpired(InteractionId),
    /// Neither a code nor an error.
    #[error("the identity provider sent neither code nor error")]
    Empty(InteractionId),
    /// The login did not succeed; the person may begin again at the consent page.
    #[error("{1}")]
    Login(InteractionId, LoginError),
    #[error(transparent)]
    Interaction(#[from] InteractionError),
    /// The login succeeded, but the grant could not be opened.
    #[error("{1}")]
    Finish(InteractionId, FinishError),
}

// === impl State ===

impl State {
    const SECRET_BYTES: usize = 32;
    const BYTES: usize = InteractionId::BYTES + Self::SECRET_BYTES;

    pub(super) fn new(id: InteractionId, random: &dyn Random) -> Self {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&random.bytes::<{ Self::SECRET_BYTES }>());
        Self(SecretString::new(URL_SAFE_NO_PAD.encode(bytes)))
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is stored of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose().as_bytes())
    }

    /// The interaction it names, if it has the form of ours.
    fn read(text: &str) -> Option<(Self, InteractionId)> {
        let bytes: [u8; Self::BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (id, _) = bytes.split_first_chunk::<{ InteractionId::BYTES }>()?;
        let state = Self(SecretString::new(text));
        Some((state, InteractionId::from_bytes(*id)))
    }
}

/// Judges a callback and, if the login succeeded, opens the grant.
///
/// # Errors
/// See [`CallbackError`].
pub(crate) async fn complete(
    server: &AuthServer,
    returned: Returned<'_>,
    browser: Option<&BrowserId>,
) -> Result<Completed, CallbackError> {
    let (state, id) = returned
        .state
        .and_then(State::read)
        .ok_or(CallbackError::StateMissing)?;
    let (opened, asked) = claim(server, &state, id, browser).await?;
    let IdentityProvider::Upstream(provider) =
        &find_resource(server, &opened.interaction.request.resource)?.provider
    else {
        return Err(InteractionError::Unknown.into());
    };
    if let Err(mix_up) = provider.check_callback_issuer(returned.iss) {
        opened.begin_again().await?;
        return Err(CallbackError::Login(id, mix_up));
    }
    match (returned.error, returned.code) {
        // Not every provider that has no such choice says so in its metadata.
        (Some("invalid_request"), _) if asked.prompt.as_deref() == Some(CHOOSE_ACCOUNT) => {
            let login = Some("login".to_owned());
            Ok(Completed::SentAgain(
                opened.visit_provider(provider, login).await?,
            ))
        }
        (Some(error), _) => Ok(Completed::Answered(refused(opened, error).await?)),
        (None, Some(code)) => exchange(opened, provider, code, &asked.secrets)
            .await
            .map(Completed::Answered),
        (None, None) => {
            opened.begin_again().await?;
            Err(CallbackError::Empty(id))
        }
    }
}

/// Uses the state up. Whoever bears the wrong cookie uses up nothing.
async fn claim<'a>(
    server: &'a AuthServer,
    state: &State,
    id: InteractionId,
    browser: Option<&'a BrowserId>,
) -> Result<(Opened<'a>, Asked), CallbackError> {
    let interaction = Interactions::of(server).open(id, browser).await?;
    let hash = state.hash();
    let is_ours = |stored: &[u8; 32]| SecretBytes::new(*stored) == SecretBytes::new(hash);
    let visit = match &interaction.stage {
        Stage::AtProvider(visit) if is_ours(&visit.state_hash) => visit,
        Stage::Done => return Err(CallbackError::AlreadyDone),
        Stage::Consent | Stage::AtProvider(_) | Stage::AtLogin => {
            return Err(CallbackError::Superseded(id));
        }
    };
    let taken = server
        .store
        .take_state(&hash)
        .await
        .map_err(InteractionError::Unavailable)?;
    if taken != Some(*id.as_bytes()) {
        let age = server.clock.now().since(visit.began_at);
        return Err(if age >= STATE_LIFE {
            CallbackError::StateExpired(id)
        } else {
            CallbackError::AlreadyDone
        });
    }
    let asked = Asked {
        prompt: visit.prompt.clone(),
        secrets: visit.secrets.clone(),
    };
    let opened = Opened {
        server,
        id,
        browser: browser.ok_or(InteractionError::OtherBrowser)?,
        interaction,
    };
    Ok((opened, asked))
}

async fn exchange(
    opened: Opened<'_>,
    provider: &UpstreamProvider,
    code: &str,
    secrets: &LoginSecrets,
) -> Result<Ending, CallbackError> {
    let id = opened.id;
    let granted = &opened.interaction.request.scopes;
    let more_scopes = opened.server.settings.identity_scopes(granted);
    match provider.exchange(code, secrets, &more_scopes).await {
        Ok(identity) => opened
            .finish(identity)
            .await
            .map_err(|error| CallbackError::Finish(id, error)),
        Err(error) => {
            opened.begin_again().await?;
            Err(CallbackError::Login(id, error))
        }
    }
}

/// The provider said no, or could not say yes; the client is told in OAuth's words.
async fn refused(opened: Opened<'_>, error: &str) -> Result<Ending, CallbackError> {
    let (code, description): (_, Cow<'static, str>) = match error {
        "access_denied" => (
            OAuthErrorCode::AccessDenied,
            "the user, or the identity provider for them, said no".into(),
        ),
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => (
            OAuthErrorCode::AccessDenied,
            format!("the login at the identity provider did not succeed: {error}").into(),
        ),
        "temporarily_unavailable" => (
            OAuthErrorCode::TemporarilyUnavailable,
            "the identity provider is not available right now; try again shortly".into(),
        ),
        other => (
            OAuthErrorCode::ServerError,
            format!(
                "the identity provider refused the request: {}",
                printable(other)
            )
            .into(),
        ),
    };
    let request = opened.close().await?;
    tracing::warn!(
        client.id = %request.client, error = printable(error),
        "the identity provider answered a login with an error",
    );
    let error = OAuthError::new(code, description);
    Ok(opened.refuse(&request, error).await?)
}

/// An error code of OAuth's form, or nothing of it.
fn printable(error: &str) -> &str {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if error.len() <= 64 && error.bytes().all(fits) {
        error
    } else {
        "(not an OAuth error code)"
    }
}
