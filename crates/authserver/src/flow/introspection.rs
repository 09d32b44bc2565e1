//! What a token is, for those whom it concerns (RFC 7662).

use domain::{
    address::ClientNetwork,
    id::ClientId,
    scope::ScopeSet,
    secret::{SecretBytes, SecretString},
    time::Timestamp,
};
use grants::{InspectError, Inspection, TokenKind};
use jose::signing::InvalidKeys;
use serde_json::{Map, Value, json};
use store::{StoreUnavailable, seal::sha256};

use super::{
    client_authentication::{self, ClientAuthenticationError, ShownCredentials},
    patience::Patience,
};
use crate::{AuthServer, ProtectedResource};

/// What MCP servers call themselves, with the secret configured for them. Ids that are given out
/// at registration are longer.
pub const MCP_SERVER_CLIENT_ID: &str = "mcp-server";

/// What is known of the token, and who asked: an answer that is signed is for them alone.
#[derive(Debug)]
pub(crate) struct Introspected {
    audience: String,
    /// `None` where the token is not active, or is none of the asker's business.
    token: Option<Inspection>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntrospectionError {
    /// The request shows none.
    #[error("token is absent")]
    MissingToken,
    /// The client is unknown or could not prove itself.
    #[error(transparent)]
    Client(#[from] ClientAuthenticationError),
    /// A public client id is no secret, and tokens must not be tried out (RFC 7662 §2.1, §4).
    #[error("only clients that were registered with a secret, and MCP servers, may ask here")]
    PublicClient,
    /// Not the secret of any MCP server.
    #[error("this is not the secret that was configured for an MCP server")]
    McpServerSecret,
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Who may ask, and for what.
enum Asker<'a> {
    /// A client, for its own tokens.
    Client(ClientId),
    /// An MCP server, for access tokens that it may be called with.
    McpServer(&'a ProtectedResource),
}

/// Looks at a token, which presents nothing.
///
/// # Errors
/// See [`IntrospectionError`].
pub(crate) async fn introspect(
    server: &AuthServer,
    shown: ShownCredentials<'_>,
    token: Option<&str>,
    network: ClientNetwork,
) -> Result<Introspected, IntrospectionError> {
    let patience = Patience::begin();
    let asker = authenticate(server, shown, network, patience).await?;
    let token = token.ok_or(IntrospectionError::MissingToken)?;
    let inspected = match patience.once(server.grants.inspect(token)).await {
        Ok(inspected) => Some(inspected),
        Err(InspectError::Unavailable(fault)) => return Err(fault.into()),
        Err(
            InspectError::Unknown
            | InspectError::Expired
            | InspectError::Replaced
            | InspectError::Ended,
        ) => None,
    };
    Ok(Introspected {
        audience: asker.name().to_owned(),
        token: inspected.filter(|inspected| asker.may_know(inspected)),
    })
}

async fn authenticate<'a>(
    server: &'a AuthServer,
    shown: ShownCredentials<'_>,
    network: ClientNetwork,
    patience: Patience,
) -> Result<Asker<'a>, IntrospectionError> {
    if let Some(secret) = secret_of_mcp_server(&shown) {
        let wrong = IntrospectionError::McpServerSecret;
        let id = ClientId::parse(MCP_SERVER_CLIENT_ID)
            .map_err(|_| IntrospectionError::McpServerSecret)?;
        let judge = || by_secret(&server.settings.resources, secret).ok_or(wrong);
        let guessed = server.clients.guess(&id, network, judge).await;
        return guessed
            .map_err(ClientAuthenticationError::from)?
            .map(Asker::McpServer);
    }
    let client =
        client_authentication::authenticate(&server.clients, shown, network, patience).await?;
    if client.is_confidential() {
        Ok(Asker::Client(client.id))
    } else {
        Err(IntrospectionError::PublicClient)
    }
}

/// The secret of whoever names itself so in one way; else it is judged as a client, which it is
/// not.
fn secret_of_mcp_server<'a>(shown: &'a ShownCredentials<'_>) -> Option<&'a str> {
    match (&shown.basic, shown.client_id, shown.client_secret) {
        (Some(basic), None | Some(MCP_SERVER_CLIENT_ID), None)
            if basic.id == MCP_SERVER_CLIENT_ID =>
        {
            Some(basic.secret.expose())
        }
        (None, Some(MCP_SERVER_CLIENT_ID), Some(secret)) => Some(secret),
        _ => None,
    }
}

/// Hashes are compared, so that not even the length of a secret shows in the time it takes. No
/// two servers have the same one.
fn by_secret<'a>(resources: &'a [ProtectedResource], shown: &str) -> Option<&'a ProtectedResource> {
    let hash = |secret: &str| SecretBytes::new(sha256(secret.as_bytes()));
    let shown = hash(shown);
    let fits = |protected: &&ProtectedResource| {
        let secret = protected.introspection_secret.as_ref();
        secret.map(SecretString::expose).map(hash) == Some(shown.clone())
    };
    resources.iter().find(fits)
}

// === impl Asker ===

impl Asker<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Client(id) => id.as_str(),
            Self::McpServer(protected) => protected.resource.as_str(),
        }
    }

    fn may_know(&self, token: &Inspection) -> bool {
        match self {
            Self::Client(id) => token.client() == id,
            Self::McpServer(protected) => {
                token.kind == TokenKind::Access && *token.resource() == protected.resource
            }
        }
    }
}

// === impl Introspected ===

impl Introspected {
    /// The answer as JSON (RFC 7662 §2.2).
    pub(crate) fn members(&self, issuer: &str) -> Map<String, Value> {
        let mut members = Map::new();
        let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
        set("active", self.token.is_some().into());
        let Some(token) = &self.token else {
            return members;
        };
        if !ScopeSet::is_empty(token.scopes()) {
            set("scope", token.scopes().to_string().into());
        }
        set("client_id", token.client().as_str().into());
        set("sub", token.subject().as_str().into());
        set("aud", token.resource().as_str().into());
        set("iss", issuer.into());
        set("exp", token.expires_at.as_unix().into());
        if let Some(issued) = token.issued_at {
            set("iat", issued.as_unix().into());
        }
        if token.kind == TokenKind::Access {
            set("token_type", "Bearer".into());
        }
        set("sid", token.grant().to_string().into());
        members
    }

    /// The answer as a JWT for the asker alone (RFC 9701 §5). It has neither `sub` nor `exp` of
    /// its own, so that nobody takes it for an access token.
    ///
    /// # Errors
    /// If the key refuses to sign.
    pub(crate) fn signed(
        &self,
        server: &AuthServer,
        now: Timestamp,
    ) -> Result<SecretString, InvalidKeys> {
        let issuer = server.settings.base_url.issuer();
        let claims = Map::from_iter([
            ("iss".to_owned(), json!(issuer)),
            ("aud".to_owned(), json!(self.audience)),
            ("iat".to_owned(), json!(now.as_unix())),
            (
                "token_introspection".to_owned(),
                self.members(issuer).into(),
            ),
        ]);
        let keys = server.keys.current();
        keys.sign(None, "token-introspection+jwt", &claims)
    }
}
