//! OAuth clients and their metadata (RFC 7591).

mod document;
mod parse;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use document::{ClientDomains, DocumentUrl, DomainList, InvalidDocumentUrl};

use crate::{
    id::ClientId,
    redirect_uri::{AllowedRedirectHosts, InvalidRedirectUri, RedirectUri},
    time::Timestamp,
};

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// When it registered.
    pub issued_at: Timestamp,
    /// SHA-256 of its secret (256 random bits, so that no slow hash is needed); public clients
    /// have none.
    pub secret_hash: Option<[u8; 32]>,
    /// What it said of itself.
    pub metadata: ClientMetadata,
}

/// What a client says of itself at registration, bounded and checked. Members that are not here
/// are ignored, never stored and never echoed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Where it may be redirected to; at least one, unless it uses no redirect at all.
    pub redirect_uris: Vec<RedirectUri>,
    /// How it may get tokens; never empty.
    #[serde(default = "GrantType::defaults")]
    pub grant_types: Vec<GrantType>,
    /// How it proves itself at the token endpoint.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// Whether it runs on the person's device or on a server.
    pub application_type: ApplicationType,
    /// Its name, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Its website, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its logo, as it says. Not fetched and not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its terms of service, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Its privacy policy, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// How to reach its makers, as it says.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contacts: Vec<String>,
    /// Scopes it means to ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Name of the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Version of the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// Algorithm it wants its ID tokens signed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<String>,
    /// Its public keys, if it signs assertions and has them here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jwks: Option<Value>,
    /// Where its public keys are, if it signs assertions and has them elsewhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub jwks_uri: Option<String>,
    /// The one algorithm that its assertions are signed with, if it said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// Where a person may return to after a logout, exactly (OpenID Connect RP-Initiated Logout
    /// §3.1).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// Whether its authorization requests count only if they were pushed (RFC 9126 §6).
    #[serde(skip_serializing_if = "is_false", default)]
    pub require_pushed_authorization_requests: bool,
}

/// How a client may get tokens (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantType {
    /// By a redirect through a browser (RFC 6749 §4.1).
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    /// By a refresh token (RFC 6749 §6).
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// By a code that a person enters elsewhere (RFC 8628).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
}

/// How a client proves itself at the token endpoint (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// A public client: it cannot keep a secret and PKCE alone binds its codes.
    None,
    /// Its secret in the `Authorization` header (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// Its secret in the form.
    ClientSecretPost,
    /// A JWT that it signs (RFC 7523, OpenID Connect Core §9).
    PrivateKeyJwt,
}

/// Where a client runs (OpenID Connect Registration §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    /// On the person's device.
    Native,
    /// On a server.
    Web,
}

/// Why a registration is refused (RFC 7591 §3.2.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClientMetadata {
    /// A redirect URI that nobody may have.
    #[error("redirect_uris[{index}]: {reason}")]
    RedirectUri {
        /// Which of them.
        index: usize,
        /// What is wrong with it.
        reason: InvalidRedirectUri,
    },
    /// A redirect URI that this server does not allow.
    #[error(
        "redirect_uris[{index}]: this server does not let clients redirect to that host; its operator can allow it with MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS"
    )]
    RedirectHost {
        /// Which of them.
        index: usize,
    },
    /// No redirect URI at all.
    #[error("redirect_uris: at least one is needed")]
    NoRedirectUri,
    /// Another member is wrong.
    #[error("{member}: {reason}")]
    Member {
        /// Its name.
        member: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

// === impl Client ===

impl Client {
    /// The registered redirect URI that covers `asked`, if any.
    pub fn redirect_uri_for(&self, asked: &RedirectUri) -> Option<&RedirectUri> {
        self.metadata
            .redirect_uris
            .iter()
            .find(|registered| registered.covers(asked))
    }

    /// Whether it registered for this way to get tokens.
    pub fn may_use(&self, grant_type: GrantType) -> bool {
        self.metadata.grant_types.contains(&grant_type)
    }

    /// Whether it proves itself at the token endpoint.
    pub fn is_confidential(&self) -> bool {
        self.metadata.token_endpoint_auth_method != TokenEndpointAuthMethod::None
    }
}

// === impl ClientMetadata ===

impl ClientMetadata {
    /// Reads the metadata of a registration request.
    ///
    /// # Errors
    /// With the first member that is wrong.
    pub fn parse(
        members: &Map<String, Value>,
        hosts: &AllowedRedirectHosts,
    ) -> Result<Self, InvalidClientMetadata> {
        parse::metadata(members, hosts)
    }

    /// The same where the device flow is not offered.
    ///
    /// # Errors
    /// If nothing else is left that the client could use.
    pub fn without_device_flow(mut self) -> Result<Self, InvalidClientMetadata> {
        self.grant_types
            .retain(|grant_type| *grant_type != GrantType::DeviceCode);
        if self.grant_types.contains(&GrantType::AuthorizationCode) {
            Ok(self)
        } else {
            Err(InvalidClientMetadata::Member {
                member: "grant_types",
                reason: "authorization_code must be among them; the device flow is turned off here",
            })
        }
    }
}

// === impl GrantType ===

impl GrantType {
    /// All of them, in the order in which they are announced.
    pub const ALL: [Self; 3] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::DeviceCode,
    ];

    /// Those of a client that names none; all that earlier releases knew.
    pub fn defaults() -> Vec<Self> {
        vec![Self::AuthorizationCode, Self::RefreshToken]
    }

    /// Its name in the RFC.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }
}

// === impl TokenEndpointAuthMethod ===

impl TokenEndpointAuthMethod {
    /// All methods, in the order in which they are announced.
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
    ];

    /// Whether client and server share a secret.
    pub const fn has_secret(self) -> bool {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost => true,
            Self::None | Self::PrivateKeyJwt => false,
        }
    }

    /// Its name in the RFC.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}
