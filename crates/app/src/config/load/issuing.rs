//! What clients are given.

use std::time::Duration;

use authserver::{PreregisteredClient, Registration, ScopeDetail};
use domain::{
    client::{ClientDomains, DomainList},
    redirect_uri::AllowedRedirectHosts,
    scope::ScopeSet,
    secret::SecretString,
};
use jose::signing::SigningKeys;

use crate::{
    config::{
        ClientDocumentsConfig, Lives,
        explain::Origin,
        reader::Reader,
        values::{self, show_duration},
    },
    env::table as variable,
};

/// What this section says.
#[derive(Debug)]
pub(super) struct Issuing {
    pub(super) scopes: ScopeSet,
    pub(super) scope_details: Vec<ScopeDetail>,
    pub(super) signing_keys: Option<SecretString>,
    pub(super) lives: Lives,
    pub(super) strict_offline_access: bool,
    pub(super) allowed_redirect_hosts: AllowedRedirectHosts,
    pub(super) require_pushed_requests: bool,
    pub(super) registration: Registration,
    pub(super) clients: Vec<PreregisteredClient>,
    pub(super) device_flow: bool,
    pub(super) client_documents: ClientDocumentsConfig,
}

const DEFAULT_SCOPES: &str = "openid offline_access";
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// By a sibling's next refresh, at most one access life later, and its retries.
const WINDOW_MARGIN: Duration = Duration::from_secs(15 * 60);
const MAX_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

pub(super) fn read(reader: &mut Reader<'_>) -> Issuing {
    let scopes = reader.value_or(
        &variable::PROVIDER_SCOPE,
        ScopeSet::parse(DEFAULT_SCOPES).unwrap_or_default(),
        DEFAULT_SCOPES,
        values::scopes,
    );
    Issuing {
        scopes,
        scope_details: reader.file().scopes.clone(),
        signing_keys: signing_keys(reader),
        lives: lives(reader),
        strict_offline_access: reader.value_or(
            &variable::MCP_AUTH_PROXY_STRICT_OFFLINE_ACCESS,
            false,
            "false",
            values::switch,
        ),
        allowed_redirect_hosts: reader.value_or(
            &variable::MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS,
            AllowedRedirectHosts::all(),
            "all",
            |text| {
                AllowedRedirectHosts::parse(text)
                    .map_err(|entry| format!("`{entry}` is neither host, domain nor scheme"))
            },
        ),
        registration: Registration {
            management: reader.value_or(
                &variable::MCP_AUTH_PROXY_REGISTRATION_MANAGEMENT,
                false,
                "false",
                values::switch,
            ),
            initial_token: reader.value(
                &variable::MCP_AUTH_PROXY_REGISTRATION_TOKEN,
                values::own_secret,
            ),
        },
        clients: reader.file().clients.clone(),
        device_flow: reader.value_or(
            &variable::MCP_AUTH_PROXY_DEVICE,
            true,
            "on",
            values::on_or_off,
        ),
        require_pushed_requests: reader.value_or(
            &variable::MCP_AUTH_PROXY_REQUIRE_PUSHED_REQUESTS,
            false,
            "false",
            values::switch,
        ),
        client_documents: client_documents(reader),
    }
}

fn client_documents(reader: &mut Reader<'_>) -> ClientDocumentsConfig {
    let are_taken = reader.value_or(
        &variable::MCP_AUTH_PROXY_CLIENT_DOCUMENTS,
        true,
        "on",
        values::on_or_off,
    );
    let mut domains = |variable, default: &'static str| {
        reader.value_or(variable, DomainList::default(), default, |text| {
            DomainList::parse(text)
                .map_err(|entry| format!("`{entry}` is neither a host nor `*.` with a domain"))
        })
    };
    let domains = ClientDomains {
        allowed: domains(&variable::MCP_AUTH_PROXY_CLIENT_DOMAINS_ALLOW, "all"),
        denied: domains(&variable::MCP_AUTH_PROXY_CLIENT_DOMAINS_DENY, "none"),
    };
    let allows_loopback = reader.value_or(
        &variable::MCP_AUTH_PROXY_ALLOW_LOOPBACK_CLIENT_DOCUMENTS,
        false,
        "false",
        values::switch,
    );
    ClientDocumentsConfig {
        domains: are_taken.then_some(domains),
        allows_loopback,
    }
}

/// Looked through here, so that a broken key is told together with everything else. Never quotes
/// the text.
pub(super) fn signing_keys(reader: &mut Reader<'_>) -> Option<SecretString> {
    reader.value(&variable::OIDC_PROVIDER_JWKS, |text| {
        SigningKeys::parse(text).map_err(|error| error.to_string())?;
        Ok(SecretString::new(text))
    })
}

pub(super) fn lives(reader: &mut Reader<'_>) -> Lives {
    let access = reader.value_or(&variable::MCP_AUTH_PROXY_ACCESS_TTL, HOUR, "1h", |text| {
        values::life(text, Lives::MAX_ACCESS)
    });
    let refresh_idle = reader.value_or(
        &variable::MCP_AUTH_PROXY_REFRESH_IDLE,
        DAY * 14,
        "14d",
        |text| values::life(text, MAX_LIFE),
    );
    let grant = reader.value_or(
        &variable::MCP_AUTH_PROXY_GRANT_LIFE,
        DAY * 90,
        "90d",
        |text| values::life(text, MAX_LIFE),
    );
    let window = &variable::MCP_AUTH_PROXY_REFRESH_WINDOW;
    let refresh_window = reader.value(window, values::duration).unwrap_or_else(|| {
        let refresh_window = access + WINDOW_MARGIN;
        reader.explain(window, None, show_duration(refresh_window), Origin::Default);
        refresh_window
    });
    Lives {
        access,
        refresh_idle,
        grant,
        refresh_window,
    }
}
