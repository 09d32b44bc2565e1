//! What this process remembers: the store, and the keys it signs with.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use domain::secret::SecretString;
use store::{
    Store,
    embedded::{EmbeddedStore, OpenError},
    predecessor::Predecessor,
    redis::{RedisPredecessor, RedisSettings, RedisStore, RedisTls},
};
use tempfile::TempDir;

use crate::{
    cli::Side,
    config::{Config, PredecessorConfig, RedisConfig, StoreConfig},
    in_step::{self, InStep},
    moving::refuse_marked,
    seams::Seams,
    shared_keys,
    signing_keys::{self, KeyKeeper, Source},
    wire::certificates,
};

/// Name of the embedded store's file in the data directory.
pub(crate) const STORE_FILE: &str = "sessions.redb";

/// The store and the keys of this process.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) store: Arc<dyn Store>,
    /// What the predecessor left, where its sessions are taken over.
    pub(crate) predecessor: Option<Arc<dyn Predecessor>>,
    pub(crate) keys: Arc<KeyKeeper>,
    /// The data directory, which this process holds; none in a rehearsal.
    pub(crate) held: Option<Held>,
    /// Keys that were made and are yet to be kept; see [`Memory::keep_keys`].
    new_keys: Option<NewKeys>,
    /// The server that other machines may use too; none in a rehearsal.
    pub(crate) shared: Option<Arc<RedisStore>>,
    /// What keeps this process in step with the others there.
    pub(crate) in_step: Option<InStep>,
    /// Keeps the directory of a rehearsal until its end.
    _scratch: Option<TempDir>,
}

/// Keys that were made, and where they are to be kept.
#[derive(Debug)]
struct NewKeys {
    path: PathBuf,
    keys: SecretString,
}

/// A data directory that this process holds, and its store.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) directory: PathBuf,
    pub(crate) store: Arc<EmbeddedStore>,
}

// === impl Memory ===

impl Memory {
    /// Opens what the configuration names, and makes what is not there yet.
    ///
    /// # Errors
    /// If the store is in use, of a newer release, away or unusable, or the keys are.
    pub(crate) async fn open(config: &Config, seams: &Seams) -> Result<Self> {
        match &config.store {
            StoreConfig::Embedded { directory } => Self::open_file(config, directory, seams).await,
            StoreConfig::Redis(redis) => Self::connect(config, redis, seams).await,
        }
    }

    async fn connect(config: &Config, redis: &RedisConfig, seams: &Seams) -> Result<Self> {
        let store = Arc::new(connect(config, redis, seams).await?);
        refuse_marked(store.as_ref(), Side::Redis, seams.clock.now()).await?;
        let (keys, source) = if let Some(keys) = &config.signing_keys {
            (keys.clone(), Source::Configuration)
        } else {
            let keys = shared_keys::load_or_make(&store, config, seams.random.as_ref());
            (keys.await?, Source::Store)
        };
        let is_shared = source == Source::Store;
        let keeper = Arc::new(KeyKeeper::new(&keys, source, config.lives, &seams.clock)?);
        let clock = Arc::clone(&seams.shared_clock);
        let mut in_step = InStep::of_time(Arc::clone(&store), clock);
        if is_shared {
            in_step = in_step.with_keys(config, &keeper, keys);
        }
        Ok(Self {
            predecessor: predecessor(config, Some(store.as_ref())).await?,
            store: Arc::<RedisStore>::clone(&store),
            keys: keeper,
            in_step: Some(in_step),
            held: None,
            new_keys: None,
            shared: Some(store),
            _scratch: None,
        })
    }

    async fn open_file(config: &Config, directory: &Path, seams: &Seams) -> Result<Self> {
        make_private_directory(directory)?;
        let store = EmbeddedStore::open(&directory.join(STORE_FILE), Arc::clone(&seams.clock))?;
        refuse_marked(&store, Side::Embedded, seams.clock.now()).await?;
        tracing::info!(
            "sessions are kept in the embedded store in {} (no Redis is configured)",
            directory.display()
        );
        let store = Arc::new(store);
        let (keys, source, new_keys) = match &config.signing_keys {
            Some(keys) => (keys.clone(), Source::Configuration, None),
            None => keys_in(directory, seams)?,
        };
        Ok(Self {
            predecessor: predecessor(config, None).await?,
            store: Arc::<EmbeddedStore>::clone(&store),
            keys: Arc::new(KeyKeeper::new(&keys, source, config.lives, &seams.clock)?),
            new_keys,
            held: Some(Held {
                directory: directory.to_owned(),
                store,
            }),
            shared: None,
            in_step: None,
            _scratch: None,
        })
    }

    /// As [`Memory::open`], without a change to what is there: a rehearsal works on a directory
    /// of its own where a running proxy holds the store.
    ///
    /// # Errors
    /// As for [`Memory::open`], but for a store in use.
    pub(crate) async fn rehearse(config: &Config, seams: &Seams) -> Result<Self> {
        let mut keys = config.signing_keys.clone();
        match &config.store {
            StoreConfig::Embedded { directory } => {
                try_directory(directory)?;
                try_file(&directory.join(STORE_FILE), seams).await?;
                if keys.is_none() {
                    keys = signing_keys::look(directory)?;
                }
            }
            // Looks at the server and writes nothing.
            StoreConfig::Redis(redis) => {
                let store = connect(config, redis, seams).await?;
                refuse_marked(&store, Side::Redis, seams.clock.now()).await?;
            }
        }
        let keys = keys.map_or_else(signing_keys::generate, Ok)?;
        let scratch = tempfile::tempdir().context("no temporary directory can be made")?;
        let store =
            EmbeddedStore::open(&scratch.path().join(STORE_FILE), Arc::clone(&seams.clock))?;
        Ok(Self {
            store: Arc::new(store),
            predecessor: None,
            // Where they are from is of no interest: nobody will ask.
            keys: Arc::new(KeyKeeper::new(
                &keys,
                Source::Configuration,
                config.lives,
                &seams.clock,
            )?),
            held: None,
            new_keys: None,
            shared: None,
            in_step: None,
            _scratch: Some(scratch),
        })
    }

    /// Keeps keys that were made. To be called once everything else has started, and before anything
    /// is signed for somebody: a first start that fails leaves none behind.
    ///
    /// # Errors
    /// If their file cannot be written.
    pub(crate) fn keep_keys(&self) -> Result<()> {
        match &self.new_keys {
            Some(NewKeys { path, keys }) => signing_keys::keep(path, keys),
            None => Ok(()),
        }
    }
}

/// Whether the directory can be written, or made: without a trace, by a file without a name.
fn try_directory(directory: &Path) -> Result<()> {
    let directory = std::path::absolute(directory).context("that is no path")?;
    let there = directory.ancestors().find(|path| path.exists());
    tempfile::tempfile_in(there.unwrap_or(&directory)).with_context(|| {
        format!(
            "the data directory {} cannot be written or made; set MCP_AUTH_PROXY_DATA_DIR to one \
             that can",
            directory.display()
        )
    })?;
    Ok(())
}

async fn try_file(path: &Path, seams: &Seams) -> Result<()> {
    if path.exists() {
        match EmbeddedStore::open(path, Arc::clone(&seams.clock)) {
            Ok(store) => refuse_marked(&store, Side::Embedded, seams.clock.now()).await?,
            Err(OpenError::InUse { .. }) => {
                tracing::info!("the store is in use by a running proxy; it is left alone");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Connects to the server that the configuration names.
///
/// # Errors
/// If it is away or cannot be used.
pub(crate) async fn connect(
    config: &Config,
    redis: &RedisConfig,
    seams: &Seams,
) -> Result<RedisStore> {
    let settings = redis_settings(config, redis)?;
    tracing::info!("{} names the store: {}", redis.named_by, redis.address);
    let (random, clock) = (Arc::clone(&seams.random), seams.clock.as_ref());
    let store = RedisStore::connect(&settings, random, clock).await?;
    // How far clocks are apart was said in there.
    in_step::compare(&store, &seams.shared_clock).await?;
    Ok(store)
}

/// Where the predecessor's records are to be found, if anywhere.
///
/// # Errors
/// If that server is away.
pub(crate) async fn predecessor(
    config: &Config,
    store: Option<&RedisStore>,
) -> Result<Option<Arc<dyn Predecessor>>> {
    let redis = match (&config.predecessor, &config.store, store) {
        (PredecessorConfig::InStore, _, Some(store)) => {
            return Ok(Some(Arc::new(store.predecessor())));
        }
        (PredecessorConfig::At(redis), _, _)
        | (PredecessorConfig::InStore, StoreConfig::Redis(redis), None) => redis,
        _ => return Ok(None),
    };
    let settings = redis_settings(config, redis)?;
    let records = RedisPredecessor::connect(&settings)
        .await
        .with_context(|| format!("the predecessor's records, named by {}", redis.named_by))?;
    Ok(Some(Arc::new(records)))
}

fn redis_settings(config: &Config, redis: &RedisConfig) -> Result<RedisSettings> {
    let mut ca_certificates = certificates(config)?;
    ca_certificates.extend(redis.ca_file.as_deref().map(read_pem).transpose()?);
    let identity = match &redis.identity_files {
        None => None,
        Some((certificate, key)) => {
            let key = String::from_utf8(read_pem(key)?).context("the key is no PEM")?;
            Some((read_pem(certificate)?, SecretString::new(key)))
        }
    };
    if redis.address.is_tls() && !redis.verifies {
        tracing::warn!(
            "the certificate of the store is not verified (MCP_AUTH_PROXY_REDIS_TLS is `insecure`, \
             the default on a Heroku dyno): whoever stands between us can read and change sessions"
        );
    }
    Ok(RedisSettings {
        address: redis.address.clone(),
        tls: RedisTls {
            verifies: redis.verifies,
            ca_certificates,
            identity,
        },
        prefix: redis.prefix.clone(),
    })
}

fn read_pem(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The keys in a data directory; where there are none, new ones, which are yet to be kept there.
fn keys_in(directory: &Path, seams: &Seams) -> Result<(SecretString, Source, Option<NewKeys>)> {
    let path = signing_keys::file_in(directory);
    let source = Source::File(path.clone());
    if let Some(keys) = signing_keys::load_for_use(directory, seams.clock.now())? {
        return Ok((keys, source, None));
    }
    let keys = signing_keys::generate()?;
    let new = NewKeys {
        path,
        keys: keys.clone(),
    };
    Ok((keys, source, Some(new)))
}

/// Makes the directory where it is absent, for its owner only.
pub(crate) fn make_private_directory(directory: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| {
            format!(
                "the data directory {} cannot be made; set MCP_AUTH_PROXY_DATA_DIR to one that can",
                directory.display()
            )
        })
}
