//! Where sessions are remembered.

use std::{path::PathBuf, time::Duration};

use domain::secret::SecretString;
use store::redis::RedisAddress;

use crate::{
    config::{
        PredecessorConfig, RedisConfig, StoreConfig,
        explain::Origin,
        reader::{Given, Place, Reader},
        values::{self, show_duration},
    },
    env::{Platform, Variable, table as variable},
};

const DEFAULT_PREFIX: &str = "oidc:";
const DEFAULT_GRACE: Duration = Duration::from_secs(60);

/// Which store: a server where one is named, else a file.
pub(super) fn store(reader: &mut Reader<'_>, on_dyno: bool) -> Option<StoreConfig> {
    for named in [&variable::MCP_AUTH_PROXY_REDIS_URL, &variable::REDIS_URL] {
        if let Some(given) = reader.given(named) {
            let redis = redis(reader, named, &given, on_dyno);
            let unused = &variable::MCP_AUTH_PROXY_DATA_DIR;
            warn_idle(reader, unused, "sessions are kept in Redis");
            return redis.map(StoreConfig::Redis);
        }
        // Named, and wrong: a fault, not a reason to take another one.
        if reader.is_given(Place::Plain, named) {
            return None;
        }
    }
    for idle in [
        &variable::MCP_AUTH_PROXY_REDIS_PREFIX,
        &variable::MCP_AUTH_PROXY_REDIS_TLS,
        &variable::MCP_AUTH_PROXY_REDIS_CA,
        &variable::MCP_AUTH_PROXY_REDIS_CERT,
        &variable::MCP_AUTH_PROXY_REDIS_KEY,
        &variable::MCP_AUTH_PROXY_SENTINEL_USERNAME,
        &variable::MCP_AUTH_PROXY_SENTINEL_PASSWORD,
    ] {
        // They may be meant for the predecessor's.
        if !reader.is_given(
            Place::Plain,
            &variable::MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL,
        ) {
            warn_idle(reader, idle, "no Redis is configured");
        }
    }
    directory(reader, on_dyno).map(|directory| StoreConfig::Embedded { directory })
}

/// Where the embedded store is, or would be.
pub(super) fn directory(reader: &mut Reader<'_>, on_dyno: bool) -> Option<PathBuf> {
    let own = &variable::MCP_AUTH_PROXY_DATA_DIR;
    if reader.is_given(Place::Plain, own) {
        return reader.value(own, data_directory);
    }
    if on_dyno {
        let why = ", since DYNO is set: a dyno forgets its disk at each restart (daily), and with \
                   it every login. `heroku addons:create heroku-redis --as=MCP_AUTH_PROXY_REDIS` \
                   keeps them; to try it without, name a directory";
        reader.missing(Place::Plain, own, why);
        return None;
    }
    let directory = default_directory(reader)?;
    reader.explain(own, None, directory.display().to_string(), Origin::Default);
    Some(directory)
}

/// How long memory counts while a server is away.
pub(super) fn grace(reader: &mut Reader<'_>) -> Duration {
    let own = &variable::MCP_AUTH_PROXY_STORE_GRACE;
    let shown = show_duration(DEFAULT_GRACE);
    reader.value_or(own, DEFAULT_GRACE, &shown, values::duration)
}

fn redis(
    reader: &mut Reader<'_>,
    named: &'static Variable,
    given: &Given,
    on_dyno: bool,
) -> Option<RedisConfig> {
    let address = address(reader, named, given);
    let prefix = reader.value_or(
        &variable::MCP_AUTH_PROXY_REDIS_PREFIX,
        DEFAULT_PREFIX.to_owned(),
        DEFAULT_PREFIX,
        |text| Ok(text.to_owned()),
    );
    let default = if on_dyno { "insecure" } else { "verify" };
    let verifies = reader.value_or(
        &variable::MCP_AUTH_PROXY_REDIS_TLS,
        !on_dyno,
        default,
        |text| match text {
            "verify" => Ok(true),
            "insecure" => Ok(false),
            _ => Err("it is neither `verify` nor `insecure`".to_owned()),
        },
    );
    let ca_file = reader.value(&variable::MCP_AUTH_PROXY_REDIS_CA, values::file);
    let identity_files = identity_files(reader);
    let address = sentinel_login(reader, address?);
    if !address.is_tls() {
        for idle in [
            &variable::MCP_AUTH_PROXY_REDIS_TLS,
            &variable::MCP_AUTH_PROXY_REDIS_CA,
            &variable::MCP_AUTH_PROXY_REDIS_CERT,
            &variable::MCP_AUTH_PROXY_REDIS_KEY,
        ] {
            warn_idle(reader, idle, "the Redis URL is none of TLS (`rediss://`)");
        }
    }
    Some(RedisConfig {
        named_by: named.name,
        address,
        prefix,
        verifies,
        ca_file,
        identity_files,
    })
}

fn sentinel_login(reader: &mut Reader<'_>, address: RedisAddress) -> RedisAddress {
    let [username, password] = [
        &variable::MCP_AUTH_PROXY_SENTINEL_USERNAME,
        &variable::MCP_AUTH_PROXY_SENTINEL_PASSWORD,
    ];
    if !address.is_sentinel() {
        for idle in [username, password] {
            warn_idle(reader, idle, "the Redis URL names no sentinels");
        }
    }
    let username = reader.value(username, |text| Ok(text.to_owned()));
    let password = reader.value(password, |text| Ok(SecretString::new(text)));
    address.with_sentinel_login(username, password)
}

/// Where the predecessor's sessions are looked for.
pub(super) fn predecessor(
    reader: &mut Reader<'_>,
    store: Option<&StoreConfig>,
    on_dyno: bool,
) -> PredecessorConfig {
    let switch = &variable::MCP_AUTH_PROXY_PREDECESSOR;
    let is_on = reader.value_or(switch, true, "auto", |text| match text {
        "auto" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is neither `auto` nor `off`".to_owned()),
    });
    let own = &variable::MCP_AUTH_PROXY_PREDECESSOR_REDIS_URL;
    let elsewhere = reader.given(own).and_then(|given| match store {
        Some(StoreConfig::Redis(redis)) => {
            address(reader, own, &given).map(|address| RedisConfig {
                named_by: own.name,
                address,
                ..redis.clone()
            })
        }
        _ => redis(reader, own, &given, on_dyno),
    });
    match (is_on, elsewhere, store) {
        (true, Some(redis), _) => PredecessorConfig::At(redis),
        (true, None, Some(StoreConfig::Redis(_))) => PredecessorConfig::InStore,
        _ => PredecessorConfig::Nowhere,
    }
}

fn address(
    reader: &mut Reader<'_>,
    named: &'static Variable,
    given: &Given,
) -> Option<RedisAddress> {
    match RedisAddress::parse(given.text.expose()) {
        Ok(address) => {
            // Without user and password.
            reader.explain(named, None, address.to_string(), given.origin.clone());
            Some(address)
        }
        Err(reason) => {
            reader.fault(named, given, reason.to_string());
            None
        }
    }
}

/// Both or none.
fn identity_files(reader: &mut Reader<'_>) -> Option<(PathBuf, PathBuf)> {
    let names = [
        &variable::MCP_AUTH_PROXY_REDIS_CERT,
        &variable::MCP_AUTH_PROXY_REDIS_KEY,
    ];
    let is_given = names.map(|name| reader.is_given(Place::Plain, name));
    let [certificate, key] = names.map(|name| reader.value(name, values::file));
    match is_given {
        [true, false] => reader.missing(
            Place::Plain,
            &variable::MCP_AUTH_PROXY_REDIS_KEY,
            " beside MCP_AUTH_PROXY_REDIS_CERT",
        ),
        [false, true] => reader.missing(
            Place::Plain,
            &variable::MCP_AUTH_PROXY_REDIS_CERT,
            " beside MCP_AUTH_PROXY_REDIS_KEY",
        ),
        _ => {}
    }
    Some((certificate?, key?))
}

fn warn_idle(reader: &mut Reader<'_>, variable: &'static Variable, why: &str) {
    if reader.is_given(Place::Plain, variable) {
        reader.warn(variable.name, format!("has no effect: {why}"));
    }
}

fn data_directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match std::fs::metadata(&path) {
        Ok(metadata) if !metadata.is_dir() => Err("it is no directory".to_owned()),
        Ok(_) | Err(_) => Ok(path),
    }
}

/// By the XDG base directory specification, where relative paths count as unset; on macOS by its
/// own custom.
fn default_directory(reader: &mut Reader<'_>) -> Option<PathBuf> {
    let mut absolute = |variable: &'static Variable| {
        reader
            .value(variable, |text| Ok(PathBuf::from(text)))
            .filter(|path| path.is_absolute())
    };
    let state = absolute(&variable::XDG_STATE_HOME);
    let home = absolute(&variable::HOME);
    let under_home = match reader.platform() {
        Platform::Unix => ".local/state",
        Platform::MacOs => "Library/Application Support",
    };
    let state = state.or_else(|| home.map(|home| home.join(under_home)));
    if state.is_none() {
        let why = ", since neither XDG_STATE_HOME nor HOME says where state may lie";
        reader.missing(Place::Plain, &variable::MCP_AUTH_PROXY_DATA_DIR, why);
    }
    state.map(|state| state.join("mcp-auth-proxy"))
}

/// Bound of the cache.
pub(super) fn cache_bytes(reader: &mut Reader<'_>) -> u64 {
    let own = &variable::MCP_AUTH_PROXY_CACHE_MB;
    reader.value_or(own, 64, "64", |text| values::count(text, 1 << 20)) << 20
}
