//! A client looks at its registration, changes it, takes it back (RFC 7592).

use domain::{
    client::Client,
    id::ClientId,
    secret::{SecretBytes, SecretString},
};
use serde_json::{Map, Value};
use store::StoreUnavailable;

use super::{
    patience::Patience,
    registration::{self, Registered, RegistrationError},
};
use crate::{AuthServer, clients::TokenHash};

/// Who asks, and what it shows for it.
#[derive(Clone, Copy)]
pub(crate) struct Manager<'a> {
    pub(crate) server: &'a AuthServer,
    /// As it stands in the path.
    pub(crate) client_id: &'a str,
    pub(crate) token: &'a str,
}

/// Why nothing was told or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagementError {
    /// No such client, or not its token: which of them is not said.
    #[error("this is not the registration access token of a client that is registered here")]
    Unauthorized,
    /// RFC 7592 §2.2: what the server alone says.
    #[error("{0} must not be sent")]
    NotYours(&'static str),
    /// RFC 7592 §2.2: the request names its client too.
    #[error("client_id is absent or names another client than the path")]
    OtherClient,
    /// RFC 7592 §2.2: a client does not choose its secret.
    #[error("client_secret is not the one that was issued")]
    OtherSecret,
    /// What it says of itself is refused.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// What no request may hold.
pub(crate) const NOT_YOURS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

// === impl Manager ===

impl Manager<'_> {
    /// The client as it is registered. Its secret is not known any more.
    ///
    /// # Errors
    /// See [`ManagementError`].
    pub(crate) async fn read(self) -> Result<Registered, ManagementError> {
        let (client, _) = self.authenticate(Patience::begin()).await?;
        Ok(self.registered(client, None))
    }

    /// Replaces all that the client said of itself. It keeps its id, its token and, while it needs
    /// one, its secret.
    ///
    /// # Errors
    /// See [`ManagementError`].
    pub(crate) async fn replace(
        self,
        members: &Map<String, Value>,
    ) -> Result<Registered, ManagementError> {
        let patience = Patience::begin();
        let (mut client, token_hash) = self.authenticate(patience).await?;
        if let Some(name) = NOT_YOURS
            .into_iter()
            .find(|name| members.contains_key(*name))
        {
            return Err(ManagementError::NotYours(name));
        }
        if members.get("client_id").and_then(Value::as_str) != Some(client.id.as_str()) {
            return Err(ManagementError::OtherClient);
        }
        let shown = shown_secret(&client, members)?;
        client.metadata = registration::metadata(self.server, members)?;
        let made = registration::give_secret(&mut client, self.server.random.as_ref());
        let clients = &self.server.clients;
        let is_passing = |_: &StoreUnavailable| true;
        let replaced = patience.insist(is_passing, || clients.replace(&client, token_hash));
        if !replaced.await? {
            return Err(ManagementError::Unauthorized);
        }
        let secret = made.or(shown.filter(|_| client.secret_hash.is_some()));
        Ok(self.registered(client, secret))
    }

    /// Forgets the client: its refresh tokens are of no use from now on, its access tokens until
    /// their end.
    ///
    /// # Errors
    /// See [`ManagementError`].
    pub(crate) async fn forget(self) -> Result<(), ManagementError> {
        let patience = Patience::begin();
        let (client, _) = self.authenticate(patience).await?;
        let clients = &self.server.clients;
        let is_passing = |_: &StoreUnavailable| true;
        patience
            .insist(is_passing, || clients.forget(&client.id))
            .await?;
        Ok(())
    }

    async fn authenticate(
        self,
        patience: Patience,
    ) -> Result<(Client, TokenHash), ManagementError> {
        let unauthorized = ManagementError::Unauthorized;
        let Ok(id) = ClientId::parse(self.client_id) else {
            return Err(unauthorized);
        };
        let clients = &self.server.clients;
        let is_passing = |_: &StoreUnavailable| true;
        let found = patience.insist(is_passing, || clients.managed(&id)).await?;
        let (client, registered) = found.ok_or(ManagementError::Unauthorized)?;
        let shown = registration::hash(&SecretString::new(self.token));
        if SecretBytes::new(shown) == SecretBytes::new(registered) {
            Ok((client, registered))
        } else {
            Err(unauthorized)
        }
    }

    fn registered(self, client: Client, secret: Option<SecretString>) -> Registered {
        Registered {
            client,
            secret,
            management_token: Some(SecretString::new(self.token)),
        }
    }
}

/// The secret that the request repeats, which must be the client's.
fn shown_secret(
    client: &Client,
    members: &Map<String, Value>,
) -> Result<Option<SecretString>, ManagementError> {
    let Some(shown) = members.get("client_secret") else {
        return Ok(None);
    };
    let shown = SecretString::new(shown.as_str().unwrap_or_default());
    let is_it = client.secret_hash.is_some_and(|registered| {
        SecretBytes::new(registration::hash(&shown)) == SecretBytes::new(registered)
    });
    if is_it {
        Ok(Some(shown))
    } else {
        Err(ManagementError::OtherSecret)
    }
}
