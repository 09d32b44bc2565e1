//! The signing keys, which go along: what was signed stays valid, under the same key ids.

use anyhow::Result;
use store::redis::RedisStore;

use crate::{cli::Side, config::MoveConfig, seams::Seams, shared_keys, signing_keys};

/// Where the signing keys are after the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// In `OIDC_PROVIDER_JWKS`, as before.
    Configured,
    /// They went along.
    Carried,
    /// There were none yet; the next start makes them.
    None,
}

/// Whether there are keys to carry, and they can be read.
///
/// # Errors
/// If they cannot.
pub(super) async fn look(to: Side, config: &MoveConfig, redis: &RedisStore) -> Result<Keys> {
    if config.serving.signing_keys.is_some() {
        return Ok(Keys::Configured);
    }
    let keys = match to {
        Side::Redis => signing_keys::load(&config.directory)?,
        Side::Embedded => shared_keys::load(redis, &config.serving).await?,
    };
    Ok(keys.map_or(Keys::None, |_| Keys::Carried))
}

/// Puts the keys of the one place into the other.
///
/// # Errors
/// If they cannot be read or written.
pub(super) async fn carry(
    to: Side,
    config: &MoveConfig,
    redis: &RedisStore,
    seams: &Seams,
) -> Result<Keys> {
    if config.serving.signing_keys.is_some() {
        return Ok(Keys::Configured);
    }
    match to {
        Side::Redis => {
            let Some(keys) = signing_keys::load(&config.directory)? else {
                return Ok(Keys::None);
            };
            let random = seams.random.as_ref();
            shared_keys::adopt(redis, &config.serving, &keys, random).await?;
        }
        Side::Embedded => {
            let Some(keys) = shared_keys::load(redis, &config.serving).await? else {
                return Ok(Keys::None);
            };
            signing_keys::keep(&signing_keys::file_in(&config.directory), &keys)?;
        }
    }
    Ok(Keys::Carried)
}
