//! The provider's metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).

mod discovery;
mod issuer;
#[cfg(test)]
mod tests;

use std::path::Path;

use domain::{base_url::is_loopback, scope::ScopeSet};
use serde_json::{Map, Value};
use url::Url;

pub(super) use self::{discovery::Pace, issuer::IssuerRule};
use super::{MetadataError, MetadataSource, UpstreamSettings};

/// What is used of a provider's metadata.
#[derive(Debug)]
pub(super) struct ProviderMetadata {
    pub(super) issuer: IssuerRule,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) jwks_uri: Option<Url>,
    /// Where tokens are taken back (RFC 7009), and how we authenticate there.
    pub(super) revocation_endpoint: Option<(Url, ClientAuthentication)>,
    pub(super) client_authentication: ClientAuthentication,
    /// Whether its authorization responses carry `iss` (RFC 9207 §3).
    pub(super) sends_issuer: bool,
    /// Whether it says which `prompt` values it knows, and `select_account` is not among them.
    pub(super) lacks_account_choice: bool,
}

/// How we authenticate at the token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuthentication {
    Basic,
    Post,
}

// === impl ProviderMetadata ===

impl ProviderMetadata {
    /// Reads or discovers the metadata and checks what it says of itself.
    pub(super) async fn load(
        settings: &UpstreamSettings,
        http: &reqwest::Client,
        pace: &Pace,
    ) -> Result<Self, MetadataError> {
        let (members, expected, source) = match &settings.metadata {
            MetadataSource::File(path) => (read_file(path)?, None, path.display().to_string()),
            MetadataSource::Discovery(url) => {
                let found = discovery::discover(url, http, pace).await?;
                (found.members, Some(found.issuer), found.url.to_string())
            }
        };
        let metadata = Self::read(
            &members,
            expected.as_deref(),
            settings.issuer.as_deref(),
            &source,
        )?;
        metadata.warn(&members, &settings.scope);
        Ok(metadata)
    }

    /// Whether a file says what is needed.
    pub(super) fn check_file(path: &Path, vouched: Option<&str>) -> Result<(), MetadataError> {
        let members = read_file(path)?;
        let source = path.display().to_string();
        Self::read(&members, None, vouched, &source).map(drop)
    }

    fn read(
        members: &Map<String, Value>,
        expected: Option<&str>,
        vouched: Option<&str>,
        source: &str,
    ) -> Result<Self, MetadataError> {
        let reader = Reader { members, source };
        Ok(Self {
            issuer: IssuerRule::judge(expected, vouched, reader.issuer()?)?,
            authorization_endpoint: reader.needed_url("authorization_endpoint")?,
            token_endpoint: reader.needed_url("token_endpoint")?,
            userinfo_endpoint: reader.url("userinfo_endpoint")?,
            jwks_uri: reader.url("jwks_uri")?,
            revocation_endpoint: reader
                .url("revocation_endpoint")?
                .map(|url| (url, ClientAuthentication::at_revocation(members))),
            client_authentication: ClientAuthentication::choose(members, TOKEN_METHODS),
            sends_issuer: members
                .get("authorization_response_iss_parameter_supported")
                .is_some_and(|value| value == true),
            lacks_account_choice: {
                let known = words(members, "prompt_values_supported");
                !known.is_empty() && !known.contains(&"select_account")
            },
        })
    }

    /// Says what is legal but probably not meant.
    fn warn(&self, members: &Map<String, Value>, scope: &ScopeSet) {
        let endpoints = [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            self.userinfo_endpoint.as_ref(),
            self.jwks_uri.as_ref(),
            self.revocation_endpoint.as_ref().map(|(url, _)| url),
        ];
        for url in endpoints.into_iter().flatten() {
            if url.scheme() == "http" && !is_loopback(url) {
                tracing::warn!(endpoint.url = %url, "the identity provider is reached without TLS");
            }
        }
        let supported = words(members, "scopes_supported");
        let unknown: Vec<&str> = scope
            .iter()
            .map(domain::scope::Scope::as_str)
            .filter(|asked| !supported.is_empty() && !supported.contains(asked))
            .collect();
        if !unknown.is_empty() {
            tracing::warn!(
                scope = unknown.join(" "),
                "the identity provider's metadata does not list some scopes of IDENTITY_SCOPE"
            );
        }
        if scope.contains("openid") && self.jwks_uri.is_none() {
            tracing::warn!(
                "IDENTITY_SCOPE asks for openid, but the identity provider's metadata has no \
                 jwks_uri: ID tokens cannot be checked and are not used"
            );
        }
    }
}

fn read_file(path: &Path) -> Result<Map<String, Value>, MetadataError> {
    let name = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| MetadataError::File(format!("{name} cannot be read: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        MetadataError::File(format!("{name} does not hold one JSON object: {error}"))
    })
}

fn words<'a>(members: &'a Map<String, Value>, name: &str) -> Vec<&'a str> {
    members
        .get(name)
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

// === impl ClientAuthentication ===

impl ClientAuthentication {
    /// Basic, which is the default (RFC 8414 §2) and which servers have to support (RFC 6749
    /// §2.3.1), unless the provider lists other methods only, and post among them.
    fn choose(members: &Map<String, Value>, list: &str) -> Self {
        let methods = words(members, list);
        if methods.contains(&"client_secret_post") && !methods.contains(&"client_secret_basic") {
            Self::Post
        } else {
            Self::Basic
        }
    }

    /// What it says of that endpoint, else what it says of the token endpoint: by RFC 8414 §2 the
    /// default is Basic, but a provider that knows only one way does so everywhere.
    fn at_revocation(members: &Map<String, Value>) -> Self {
        const METHODS: &str = "revocation_endpoint_auth_methods_supported";
        let list = if members.contains_key(METHODS) {
            METHODS
        } else {
            TOKEN_METHODS
        };
        Self::choose(members, list)
    }
}

const TOKEN_METHODS: &str = "token_endpoint_auth_methods_supported";

/// Reads members and says where they stand when they are wrong.
struct Reader<'a> {
    members: &'a Map<String, Value>,
    source: &'a str,
}

// === impl Reader ===

impl Reader<'_> {
    fn issuer(&self) -> Result<&str, MetadataError> {
        let issuer = self
            .members
            .get("issuer")
            .and_then(Value::as_str)
            .ok_or_else(|| self.invalid("has no `issuer`"))?;
        let is_url = Url::parse(issuer)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if is_url {
            Ok(issuer)
        } else {
            Err(self.invalid("has an `issuer` that is not a URL"))
        }
    }

    fn needed_url(&self, name: &str) -> Result<Url, MetadataError> {
        self.url(name)?
            .ok_or_else(|| self.invalid(&format!("has no `{name}`")))
    }

    fn url(&self, name: &str) -> Result<Option<Url>, MetadataError> {
        let value = match self.members.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(value) => value,
        };
        value
            .as_str()
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .filter(|url| url.fragment().is_none())
            .map(Some)
            .ok_or_else(|| {
                self.invalid(&format!(
                    "has a `{name}` that is not an http(s) URL without fragment"
                ))
            })
    }

    fn invalid(&self, what: &str) -> MetadataError {
        MetadataError::Invalid(format!(
            "the identity provider's metadata ({}) {what}; it needs `issuer`, \
             `authorization_endpoint` and `token_endpoint`",
            self.source
        ))
    }
}
