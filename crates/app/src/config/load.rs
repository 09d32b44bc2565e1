//! Puts the configuration together, section by section.

use crate::{
    cli::Flags,
    env::{Environment, table as variable},
};

use super::{
    Config, Inherited, KeysConfig, MoveConfig, ProviderConfig, StoreConfig,
    faults::{Faults, Warning},
    reader::{Place, Reader},
};

mod address;
mod issuing;
mod operation;
mod paths;
mod providers;
mod servers;
mod storage;

/// See [`super::load_store`].
pub(super) fn load_store(flags: &Flags, environment: &Environment) -> Result<StoreConfig, Faults> {
    let mut reader = Reader::open(flags, environment);
    let on_dyno = operation::is_on_dyno(&mut reader);
    let store = storage::store(&mut reader, on_dyno);
    match store {
        Some(store) if !reader.is_blind() => Ok(store),
        _ => Err(reader.into_parts().0),
    }
}

/// See [`super::load_keys`].
pub(super) fn load_keys(flags: &Flags, environment: &Environment) -> Result<KeysConfig, Faults> {
    let mut reader = Reader::open(flags, environment);
    let on_dyno = operation::is_on_dyno(&mut reader);
    let signing_keys = issuing::signing_keys(&mut reader);
    let lives = issuing::lives(&mut reader);
    let store = storage::store(&mut reader, on_dyno);
    let (faults, ..) = reader.into_parts();
    match store {
        Some(store) if faults.is_empty() => Ok(KeysConfig {
            store,
            signing_keys,
            lives,
        }),
        _ => Err(faults),
    }
}

/// See [`super::load_move`].
pub(super) fn load_move(flags: &Flags, environment: &Environment) -> Result<MoveConfig, Faults> {
    let (serving, _) = load(flags, environment)?;
    let redis = match &serving.store {
        StoreConfig::Redis(redis) => Some(redis.clone()),
        StoreConfig::Embedded { .. } => None,
    };
    let mut reader = Reader::open(flags, environment);
    let on_dyno = operation::is_on_dyno(&mut reader);
    let directory = storage::directory(&mut reader, on_dyno);
    Ok(MoveConfig {
        serving,
        redis,
        directory: directory.ok_or_else(|| reader.into_parts().0)?,
    })
}

/// See [`super::load()`].
pub(super) fn load(
    flags: &Flags,
    environment: &Environment,
) -> Result<(Config, Vec<Warning>), Faults> {
    let mut reader = Reader::open(flags, environment);
    let on_dyno = operation::is_on_dyno(&mut reader);
    let address = address::read(&mut reader, on_dyno);
    let (providers, names) = providers::read(&mut reader);
    let callback_path = providers::callback_path(&mut reader);
    let servers = servers::read(&mut reader, &names, &callback_path, address.port);
    address.doubt(&mut reader, &servers);
    let issuing = issuing::read(&mut reader);
    let store = storage::store(&mut reader, on_dyno);
    let predecessor = storage::predecessor(&mut reader, store.as_ref(), on_dyno);
    let store_grace = storage::grace(&mut reader);
    let cache_bytes = storage::cache_bytes(&mut reader);
    let limits = operation::limits(&mut reader);
    let pages = operation::pages(&mut reader);
    let verify_release = operation::verify_release(&mut reader);
    let log = operation::log(&mut reader);
    let has_secret = providers
        .iter()
        .any(|provider| matches!(provider, ProviderConfig::Upstream { .. }));
    if matches!(store, Some(StoreConfig::Redis(_))) && issuing.signing_keys.is_none() && !has_secret
    {
        let why = " with Redis and without an IDENTITY_CLIENT_SECRET, under which keys that all \
                   machines share could be sealed";
        reader.missing(Place::Plain, &variable::OIDC_PROVIDER_JWKS, why);
    }

    let (faults, warnings, merged, explained) = reader.into_parts();
    // Without faults both are there: their absence is one.
    let (Some(base_url), Some(store), true) = (address.base_url, store, faults.is_empty()) else {
        return Err(faults);
    };
    let config = Config {
        base_url,
        listen: address.listen,
        local_insecure: address.local_insecure,
        trusted_proxies: address.trusted_proxies,
        servers,
        providers,
        provider_names: names,
        scopes: issuing.scopes,
        scope_details: issuing.scope_details,
        signing_keys: issuing.signing_keys,
        callback_path,
        store,
        predecessor,
        store_grace,
        max_requests: limits.max_requests,
        max_requests_window: limits.max_requests_window,
        views: pages.views,
        branding_title: pages.title,
        branding_favicon: pages.favicon,
        verify_release,
        log,
        lives: issuing.lives,
        strict_offline_access: issuing.strict_offline_access,
        max_body: limits.max_body,
        sse_keepalive: limits.sse_keepalive,
        session_requests: limits.session_requests,
        drain: limits.drain,
        allowed_origins: limits.allowed_origins,
        allowed_redirect_hosts: issuing.allowed_redirect_hosts,
        client_documents: issuing.client_documents,
        require_pushed_requests: issuing.require_pushed_requests,
        registration: issuing.registration,
        clients: issuing.clients,
        device_flow: issuing.device_flow,
        ca_files: limits.ca_files,
        cache_bytes,
        inherited: Inherited(merged.into_variables()),
        explained,
    };
    Ok((config, warnings))
}
