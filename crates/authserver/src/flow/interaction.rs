//! One authorization in the making, from the client's request to its answer.
//!
//! It belongs to one browser: the record is sealed under a key from that browser's cookie and
//! remembers the cookie's hash, so that another browser can be told so, and can do nothing.

#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    client::Client,
    id::{ClientId, GrantId},
    pkce::{CodeChallenge, CodeVerifier},
    redirect_uri::RedirectUri,
    resource::Resource,
    scope::ScopeSet,
    secret::{SecretBytes, SecretString},
    time::Timestamp,
};
use idp::upstream::LoginSecrets;
use serde::{Deserialize, Serialize};
use store::StoreUnavailable;
use zeroize::Zeroizing;

use super::browser::BrowserId;
use crate::AuthServer;

/// How long a person may take.
pub(crate) const INTERACTION_LIFE: Duration = Duration::from_secs(60 * 60);

/// Format of the records: the byte in front.
const FORMAT: u8 = 1;
const LABEL: &[u8] = b"interaction 1";

/// The public name of an interaction: 16 random bytes, shown as 22 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InteractionId([u8; 16]);

/// An authorization in the making. Never printed: it holds what only client and provider may know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Interaction {
    pub(crate) request: AuthorizationRequest,
    pub(crate) began_at: Timestamp,
    pub(crate) stage: Stage,
}

/// What a client asked for, after every check.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client: ClientId,
    /// What it calls itself.
    pub(crate) client_name: String,
    pub(crate) reply: Reply,
    pub(crate) resource: Resource,
    pub(crate) scopes: ScopeSet,
    /// What of `prompt` goes on to the provider.
    pub(crate) prompt: Option<String>,
    pub(crate) max_age: Option<u64>,
    pub(crate) login_hint: Option<String>,
    /// Whether the operator vouches for the client, so that nobody is asked.
    #[serde(default)]
    pub(crate) skips_consent: bool,
}

/// How the client learns of the outcome.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// This browser takes it there.
    Redirect(Redirect),
    /// A device asks for it by itself.
    Device(Device),
}

/// Where an authorization response goes, and what belongs to it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Redirect {
    /// As the client wrote it, with its own port.
    pub(crate) uri: RedirectUri,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: CodeChallenge,
}

/// A device that waits (RFC 8628).
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Device {
    /// The grant to be.
    pub(crate) grant: GrantId,
    pub(crate) asked_at: Timestamp,
    pub(crate) asked_from: IpAddr,
}

/// How far it has come.
#[derive(Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Nothing is agreed to.
    Consent,
    /// Agreed; the person is at the identity provider. Agreeing anew makes a new one of these.
    AtProvider(Visit),
    /// Agreed; the person logs in here.
    AtLogin,
    /// The client has its answer.
    Done,
}

/// A visit of the person to the identity provider.
#[derive(Serialize, Deserialize)]
pub(crate) struct Visit {
    pub(crate) state_hash: [u8; 32],
    pub(crate) began_at: Timestamp,
    /// What was asked of the provider.
    pub(crate) prompt: Option<String>,
    #[serde(with = "secrets")]
    pub(crate) secrets: LoginSecrets,
}

/// Why an interaction cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InteractionError {
    /// Never begun, or too long ago.
    #[error("the interaction is not known, or has expired")]
    Unknown,
    /// Begun in a browser that bears another cookie, or none.
    #[error("the interaction was begun in another browser")]
    OtherBrowser,
    /// The client has got its answer.
    #[error("the interaction is done")]
    Done,
    /// The person has begun once more since.
    #[error("the interaction has gone on elsewhere")]
    Superseded,
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// The interactions of one server.
#[derive(Clone, Copy)]
pub(crate) struct Interactions<'a>(&'a AuthServer);

/// What a client is called.
pub(crate) fn display_name(client: &Client) -> &str {
    client
        .metadata
        .client_name
        .as_deref()
        .unwrap_or("A client without a name")
}

// === impl InteractionId ===

impl InteractionId {
    pub(crate) const BYTES: usize = 16;

    pub(crate) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 22 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for InteractionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

// === impl Stage ===

impl Stage {
    /// Whether this is the same step of the same attempt.
    pub(crate) fn is_still(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::AtProvider(visit), Self::AtProvider(earlier)) => {
                visit.state_hash == earlier.state_hash
            }
            (Self::AtLogin, Self::AtLogin) => true,
            _ => false,
        }
    }
}

// === impl Interactions ===

impl<'a> Interactions<'a> {
    pub(crate) const fn of(server: &'a AuthServer) -> Self {
        Self(server)
    }

    /// Remembers a new one.
    pub(crate) async fn begin(
        self,
        browser: &BrowserId,
        request: AuthorizationRequest,
    ) -> Result<InteractionId, StoreUnavailable> {
        let id = InteractionId(self.0.random.bytes());
        let interaction = Interaction {
            request,
            began_at: self.0.clock.now(),
            stage: Stage::Consent,
        };
        self.save(id, browser, &interaction).await?;
        Ok(id)
    }

    /// Opens one, with the cookie of the browser that shows it.
    pub(crate) async fn open(
        self,
        id: InteractionId,
        browser: Option<&BrowserId>,
    ) -> Result<Interaction, InteractionError> {
        let record = self
            .0
            .store
            .load_interaction(id.as_bytes())
            .await?
            .ok_or(InteractionError::Unknown)?;
        self.read(id, &record, browser)
    }

    /// Opens one that is not done yet.
    pub(crate) async fn open_live(
        self,
        id: InteractionId,
        browser: Option<&BrowserId>,
    ) -> Result<Interaction, InteractionError> {
        let interaction = self.open(id, browser).await?;
        if let Stage::Done = interaction.stage {
            return Err(InteractionError::Done);
        }
        Ok(interaction)
    }

    /// Remembers how far it has come. Its end stays where it was.
    pub(crate) async fn save(
        self,
        id: InteractionId,
        browser: &BrowserId,
        interaction: &Interaction,
    ) -> Result<(), StoreUnavailable> {
        let plain = serde_json::to_vec(interaction)
            .map(Zeroizing::new)
            .map_err(|error| StoreUnavailable(error.to_string()))?;
        let hash = browser.hash();
        let sealed = browser.key(id, self.issuer()).seal(
            &[LABEL, id.as_bytes(), &hash],
            &plain,
            self.0.random.as_ref(),
        );
        let mut record = Vec::with_capacity(1 + hash.len() + sealed.len());
        record.push(FORMAT);
        record.extend_from_slice(&hash);
        record.extend_from_slice(&sealed);
        self.0
            .store
            .put_interaction(id.as_bytes(), record, self.time_left(interaction))
            .await
    }

    /// Closes it for good, if its stage is still one that may be closed: of all who try, one
    /// succeeds. Returns what was asked.
    pub(crate) async fn close(
        self,
        id: InteractionId,
        browser: &BrowserId,
        may_close: impl Fn(&Stage) -> bool + Send,
    ) -> Result<AuthorizationRequest, InteractionError> {
        let record = self.0.store.take_interaction(id.as_bytes()).await?;
        // Somebody else closes it at this very moment.
        let record = record.ok_or(InteractionError::Done)?;
        let taken = self.read(id, &record, Some(browser))?;
        let refused = match taken.stage {
            Stage::Done => Some(InteractionError::Done),
            ref stage if !may_close(stage) => Some(InteractionError::Superseded),
            _ => None,
        };
        if let Some(refused) = refused {
            self.save(id, browser, &taken).await?;
            return Err(refused);
        }
        let closed = Interaction {
            stage: Stage::Done,
            ..taken
        };
        self.save(id, browser, &closed).await?;
        Ok(closed.request)
    }

    fn read(
        self,
        id: InteractionId,
        record: &[u8],
        browser: Option<&BrowserId>,
    ) -> Result<Interaction, InteractionError> {
        let (&format, rest) = record.split_first().ok_or(InteractionError::Unknown)?;
        let (hash, sealed) = rest
            .split_first_chunk::<32>()
            .filter(|_| format == FORMAT)
            .ok_or(InteractionError::Unknown)?;
        let browser = browser
            .filter(|browser| SecretBytes::new(browser.hash()) == SecretBytes::new(*hash))
            .ok_or(InteractionError::OtherBrowser)?;
        let plain = browser
            .key(id, self.issuer())
            .open(&[LABEL, id.as_bytes(), hash], sealed)
            .ok_or(InteractionError::Unknown)?;
        let interaction: Interaction =
            serde_json::from_slice(&plain).map_err(|_| InteractionError::Unknown)?;
        if self.time_left(&interaction).is_zero() {
            return Err(InteractionError::Unknown);
        }
        Ok(interaction)
    }

    fn time_left(self, interaction: &Interaction) -> Duration {
        let end = interaction.began_at.plus(INTERACTION_LIFE);
        end.since(self.0.clock.now())
    }

    fn issuer(self) -> &'a str {
        self.0.settings.base_url.issuer()
    }
}

/// The secrets of a visit, in the sealed record only.
mod secrets {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::{CodeVerifier, Deserialize, LoginSecrets, SecretString, Serialize};

    pub(super) fn serialize<S: Serializer>(
        secrets: &LoginSecrets,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (secrets.nonce.expose(), secrets.verifier.expose()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LoginSecrets, D::Error> {
        let (nonce, verifier) = <(String, String)>::deserialize(deserializer)?;
        Ok(LoginSecrets {
            nonce: SecretString::new(nonce),
            verifier: CodeVerifier::parse(&verifier)
                .ok_or_else(|| D::Error::custom("not a verifier"))?,
        })
    }
}
