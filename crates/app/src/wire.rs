//! The composition root: the only place that knows which store, which provider, which keys.

use std::{fs, sync::Arc};

use anyhow::{Context as _, Result};
use authserver::{
    AuthServer, ClientDocumentSettings, Limits, ProtectedResource, Settings,
    pages::{Branding, Pages, Theme},
};
use domain::resource::Resource;
use fetch::{FetchSettings, Fetcher};
use gateway::{Gateway, GatewaySettings, McpServer};
use grants::{GrantSettings, Grants, PredecessorSource};
use idp::{
    local::LocalProvider,
    provider::IdentityProvider,
    upstream::{UpstreamProvider, UpstreamSettings},
};
use jose::signing::KeyRing;
use store::{Store, predecessor::Predecessor};

use crate::{
    config::{Config, ProviderConfig, ServerConfig},
    edge::{Edge, EdgeSettings, Health},
    memory::Memory,
    seams::Seams,
};

/// Everything that answers requests.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) edge: Arc<Edge>,
    pub(crate) health: Arc<Health>,
}

/// Connects to the identity providers, all at once.
pub(crate) async fn connect_providers(
    config: &Config,
    keys: &Arc<KeyRing>,
    seams: &Seams,
) -> Result<Vec<IdentityProvider>> {
    let http = idp::http_client(&certificates(config)?)?;
    let connecting = config.providers.iter().map(|provider| {
        let http = http.clone();
        async move {
            match provider {
                ProviderConfig::Upstream {
                    metadata,
                    issuer,
                    client_id,
                    client_secret,
                    scope,
                    more_parameters,
                } => {
                    let settings = UpstreamSettings {
                        metadata: metadata.clone(),
                        issuer: issuer.clone(),
                        client_id: client_id.clone(),
                        client_secret: client_secret.clone(),
                        scope: scope.clone(),
                        more_parameters: more_parameters.clone(),
                        redirect_uri: config.redirect_uri(),
                    };
                    let clock = Arc::clone(&seams.clock);
                    let provider = UpstreamProvider::connect(settings, http, clock).await?;
                    Ok(IdentityProvider::Upstream(Arc::new(provider)))
                }
                ProviderConfig::Local { users_file } => {
                    let provider = LocalProvider::load(
                        users_file,
                        config.base_url.issuer(),
                        Arc::clone(keys),
                        Arc::clone(&seams.clock),
                    )?;
                    Ok(IdentityProvider::Local(Arc::new(provider)))
                }
            }
        }
    });
    futures_util::future::try_join_all(connecting).await
}

/// Puts together everything that answers requests.
pub(crate) fn assemble(
    config: &Config,
    memory: &Memory,
    providers: &[IdentityProvider],
    seams: &Seams,
) -> Result<Proxy> {
    let store = &memory.store;
    let grants = Arc::new(grants(config, store, providers, seams));
    if let Some(records) = &memory.predecessor {
        grants.take_over_from(succession(config, providers, records)?);
    }
    let branding = Branding {
        title: config.branding_title.clone(),
        favicon: config.branding_favicon.as_ref().map(ToString::to_string),
        theme: providers.first().map_or(Theme::Plain, |provider| {
            Theme::for_issuer(provider.issuer())
        }),
    };
    let pages = Pages::load(branding, config.views.as_deref())?;
    let gateway = Gateway::new(
        gateway_settings(config, &pages)?,
        Arc::clone(&grants),
        seams.tasks.clone(),
        seams.closing.clone(),
    )?;
    let authserver = AuthServer::new(
        Settings {
            base_url: config.base_url.clone(),
            resources: protected_resources(config, providers)?,
            scopes: config.scopes.clone(),
            callback_path: config.callback_path.clone(),
            allowed_redirect_hosts: config.allowed_redirect_hosts.clone(),
            client_documents: Some(client_documents(config)?),
            require_pushed_requests: config.require_pushed_requests,
            scope_details: config.scope_details.clone(),
            registration: config.registration.clone(),
            clients: config.clients.clone(),
            device_flow: config.device_flow,
            limits: Limits {
                requests: config.max_requests,
                window: config.max_requests_window,
            },
        },
        Arc::clone(store),
        grants,
        Arc::clone(memory.keys.ring()),
        pages,
        Arc::clone(&seams.clock),
        Arc::clone(&seams.random),
    );
    if let Some(records) = &memory.predecessor {
        authserver.take_over_from(Arc::clone(records));
    }
    let health = Arc::new(Health::new(Arc::clone(store)));
    let edge = Edge::new(
        EdgeSettings {
            base_url: config.base_url.clone(),
            local_insecure: config.local_insecure,
            trusted_proxies: config.trusted_proxies.clone(),
        },
        Arc::clone(&health),
        gateway,
        Arc::new(authserver),
        Arc::clone(&seams.random),
    );
    Ok(Proxy {
        edge: Arc::new(edge),
        health,
    })
}

/// The grants over a store.
pub(crate) fn grants(
    config: &Config,
    store: &Arc<dyn Store>,
    providers: &[IdentityProvider],
    seams: &Seams,
) -> Grants {
    Grants::new(
        GrantSettings {
            issuer: config.base_url.issuer().to_owned(),
            access_life: config.lives.access,
            refresh_idle: config.lives.refresh_idle,
            grant_life: config.lives.grant,
            refresh_window: config.lives.refresh_window,
            strict_offline_access: config.strict_offline_access,
            cache_bytes: config.cache_bytes,
            store_grace: config.store_grace,
            session_requests: config.session_requests,
        },
        Arc::clone(store),
        providers.iter().map(IdentityProvider::refresher).collect(),
        Arc::clone(&seams.clock),
        Arc::clone(&seams.random),
        seams.tasks.clone(),
    )
}

/// Whom we take over, and for what. The predecessor protected one MCP server; its users logged in
/// elsewhere.
pub(crate) fn succession(
    config: &Config,
    providers: &[IdentityProvider],
    records: &Arc<dyn Predecessor>,
) -> Result<PredecessorSource> {
    let resources = protected_resources(config, providers)?
        .into_iter()
        .filter(|server| matches!(server.provider, IdentityProvider::Upstream(_)))
        .map(|server| (server.resource, server.provider.issuer().to_owned()))
        .collect();
    Ok(PredecessorSource {
        records: Arc::clone(records),
        resources,
        scopes: config.offered_scopes(),
        redirect_hosts: config.allowed_redirect_hosts.clone(),
    })
}

fn client_documents(config: &Config) -> Result<ClientDocumentSettings> {
    let documents = &config.client_documents;
    let fetcher = Fetcher::new(&FetchSettings {
        allows_loopback: documents.allows_loopback,
        ca_certificates: certificates(config)?,
    })?;
    Ok(ClientDocumentSettings {
        fetcher: Arc::new(fetcher),
        domains: documents.domains.clone(),
    })
}

fn protected_resources(
    config: &Config,
    providers: &[IdentityProvider],
) -> Result<Vec<ProtectedResource>> {
    config
        .servers
        .iter()
        .map(|server| {
            let provider = providers
                .get(server.provider)
                .context("a server names an identity provider that is not configured")?;
            Ok(ProtectedResource {
                resource: resource(config, server),
                path: server.path().to_owned(),
                server_url: server.url.to_string(),
                introspection_secret: server.introspection_secret.clone(),
                provider: provider.clone(),
            })
        })
        .collect()
}

fn gateway_settings(config: &Config, pages: &Pages) -> Result<GatewaySettings> {
    let servers = config
        .servers
        .iter()
        .map(|server| {
            let resource = resource(config, server);
            McpServer {
                url: server.url.clone(),
                path: format!("{}{}", config.base_url.prefix(), server.path()),
                resource_metadata: resource.metadata_url(),
                connect_page: pages.connect(&resource),
                connect_page_csp: pages.content_security_policy().to_owned(),
                public_paths: server.public_paths.clone(),
                resource,
            }
        })
        .collect();
    Ok(GatewaySettings {
        base_url: config.base_url.clone(),
        servers,
        callback_path: config.callback_path.clone(),
        challenge_scopes: config.scopes.clone(),
        allowed_origins: config.allowed_origins.clone(),
        max_body: config.max_body,
        sse_keepalive: config.sse_keepalive,
        ca_certificates: certificates(config)?,
    })
}

fn resource(config: &Config, server: &ServerConfig) -> Resource {
    Resource::at(&config.base_url, server.path())
}

/// The roots that the operator adds for provider and server, as PEM.
pub(crate) fn certificates(config: &Config) -> Result<Vec<Vec<u8>>> {
    config
        .ca_files
        .iter()
        .map(|path| {
            fs::read(path).with_context(|| format!("the CA file {} cannot be read", path.display()))
        })
        .collect()
}
