//! One server: how connections to it are made, and the one that many share.

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _,
    ProtocolVersion, PushInfo, RedisError, ServerErrorKind, TlsCertificates,
    aio::MultiplexedConnection,
    cmd,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::{sync::Mutex, time::Instant};

use super::{
    address::{Login, Place},
    offering::Offering,
    tls::{self, RedisTls},
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// A peer that acknowledges nothing for so long is gone; without this the system waits for a
/// quarter of an hour.
const SILENCE: Duration = Duration::from_secs(5);

/// How servers of one kind are spoken to.
pub(super) struct Manner {
    pub(super) login: Login,
    pub(super) database: u16,
    /// Whether a server that is no master is refused. Such a one would answer reads with what it
    /// last heard from its master.
    pub(super) only_masters: bool,
    /// `None` without TLS.
    pub(super) tls: Option<Tls>,
}

/// What TLS needs, read once.
#[derive(Clone)]
pub(super) struct Tls {
    is_insecure: bool,
    certificates: TlsCertificates,
}

/// A server. Nothing is connected.
pub(super) struct Server {
    pub(super) place: Place,
    client: Client,
    only_masters: bool,
}

/// The connection to a server that many share: made at the first use, and anew when it broke.
pub(super) struct Wire {
    server: Arc<Server>,
    /// Greets each connection before it is used.
    offering: Option<Arc<Offering>>,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    held: Option<Held>,
    made: u64,
    /// When the last vain try began, and what it met: whoever waited for it needs none of its own.
    failure: Option<(Instant, RedisError)>,
}

/// A connection of a wire.
#[derive(Clone)]
pub(super) struct Held {
    number: u64,
    pub(super) connection: MultiplexedConnection,
}

// === impl Tls ===

impl Tls {
    pub(super) fn new(settings: &RedisTls) -> Self {
        Self {
            is_insecure: !settings.verifies,
            certificates: tls::certificates(settings),
        }
    }
}

// === impl Manner ===

impl Manner {
    /// A server that is spoken to so.
    pub(super) fn server(&self, place: Place) -> Result<Arc<Server>, RedisError> {
        let Place { host, port } = place.clone();
        let address = match &self.tls {
            Some(tls) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: tls.is_insecure,
                tls_params: None,
            },
            None => ConnectionAddr::Tcp(host, port),
        };
        let info = address.into_connection_info()?;
        let mut redis = info
            .redis_settings()
            .clone()
            .set_db(i64::from(self.database))
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("mcp-auth-proxy", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &self.login.username {
            redis = redis.set_username(username);
        }
        if let Some(password) = &self.login.password {
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
        let client = match &self.tls {
            Some(tls) => Client::build_with_tls(info, tls.certificates.clone())?,
            None => Client::open(info)?,
        };
        Ok(Arc::new(Server {
            place,
            client,
            only_masters: self.only_masters,
        }))
    }
}

// === impl Server ===

impl Server {
    /// A connection of its own that hears pushed messages.
    pub(super) async fn listen(
        &self,
        hear: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = patient().set_push_sender(move |push| {
            hear(push);
            Ok::<(), ::redis::aio::SendError>(())
        });
        self.connect(&config).await
    }

    async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(config);
        let mut connection = connecting.await?;
        if self.only_masters {
            let info: String = cmd("INFO")
                .arg("replication")
                .query_async(&mut connection)
                .await?;
            if !info.lines().any(|line| line.trim() == "role:master") {
                let kind = ErrorKind::Server(ServerErrorKind::ReadOnly);
                return Err((kind, "the server that was a master is none any more").into());
            }
        }
        Ok(connection)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Server({})", self.place)
    }
}

fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            offering: None,
            line: Mutex::default(),
        }
    }

    /// A wire to a server that keeps what we write.
    pub(super) fn greeting(server: Arc<Server>, offering: Arc<Offering>) -> Self {
        Self {
            offering: Some(offering),
            ..Self::new(server)
        }
    }

    pub(super) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The connection, which is made if there is none.
    pub(super) async fn hold(&self) -> Result<Held, RedisError> {
        let asked = Instant::now();
        let mut line = self.line.lock().await;
        if let Some(held) = &line.held {
            return Ok(held.clone());
        }
        if let Some((began, failure)) = &line.failure
            && *began >= asked
        {
            return Err(failure.clone());
        }
        let began = Instant::now();
        match self.connect().await {
            Ok(connection) => {
                line.made += 1;
                let held = Held {
                    number: line.made,
                    connection,
                };
                line.held = Some(held.clone());
                Ok(held)
            }
            Err(failure) => {
                line.failure = Some((began, failure.clone()));
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut connection = self.server.connect(&patient()).await?;
        if let Some(offering) = &self.offering {
            let place = self.server.place.to_string();
            offering.greet(&place, &mut connection).await?;
        }
        Ok(connection)
    }

    /// Lets a connection go that is of no use any more; a newer one stays.
    pub(super) async fn let_go(&self, held: &Held) {
        let mut line = self.line.lock().await;
        if line
            .held
            .as_ref()
            .is_some_and(|now| now.number == held.number)
        {
            line.held = None;
        }
    }
}
