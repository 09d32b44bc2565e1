//! From consent to the client's answer.
//!
//! Consent comes before the provider, every time, and nothing of it is remembered: a client's
//! name is only what it says of itself, so no earlier yes can speak for a later request.

pub(crate) mod callback;
pub(crate) mod local;
pub(crate) mod throttle;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    oauth_error::{OAuthError, OAuthErrorCode},
    pkce::CodeVerifier,
    resource::Resource,
    secret::SecretString,
};
use grants::{CompletedLogin, DecideError};
use idp::{
    provider::{Identity, IdentityProvider},
    upstream::{LoginRequest, LoginSecrets, UpstreamProvider},
};
use store::StoreUnavailable;

use super::{
    answer::{Answer, DeviceOutcome, Ending, Outcome},
    browser::BrowserId,
    interaction::{
        AuthorizationRequest, Interaction, InteractionError, InteractionId, Interactions, Redirect,
        Reply, Stage, Visit,
    },
};
use crate::{AuthServer, server::ProtectedResource};

use self::callback::State;

/// An interaction that its own browser has opened.
pub(crate) struct Opened<'a> {
    pub(crate) server: &'a AuthServer,
    pub(crate) id: InteractionId,
    pub(crate) browser: &'a BrowserId,
    pub(crate) interaction: Interaction,
}

/// The way to the identity provider.
#[derive(Debug)]
pub(crate) struct ToProvider {
    /// Holds the state.
    pub(crate) address: SecretString,
    /// What people call the provider.
    pub(crate) name: String,
}

/// Where a person goes who has agreed.
#[derive(Debug)]
pub(crate) enum Onward {
    /// To the identity provider.
    Provider(ToProvider),
    /// To our own login page.
    LoginPage,
}

/// Why a completed login gives no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FinishError {
    #[error(transparent)]
    Interaction(#[from] InteractionError),
    /// The registration was forgotten during the login.
    #[error("the client is not registered any more")]
    ClientGone,
    /// The device waited too long, or was decided about elsewhere.
    #[error("{0}")]
    Device(DecideError),
}

// === impl FinishError ===

impl From<StoreUnavailable> for FinishError {
    fn from(fault: StoreUnavailable) -> Self {
        Self::Interaction(InteractionError::Unavailable(fault))
    }
}

impl From<DecideError> for FinishError {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Unavailable(fault) => fault.into(),
            error @ (DecideError::Expired | DecideError::Decided) => Self::Device(error),
        }
    }
}

// === impl Opened ===

impl<'a> Opened<'a> {
    /// Opens an interaction that is not done yet.
    ///
    /// # Errors
    /// See [`InteractionError`].
    pub(crate) async fn open(
        server: &'a AuthServer,
        id: InteractionId,
        browser: Option<&'a BrowserId>,
    ) -> Result<Self, InteractionError> {
        let interaction = Interactions::of(server).open_live(id, browser).await?;
        Ok(Self {
            server,
            id,
            browser: browser.ok_or(InteractionError::OtherBrowser)?,
            interaction,
        })
    }

    /// The MCP server that access is asked for; none if it was configured away meanwhile.
    ///
    /// # Errors
    /// [`InteractionError::Unknown`].
    pub(crate) fn resource(&self) -> Result<&'a ProtectedResource, InteractionError> {
        find_resource(self.server, &self.interaction.request.resource)
    }

    /// The person agreed. Whatever was begun at the provider before is void from now on.
    ///
    /// # Errors
    /// See [`InteractionError`].
    pub(crate) async fn agree(self, another_account: bool) -> Result<Onward, InteractionError> {
        let server = self.server;
        if let Stage::AtProvider(visit) = &self.interaction.stage {
            server.store.drop_state(&visit.state_hash).await?;
        }
        match &self.resource()?.provider {
            IdentityProvider::Upstream(provider) => {
                let prompt = if another_account {
                    Some(provider.account_prompt().to_owned())
                } else {
                    self.interaction.request.prompt.clone()
                };
                Ok(Onward::Provider(
                    self.visit_provider(provider, prompt).await?,
                ))
            }
            IdentityProvider::Local(_) => {
                self.save(Stage::AtLogin).await?;
                Ok(Onward::LoginPage)
            }
        }
    }

    /// The person said no.
    ///
    /// # Errors
    /// See [`InteractionError`].
    pub(crate) async fn cancel(self) -> Result<Ending, InteractionError> {
        if let Stage::AtProvider(visit) = &self.interaction.stage {
            self.server.store.drop_state(&visit.state_hash).await?;
        }
        let request = Interactions::of(self.server)
            .close(self.id, self.browser, |_| true)
            .await?;
        let error = OAuthError::new(OAuthErrorCode::AccessDenied, "the user did not agree");
        self.refuse(&request, error).await
    }

    async fn visit_provider(
        self,
        provider: &UpstreamProvider,
        prompt: Option<String>,
    ) -> Result<ToProvider, InteractionError> {
        let random = self.server.random.as_ref();
        let state = State::new(self.id, random);
        let secrets = LoginSecrets {
            nonce: SecretString::new(URL_SAFE_NO_PAD.encode(random.bytes::<32>())),
            verifier: new_verifier(random.bytes())?,
        };
        let request = &self.interaction.request;
        let address = provider.authorization_url(
            &LoginRequest {
                state: state.expose(),
                prompt: prompt.as_deref(),
                max_age: request.max_age,
                login_hint: request.login_hint.as_deref(),
                more_scopes: self.server.settings.identity_scopes(&request.scopes),
            },
            &secrets,
        );
        let address = SecretString::new(address);
        let name = provider.display_name();
        let state_hash = state.hash();
        // First the record, then the state that leads to it.
        let id = self.id;
        let server = self.server;
        self.save(Stage::AtProvider(Visit {
            state_hash,
            began_at: server.clock.now(),
            prompt,
            secrets,
        }))
        .await?;
        server
            .store
            .put_state(&state_hash, id.as_bytes(), callback::STATE_LIFE)
            .await?;
        Ok(ToProvider { address, name })
    }

    /// Opens the grant of a completed login and closes the interaction: the client gets its code,
    /// or the device its grant.
    async fn finish(self, identity: Identity) -> Result<Ending, FinishError> {
        let server = self.server;
        // A registration outlives its grants: extended before the grant is opened.
        if !server
            .clients
            .keep(&self.interaction.request.client)
            .await?
        {
            return Err(FinishError::ClientGone);
        }
        let request = self.close().await?;
        let subject = identity.subject.clone();
        let opened = match &request.reply {
            Reply::Redirect(redirect) => open_grant(server, &request, redirect, identity).await,
            Reply::Device(device) => {
                match server.grants.approve_device(&device.grant, identity).await {
                    Ok(()) => Ok(device_ending(&request, DeviceOutcome::Allowed)),
                    Err(error) => Err(error.into()),
                }
            }
        };
        match &opened {
            Ok(_) => tracing::info!(
                client.id = %request.client, user.subject = %subject,
                resource = %request.resource, scope = %request.scopes, "login completed",
            ),
            Err(FinishError::Interaction(fault)) => {
                // Best effort: if this works, the person can begin again at the consent page.
                let reopened = self.save(Stage::Consent).await.is_ok();
                tracing::warn!(
                    client.id = %request.client, user.subject = %subject, reopened, cause = %fault,
                    "a login could not be stored",
                );
            }
            Err(error @ (FinishError::ClientGone | FinishError::Device(_))) => tracing::info!(
                client.id = %request.client, user.subject = %subject, cause = %error,
                "a login came too late",
            ),
        }
        opened
    }

    /// Tells whoever asked that nothing is allowed; the interaction is closed by now.
    async fn refuse(
        self,
        request: &AuthorizationRequest,
        error: OAuthError,
    ) -> Result<Ending, InteractionError> {
        let device = match &request.reply {
            Reply::Redirect(redirect) => {
                let answer = Answer::to(&request.client_name, redirect, Outcome::Error(error));
                return Ok(Ending::Client(answer));
            }
            Reply::Device(device) => device,
        };
        if error.error != OAuthErrorCode::AccessDenied {
            return Ok(device_ending(request, DeviceOutcome::StillWaits));
        }
        match self.server.grants.deny_device(&device.grant).await {
            Ok(()) => Ok(device_ending(request, DeviceOutcome::Refused)),
            Err(DecideError::Expired | DecideError::Decided) => {
                Ok(device_ending(request, DeviceOutcome::Void))
            }
            Err(DecideError::Unavailable(fault)) => {
                // Best effort: if this works, the person can say no once more.
                drop(self.save(Stage::Consent).await);
                Err(fault.into())
            }
        }
    }

    /// Back to the consent page, so that nothing of this attempt stays usable; unless the person
    /// has gone on elsewhere since.
    async fn begin_again(self) -> Result<(), InteractionError> {
        let stored = Interactions::of(self.server)
            .open(self.id, Some(self.browser))
            .await?;
        if stored.stage.is_still(&self.interaction.stage) {
            self.save(Stage::Consent).await?;
        }
        Ok(())
    }

    /// Closes the interaction, if this attempt is still the one that counts.
    async fn close(&self) -> Result<AuthorizationRequest, InteractionError> {
        let stage = &self.interaction.stage;
        Interactions::of(self.server)
            .close(self.id, self.browser, |stored| stored.is_still(stage))
            .await
    }

    async fn save(self, stage: Stage) -> Result<(), InteractionError> {
        let interaction = Interaction {
            stage,
            ..self.interaction
        };
        Interactions::of(self.server)
            .save(self.id, self.browser, &interaction)
            .await?;
        Ok(())
    }
}

async fn open_grant(
    server: &AuthServer,
    request: &AuthorizationRequest,
    redirect: &Redirect,
    identity: Identity,
) -> Result<Ending, FinishError> {
    let login = CompletedLogin {
        client: request.client.clone(),
        resource: request.resource.clone(),
        scopes: request.scopes.clone(),
        identity,
        code_challenge: redirect.code_challenge.clone(),
        redirect_uri: redirect.uri.to_string(),
        nonce: redirect.nonce.clone(),
    };
    let code = server.grants.open(login).await?;
    let answer = Answer::to(&request.client_name, redirect, Outcome::Code(code));
    Ok(Ending::Client(answer))
}

fn device_ending(request: &AuthorizationRequest, outcome: DeviceOutcome) -> Ending {
    Ending::Device {
        client_name: request.client_name.clone(),
        outcome,
    }
}

fn find_resource<'a>(
    server: &'a AuthServer,
    resource: &Resource,
) -> Result<&'a ProtectedResource, InteractionError> {
    server
        .settings
        .resources
        .iter()
        .find(|protected| protected.resource == *resource)
        .ok_or(InteractionError::Unknown)
}

/// 32 random bytes make 43 characters, the least a verifier may have (RFC 7636 §4.1).
fn new_verifier(random: [u8; 32]) -> Result<CodeVerifier, StoreUnavailable> {
    CodeVerifier::parse(&URL_SAFE_NO_PAD.encode(random))
        .ok_or_else(|| StoreUnavailable("no verifier could be made".to_owned()))
}
