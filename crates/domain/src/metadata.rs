//! The discovery documents: authorization server (RFC 8414, OpenID Connect Discovery) and
//! protected resource (RFC 9728). They announce exactly what is served.

use serde::Serialize;

use crate::{
    base_url::BaseUrl,
    claims,
    client::{GrantType, TokenEndpointAuthMethod},
    scope::ScopeSet,
};

/// Paths of the endpoints below the base URL.
pub mod path {
    /// Authorization endpoint.
    pub const AUTHORIZATION: &str = "/auth";
    /// The same, for clients of the 2025-03-26 specification that skip discovery.
    pub const AUTHORIZATION_ALIAS: &str = "/authorize";
    /// Token endpoint.
    pub const TOKEN: &str = "/token";
    /// Introspection endpoint (RFC 7662).
    pub const INTROSPECTION: &str = "/token/introspection";
    /// Revocation endpoint (RFC 7009).
    pub const REVOCATION: &str = "/token/revocation";
    /// Userinfo endpoint (OpenID Connect Core 1.0 §5.3).
    pub const USERINFO: &str = "/me";
    /// Dynamic client registration (RFC 7591).
    pub const REGISTRATION: &str = "/reg";
    /// The same, for clients of the 2025-03-26 specification that skip discovery.
    pub const REGISTRATION_ALIAS: &str = "/register";
    /// Pushed authorization requests (RFC 9126).
    pub const PUSHED_AUTHORIZATION: &str = "/request";
    /// End of session (OpenID Connect RP-Initiated Logout 1.0).
    pub const END_SESSION: &str = "/session/end";
    /// What concerns sessions lies below it.
    pub const SESSION: &str = "/session";
    /// Device authorization (RFC 8628).
    pub const DEVICE_AUTHORIZATION: &str = "/device/auth";
    /// Where a person enters a device's code.
    pub const DEVICE: &str = "/device";
    /// Public signing keys.
    pub const JWKS: &str = "/jwks";
    /// The pages of a login lie below it.
    pub const INTERACTION: &str = "/interaction";
    /// What browsers ask unasked.
    pub const ICON: &str = "/favicon.ico";
    /// Whether the process lives.
    pub const LIVENESS: &str = "/healthz";
    /// Whether it can answer.
    pub const READINESS: &str = "/readyz";
    /// Authorization server metadata (RFC 8414 §3).
    pub const AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
    /// The same document under OpenID Connect's name.
    pub const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
    /// Protected resource metadata (RFC 9728 §3).
    pub const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

    /// What no MCP server gets, each with everything below it: our endpoints, and those that the
    /// predecessor had, so that what clients remember of it never reaches a server.
    pub const OWN: [&str; 17] = [
        AUTHORIZATION,
        AUTHORIZATION_ALIAS,
        TOKEN,
        REGISTRATION,
        REGISTRATION_ALIAS,
        PUSHED_AUTHORIZATION,
        SESSION,
        JWKS,
        INTERACTION,
        ICON,
        LIVENESS,
        READINESS,
        AUTHORIZATION_SERVER,
        OPENID_CONFIGURATION,
        PROTECTED_RESOURCE,
        USERINFO,
        DEVICE,
    ];
}

/// Authorization server metadata.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the RFC's members, as they go over the wire"
)]
#[derive(Clone, Debug, Serialize)]
pub struct AuthorizationServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    /// Where `openid` is offered: without it nobody could be answered there.
    #[serde(skip_serializing_if = "Option::is_none")]
    userinfo_endpoint: Option<String>,
    pushed_authorization_request_endpoint: String,
    end_session_endpoint: String,
    require_pushed_authorization_requests: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_authorization_endpoint: Option<String>,
    jwks_uri: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    response_types_supported: &'static [&'static str],
    response_modes_supported: &'static [&'static str],
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_signing_alg_values_supported: Vec<String>,
    code_challenge_methods_supported: &'static [&'static str],
    authorization_response_iss_parameter_supported: bool,
    client_id_metadata_document_supported: bool,
    prompt_values_supported: &'static [&'static str],
    subject_types_supported: &'static [&'static str],
    id_token_signing_alg_values_supported: Vec<String>,
    claims_supported: Vec<&'static str>,
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
}

/// Protected resource metadata.
#[derive(Clone, Debug, Serialize)]
pub struct ProtectedResourceMetadata {
    resource: String,
    authorization_servers: [String; 1],
    /// Left out rather than empty: clients take an empty list as "ask for nothing".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
}

// === impl AuthorizationServerMetadata ===

impl AuthorizationServerMetadata {
    /// The document of the server at `base`, which offers `scopes` and signs ID tokens with
    /// `algorithms`.
    pub fn new(base: &BaseUrl, scopes: &ScopeSet, algorithms: Vec<String>) -> Self {
        let methods = TokenEndpointAuthMethod::ALL.map(TokenEndpointAuthMethod::as_str);
        Self {
            issuer: base.issuer().to_owned(),
            authorization_endpoint: base.join(path::AUTHORIZATION),
            token_endpoint: base.join(path::TOKEN),
            registration_endpoint: base.join(path::REGISTRATION),
            introspection_endpoint: base.join(path::INTROSPECTION),
            revocation_endpoint: base.join(path::REVOCATION),
            userinfo_endpoint: scopes.contains("openid").then(|| base.join(path::USERINFO)),
            pushed_authorization_request_endpoint: base.join(path::PUSHED_AUTHORIZATION),
            end_session_endpoint: base.join(path::END_SESSION),
            require_pushed_authorization_requests: false,
            device_authorization_endpoint: None,
            jwks_uri: base.join(path::JWKS),
            scopes_supported: texts(scopes),
            response_types_supported: &["code"],
            response_modes_supported: &["query"],
            grant_types_supported: GrantType::defaults()
                .into_iter()
                .map(GrantType::as_str)
                .collect(),
            token_endpoint_auth_methods_supported: methods,
            token_endpoint_auth_signing_alg_values_supported: Vec::new(),
            revocation_endpoint_auth_methods_supported: methods,
            revocation_endpoint_auth_signing_alg_values_supported: Vec::new(),
            // Whoever may ask there has a secret (RFC 7662 §4).
            introspection_endpoint_auth_methods_supported: methods
                .into_iter()
                .filter(|method| *method != "none")
                .collect(),
            introspection_endpoint_auth_signing_alg_values_supported: Vec::new(),
            introspection_signing_alg_values_supported: algorithms.clone(),
            code_challenge_methods_supported: &["S256"],
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: false,
            // `none` is understood, but can never succeed, since consent is always asked.
            prompt_values_supported: &["consent", "login", "select_account"],
            subject_types_supported: &["public"],
            id_token_signing_alg_values_supported: algorithms,
            claims_supported: claims_of(scopes),
            claims_parameter_supported: false,
            request_parameter_supported: false,
            // Its default is true (OpenID Connect Discovery §3), so it must be said. What the
            // pushed endpoint gives out is accepted all the same (RFC 9126 §5).
            request_uri_parameter_supported: false,
        }
    }

    /// Announces the device flow (RFC 8628 §4).
    #[must_use]
    pub fn with_device_flow(mut self, base: &BaseUrl) -> Self {
        self.device_authorization_endpoint = Some(base.join(path::DEVICE_AUTHORIZATION));
        self.grant_types_supported
            .push(GrantType::DeviceCode.as_str());
        self
    }

    /// Says whether authorization requests count only if they were pushed (RFC 9126 §5).
    #[must_use]
    pub fn with_pushed_requests_required(self, required: bool) -> Self {
        Self {
            require_pushed_authorization_requests: required,
            ..self
        }
    }
}

impl AuthorizationServerMetadata {
    /// The same, with the algorithms that clients may sign assertions with: needed at each endpoint
    /// that takes them (RFC 8414 §2).
    #[must_use]
    pub fn with_assertion_algorithms(mut self, algorithms: Vec<&'static str>) -> Self {
        self.token_endpoint_auth_signing_alg_values_supported
            .clone_from(&algorithms);
        self.revocation_endpoint_auth_signing_alg_values_supported
            .clone_from(&algorithms);
        self.introspection_endpoint_auth_signing_alg_values_supported = algorithms;
        self
    }

    /// The same, saying whether clients may name themselves by a metadata document
    /// (draft-ietf-oauth-client-id-metadata-document §6).
    #[must_use]
    pub const fn with_client_documents(mut self, are_taken: bool) -> Self {
        self.client_id_metadata_document_supported = are_taken;
        self
    }
}

// === impl ProtectedResourceMetadata ===

impl ProtectedResourceMetadata {
    /// The document of `resource`, exactly as it was asked for (RFC 9728 §3.3). `offline_access`
    /// is a matter between client and authorization server and is left out.
    pub fn new(base: &BaseUrl, resource: String, scopes: &ScopeSet) -> Self {
        let scopes_supported = texts(scopes)
            .into_iter()
            .filter(|scope| scope != "offline_access")
            .collect();
        Self {
            resource,
            authorization_servers: [base.issuer().to_owned()],
            scopes_supported,
            bearer_methods_supported: ["header"],
        }
    }
}

/// What ID token and userinfo say, as far as the scopes offered can open it.
fn claims_of(scopes: &ScopeSet) -> Vec<&'static str> {
    let of_id_token = [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "at_hash",
        "sid",
    ];
    of_id_token
        .into_iter()
        .chain(claims::opened_by(scopes))
        .collect()
}

fn texts(scopes: &ScopeSet) -> Vec<String> {
    scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect()
}
