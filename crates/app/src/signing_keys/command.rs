//! `mcp-auth-proxy keys …`: through the running proxy where there is one, else on the file itself;
//! where machines share the keys, on the store that they share.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail};
use domain::{secret::SecretString, time::Clock};
use jose::signing::SigningKeys;
use serde_json::{Map, Value};
use store::{embedded::EmbeddedStore, redis::RedisStore};

use super::{
    keeper::{self, KeyKeeper, RotationRequest},
    listing::{KeyList, Source},
};
use crate::{
    cli::{Flags, KeysCommand},
    config::{self, Config, KeysConfig, StoreConfig},
    control::{self, AskError},
    env::Environment,
    memory,
    seams::Seams,
    shared_keys,
};

/// Does what was asked and returns what to print, which is a secret where a key was made.
///
/// # Errors
/// If it cannot be done.
pub(crate) async fn command(
    command: &KeysCommand,
    environment: &Environment,
    seams: &Seams,
) -> Result<SecretString> {
    let clock = &seams.clock;
    let (keys, json) = match command {
        KeysCommand::Generate { algorithm, wait } => {
            let key = SigningKeys::generate(*algorithm)?;
            let from = wait.map(|wait| clock.now().plus(wait));
            let Some(from) = from else {
                return Ok(key);
            };
            let mut members: Map<String, Value> = serde_json::from_str(key.expose())
                .context("the key that was made cannot be read")?;
            members.insert("nbf".to_owned(), from.as_unix().into());
            return Ok(SecretString::new(Value::from(members).to_string()));
        }
        KeysCommand::List { flags, json } => {
            let config = config::load_keys(flags, environment)?;
            let keys = match shared(&config, flags, environment, seams).await? {
                Some(shared) => shared.list().await?,
                None => list(&config, clock).await?,
            };
            (keys, json)
        }
        KeysCommand::Rotate {
            flags,
            rotation,
            json,
        } => {
            let config = config::load_keys(flags, environment)?;
            let keys = match shared(&config, flags, environment, seams).await? {
                Some(shared) => shared.rotate(rotation).await?,
                None => rotate(&config, rotation, clock).await?,
            };
            (keys, json)
        }
    };
    let text = if *json {
        serde_json::to_string(&keys)?
    } else {
        keys.render(clock.now())
    };
    Ok(SecretString::new(text))
}

/// Keys that machines share, within reach of a command.
struct SharedKeys<'a> {
    store: RedisStore,
    config: Config,
    seams: &'a Seams,
}

/// The shared keys, if these are ones.
async fn shared<'a>(
    keys: &KeysConfig,
    flags: &Flags,
    environment: &Environment,
    seams: &'a Seams,
) -> Result<Option<SharedKeys<'a>>> {
    let (StoreConfig::Redis(redis), None) = (&keys.store, &keys.signing_keys) else {
        return Ok(None);
    };
    // What they are sealed under is part of it.
    let (config, _) = config::load(flags, environment)?;
    let store = memory::connect(&config, redis, seams).await?;
    Ok(Some(SharedKeys {
        store,
        config,
        seams,
    }))
}

async fn list(config: &KeysConfig, clock: &Arc<dyn Clock>) -> Result<KeyList> {
    let directory = match (&config.store, &config.signing_keys) {
        (StoreConfig::Embedded { directory }, _) => directory,
        (StoreConfig::Redis(_), Some(keys)) => {
            return Ok(KeyKeeper::new(keys, Source::Configuration, config.lives, clock)?.list());
        }
        (StoreConfig::Redis(_), None) => bail!(super::SHARED),
    };
    match control::ask(directory, "keys", Value::Null).await {
        Err(AskError::NotRunning { .. }) => {}
        answered => return Ok(answered?),
    }
    let (keys, source) = match &config.signing_keys {
        Some(keys) => (Some(keys.clone()), Source::Configuration),
        None => (
            super::load(directory)?,
            Source::File(super::file_in(directory)),
        ),
    };
    let Some(keys) = keys else {
        bail!(
            "there are no signing keys in {} yet; the first start makes them",
            directory.display()
        );
    };
    Ok(KeyKeeper::new(&keys, source, config.lives, clock)?.list())
}

/// The running proxy knows best whether its keys are configured; it takes the new ones at once.
async fn rotate(
    config: &KeysConfig,
    rotation: &RotationRequest,
    clock: &Arc<dyn Clock>,
) -> Result<KeyList> {
    let directory = match (&config.store, &config.signing_keys) {
        (StoreConfig::Embedded { directory }, _) => directory,
        (StoreConfig::Redis(_), Some(_)) => bail!(keeper::configured(config.lives)),
        (StoreConfig::Redis(_), None) => bail!(super::SHARED),
    };
    let arguments = serde_json::to_value(rotation)?;
    match control::ask(directory, "rotate-keys", arguments).await {
        Err(AskError::NotRunning { .. }) => {}
        answered => return Ok(answered?),
    }
    if config.signing_keys.is_some() {
        bail!(keeper::configured(config.lives));
    }
    rotate_file(config, directory, rotation, clock)
}

/// No proxy may start while the file changes: it holds the store, or we do.
fn rotate_file(
    config: &KeysConfig,
    directory: &Path,
    rotation: &RotationRequest,
    clock: &Arc<dyn Clock>,
) -> Result<KeyList> {
    let path = super::file_in(directory);
    // Else a store would be made for nothing.
    if !path.exists() {
        bail!(
            "there are no signing keys in {} yet; the first start makes them",
            directory.display()
        );
    }
    let store = EmbeddedStore::open(&directory.join(memory::STORE_FILE), Arc::clone(clock))?;
    let keys = super::rotate(&path, rotation.at(clock.now(), config.lives)?)?;
    drop(store);
    Ok(KeyKeeper::new(&keys, Source::File(path), config.lives, clock)?.list())
}

// === impl SharedKeys ===

impl SharedKeys<'_> {
    async fn list(&self) -> Result<KeyList> {
        let keys = shared_keys::load(&self.store, &self.config).await?;
        self.listed(&keys.context(shared_keys::NONE_YET)?)
    }

    /// Proxies that run take the new keys up by themselves.
    async fn rotate(&self, rotation: &RotationRequest) -> Result<KeyList> {
        let rotation = rotation.at(self.seams.clock.now(), self.config.lives)?;
        let random = self.seams.random.as_ref();
        let keys = shared_keys::rotate(&self.store, &self.config, rotation, random).await?;
        self.listed(&keys)
    }

    fn listed(&self, keys: &SecretString) -> Result<KeyList> {
        let clock = &self.seams.clock;
        Ok(KeyKeeper::new(keys, Source::Store, self.config.lives, clock)?.list())
    }
}
