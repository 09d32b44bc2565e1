//! Signing keys of our own making where several machines share a store, and `OIDC_PROVIDER_JWKS`
//! gives none: made by the first that starts, kept in the store, sealed under a key from
//! `IDENTITY_CLIENT_SECRET`, which a stolen store does not hold.

use anyhow::{Context as _, Result, bail};
use domain::{random::Random, secret::SecretString};
use jose::signing::{Rotation, SigningKeys, without_expired};
use store::{redis::RedisStore, seal::SealKey};

use crate::{
    config::{Config, ProviderConfig},
    signing_keys,
};

/// What the sealed bytes are bound to.
const BINDING: &[&[u8]] = &[b"signing keys", &[1]];

const NO_SECRET: &str =
    "OIDC_PROVIDER_JWKS is needed with Redis where there is no IDENTITY_CLIENT_SECRET";
/// Where no proxy has made any.
pub(crate) const NONE_YET: &str =
    "there are no shared signing keys yet; the first proxy that starts makes them";
const CLOSED: &str = "the shared signing keys cannot be opened: set BASE_URL and IDENTITY_CLIENT_SECRET \
    to what the proxies ran with";
const RESTLESS: &str =
    "the shared signing keys change all the time; does another proxy use the same prefix?";

/// What shared keys are sealed under: one for each client secret, so that the order of providers may
/// change.
#[derive(Debug)]
pub(crate) struct Seals(Vec<SealKey>);

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
    let seals = Seals::of(config);
    let first = seals.first()?;
    let mut stored = store.shared_keys().await?;
    for _ in 0..ATTEMPTS {
        if let Some(sealed) = &stored {
            if let Some(keys) = seals.open(sealed) {
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
    let keys = Seals::of(config).open(&sealed);
    if keys.is_none() {
        bail!(CLOSED);
    }
    Ok(keys)
}

/// Puts new keys beside the shared ones and returns them all. Of two that do so at once both are
/// heeded, the later one on top of the earlier.
///
/// # Errors
/// If there are none yet, none of our secrets opens them, the rotation is refused, or the store is
/// away.
pub(crate) async fn rotate(
    store: &RedisStore,
    config: &Config,
    rotation: Rotation,
    random: &dyn Random,
) -> Result<SecretString> {
    let seals = Seals::of(config);
    let mut stored = store.shared_keys().await?;
    for _ in 0..ATTEMPTS {
        let Some(sealed) = stored else {
            bail!(NONE_YET);
        };
        let Some((seal, keys)) = seals.open_with(&sealed) else {
            bail!(CLOSED);
        };
        let rotated = rotation.of(keys.expose())?;
        let kept = without_expired(rotated.expose(), rotation.now)?.unwrap_or(rotated);
        let sealed_anew = seal.seal(BINDING, kept.expose().as_bytes(), random);
        let shared = store.share_keys(&sealed_anew, Some(&sealed)).await?;
        if shared == sealed_anew {
            return Ok(kept);
        }
        stored = Some(shared);
    }
    bail!(RESTLESS)
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
    let seals = Seals::of(config);
    let sealed = seals
        .first()?
        .seal(BINDING, keys.expose().as_bytes(), random);
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

// === impl Seals ===

impl Seals {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let issuer = config.base_url.issuer();
        let secrets = config
            .providers
            .iter()
            .filter_map(|provider| match provider {
                ProviderConfig::Upstream { client_secret, .. } => Some(client_secret),
                ProviderConfig::Local { .. } => None,
            });
        let derive = |secret: &SecretString| {
            let secret = secret.expose().as_bytes();
            SealKey::derive(secret, b"", "shared signing keys", issuer)
        };
        Self(secrets.map(derive).collect())
    }

    /// Opens keys, if one of the secrets fits.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<SecretString> {
        let (_, keys) = self.open_with(sealed)?;
        Some(keys)
    }

    fn open_with(&self, sealed: &[u8]) -> Option<(&SealKey, SecretString)> {
        self.0
            .iter()
            .find_map(|seal| Some((seal, open(seal, sealed)?)))
    }

    fn first(&self) -> Result<&SealKey> {
        self.0.first().context(NO_SECRET)
    }
}

fn open(seal: &SealKey, sealed: &[u8]) -> Option<SecretString> {
    let plain = seal.open(BINDING, sealed)?;
    let keys = SecretString::new(std::str::from_utf8(&plain).ok()?);
    SigningKeys::parse(keys.expose()).ok()?;
    Some(keys)
}
