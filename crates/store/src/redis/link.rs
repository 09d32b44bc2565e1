//! The connection that commands go over: one for all, made anew when it breaks.

use std::{fmt, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, ProtocolVersion, PushInfo, RedisError, Script, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use domain::secret::SecretString;
use tokio::time::{Instant, sleep};

use super::{RedisSettings, address::RedisAddress, tls};
use crate::StoreUnavailable;

/// A server, and the connection to it.
pub(super) struct Link {
    client: Client,
    manager: ConnectionManager,
    password: Option<SecretString>,
}

/// How long a command is sent again after the connection broke. Whoever asked waits longer if it
/// can: this only bridges a connection that was closed while idle, and a quick restart.
const RETRIES: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// A peer that acknowledges nothing for so long is gone; without this the system waits for a
/// quarter of an hour.
const SILENCE: Duration = Duration::from_secs(5);

// === impl Link ===

impl Link {
    /// Connects at the first command.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, RedisError> {
        let address = &settings.address;
        let client = client(settings)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        Ok(Self {
            manager: client.get_connection_manager_lazy(config)?,
            client,
            password: address.password.clone(),
        })
    }

    /// Sends a command until it is answered. It must be one that may be sent twice.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, StoreUnavailable> {
        self.try_ask(command)
            .await
            .map_err(|error| self.unavailable(&error))
    }

    /// Runs a script, loading it where the server does not know it (any more).
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, StoreUnavailable> {
        let mut command = ::redis::cmd("EVALSHA");
        command
            .arg(script.get_hash())
            .arg(keys.len())
            .arg(keys)
            .arg(arguments);
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        match self.try_ask(&command).await {
            Err(error) if error.kind() == unknown => {
                let loaded = script.load_async(&mut self.manager.clone()).await;
                loaded.map_err(|error| self.unavailable(&error))?;
                self.ask(&command).await
            }
            answer => answer.map_err(|error| self.unavailable(&error)),
        }
    }

    /// A connection of its own that hears pushed messages.
    pub(super) async fn listen(
        &self,
        hear: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER))
            .set_push_sender(move |push| {
                hear(push);
                Ok::<(), ::redis::aio::SendError>(())
            });
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// What went wrong, without the password that a server may have sent back.
    pub(super) fn describe(&self, error: &RedisError) -> String {
        let text = error.to_string();
        match &self.password {
            Some(password) => text.replace(password.expose(), "[redacted]"),
            None => text,
        }
    }

    fn unavailable(&self, error: &RedisError) -> StoreUnavailable {
        StoreUnavailable(self.describe(error))
    }

    pub(super) async fn try_ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let give_up = Instant::now() + RETRIES;
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match command.query_async(&mut self.manager.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !is_passing(&failure) || Instant::now() + pause >= give_up {
                return Err(failure);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}

fn client(settings: &RedisSettings) -> Result<Client, RedisError> {
    let RedisAddress {
        host,
        port,
        database,
        username,
        password,
        is_tls,
    } = &settings.address;
    let address = if *is_tls {
        ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: !settings.tls.verifies,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    };
    let info = address.into_connection_info()?;
    let mut redis = info
        .redis_settings()
        .clone()
        .set_db(*database)
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("mcp-auth-proxy", env!("CARGO_PKG_VERSION"));
    if let Some(username) = username {
        redis = redis.set_username(username);
    }
    if let Some(password) = password {
        redis = redis.set_password(password.expose());
    }
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(SILENCE);
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(SILENCE);
    let info = info.set_redis_settings(redis).set_tcp_settings(tcp);
    if *is_tls {
        Client::build_with_tls(info, tls::certificates(&settings.tls))
    } else {
        Client::open(info)
    }
}

/// Whether the same command may be answered in a moment.
fn is_passing(failure: &RedisError) -> bool {
    if failure.is_timeout() {
        return false;
    }
    matches!(
        failure.kind(),
        ErrorKind::Io
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
            )
    )
}
