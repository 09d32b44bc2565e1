//! Signing keys of our own making where several machines share a store, and `OIDC_PROVIDER_JWKS`
//! gives none: made by the first that starts, kept in the store, sealed under a key from
//! `IDENTITY_CLIENT_SECRET`, which a stolen store does not hold.

use anyhow::{Result, bail};
use domain::{random::Random, secret::SecretString};
use jose::signing::SigningKeys;
use store::{redis::RedisStore, seal::SealKey};

use crate::{
    config::{Config, ProviderConfig},
    signing_keys,
};

/// What the sealed bytes are bound to.
const BINDING: &[&[u8]] = &[b"signing keys", &[1]];

const NO_SECRET: &str =
    "OIDC_PROVIDER_JWKS is needed with Redis where there is no IDENTITY_CLIENT_SECRET";
const RESTLESS: &str =
    "the shared signing keys change all the time; does another proxy use the same prefix?";

/// Rounds of the race with others that start at the same time; one is enough, as a rule.
const ATTEMPTS: usize = 4;

/// Reads the shared keys, or makes them where there are none, as a JWK Set.
///
/// Keys that none of our secrets opens are replaced, since a start that fails after a client secret
/// was exchanged would be worse: no session depends on them, only ID tokens and what the MCP server
/// gets from the local identity, which live for minutes.
///
/// # Errors
/// If the store is away, or no identity provider has a client secret.
pub(crate) async fn load_or_make(
    store: &RedisStore,
    config: &Config,
    random: &dyn Random,
) -> Result<SecretString> {
    let seals = seals(config);
    let Some(first) = seals.first() else {
        bail!(NO_SECRET);
    };
    let mut stored = store.shared_keys().await?;
    for _ in 0..ATTEMPTS {
        if let Some(sealed) = &stored {
            if let Some(keys) = seals.iter().find_map(|seal| open(seal, sealed)) {
                return Ok(keys);
            }
            tracing::warn!(
                "the shared signing keys cannot be opened: IDENTITY_CLIENT_SECRET is another than \
                 the one they were sealed with, or the store belongs to another BASE_URL; new ones \
                 are made"
            );
        }
        let keys = signing_keys::generate()?;
        let sealed = first.seal(BINDING, keys.expose().as_bytes(), random);
        let shared = store.share_keys(&sealed, stored.as_deref()).await?;
        if shared == sealed {
            tracing::info!("made signing keys, kept in the store for all machines");
            return Ok(keys);
        }
        stored = Some(shared);
    }
    bail!(RESTLESS)
}

/// Reads the shared keys, if there are any.
///
/// # Errors
/// If the store is away, or none of our secrets opens them.
pub(crate) async fn load(store: &RedisStore, config: &Config) -> Result<Option<SecretString>> {
    let Some(sealed) = store.shared_keys().await? else {
        return Ok(None);
    };
    let keys = seals(config).iter().find_map(|seal| open(seal, &sealed));
    if keys.is_none() {
        bail!(
            "the shared signing keys cannot be opened: set BASE_URL and IDENTITY_CLIENT_SECRET to \
             what the proxies ran with"
        );
    }
    Ok(keys)
}

/// Shares keys that were kept elsewhere, in the place of any.
///
/// # Errors
/// If the store is away, or no identity provider has a client secret.
pub(crate) async fn adopt(
    store: &RedisStore,
    config: &Config,
    keys: &SecretString,
    random: &dyn Random,
) -> Result<()> {
    let seals = seals(config);
    let Some(seal) = seals.first() else {
        bail!(NO_SECRET);
    };
    let sealed = seal.seal(BINDING, keys.expose().as_bytes(), random);
    let mut stood = store.shared_keys().await?;
    for _ in 0..ATTEMPTS {
        let shared = store.share_keys(&sealed, stood.as_deref()).await?;
        if shared == sealed {
            return Ok(());
        }
        stood = Some(shared);
    }
    bail!(RESTLESS)
}

/// One for each client secret, so that the order of providers may change.
fn seals(config: &Config) -> Vec<SealKey> {
    let issuer = config.base_url.issuer();
    config
        .providers
        .iter()
        .filter_map(|provider| match provider {
            ProviderConfig::Upstream { client_secret, .. } => Some(client_secret),
            ProviderConfig::Local { .. } => None,
        })
        .map(|secret| {
            let secret = secret.expose().as_bytes();
            SealKey::derive(secret, b"", "shared signing keys", issuer)
        })
        .collect()
}

fn open(seal: &SealKey, sealed: &[u8]) -> Option<SecretString> {
    let plain = seal.open(BINDING, sealed)?;
    let keys = SecretString::new(std::str::from_utf8(&plain).ok()?);
    SigningKeys::parse(keys.expose()).ok()?;
    Some(keys)
}
