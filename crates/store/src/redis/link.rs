//! Sending commands to the servers that hold their keys.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{
    Arg, Cmd, ErrorKind, FromRedisValue, RedisError, Script, ServerErrorKind,
    aio::MultiplexedConnection, cmd, pipe,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    RedisSettings,
    address::{Place, RedisAddress},
    offering::Offering,
    server::{Server, Wire},
    topology::{Map, Topology},
};
use crate::StoreUnavailable;

/// One logical connection: a connection to each server that holds keys, made when it is needed.
/// Several may share what is known of where keys are.
pub(super) struct Link {
    topology: Arc<Topology>,
    wires: Mutex<HashMap<Place, Arc<Wire>>>,
    address: RedisAddress,
    offering: Arc<Offering>,
}

/// Where the next try goes.
#[derive(Clone)]
enum Aim {
    /// To whoever holds the key.
    Holder,
    /// To whom the last one sent us on. `is_asking` where the key is on its way there.
    Other {
        server: Arc<Server>,
        is_asking: bool,
    },
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How often a command is sent on before that counts as a failure.
const MOST_REDIRECTIONS: u32 = 8;
/// How long all servers may take to show that they are there.
const REACH: Duration = Duration::from_millis(1500);

// === impl Link ===

impl Link {
    /// Connects at the first command.
    pub(super) fn new(
        settings: &RedisSettings,
        offering: Arc<Offering>,
    ) -> Result<Self, RedisError> {
        Ok(Self {
            topology: Arc::new(Topology::new(settings)?),
            wires: Mutex::default(),
            address: settings.address.clone(),
            offering,
        })
    }

    /// The same with connections of its own.
    pub(super) fn beside(&self) -> Self {
        Self {
            topology: Arc::clone(&self.topology),
            wires: Mutex::default(),
            address: self.address.clone(),
            offering: Arc::clone(&self.offering),
        }
    }

    /// Sends a command until it is answered. It must be one that may be sent twice, and its first
    /// argument its key.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
    ) -> Result<T, StoreUnavailable> {
        self.send(command, None, Aim::Holder)
            .await
            .map_err(|error| self.unavailable(&error))
    }

    /// Runs a script where its first key lies, loading it where the server does not know it (any
    /// more).
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, StoreUnavailable> {
        let mut command = cmd("EVALSHA");
        command
            .arg(script.get_hash())
            .arg(keys.len())
            .arg(keys)
            .arg(arguments);
        self.send(&command, Some(script), Aim::Holder)
            .await
            .map_err(|error| self.unavailable(&error))
    }

    /// Who holds what, looked at now.
    pub(super) async fn look(&self) -> Result<Arc<Map>, RedisError> {
        self.topology.look().await
    }

    /// Whether every server that holds keys answers.
    pub(super) async fn reaches_all(&self) -> bool {
        let ping = cmd("PING");
        let reach = async {
            let map = self.topology.map().await?;
            for shard in &map.shards {
                self.ask_at::<()>(&shard.server, &ping).await?;
            }
            Ok::<(), RedisError>(())
        };
        matches!(timeout(REACH, reach).await, Ok(Ok(())))
    }

    /// Sends a command to a certain server, as often as [`Link::ask`].
    pub(super) async fn ask_of<T: FromRedisValue>(
        &self,
        server: &Arc<Server>,
        command: &Cmd,
    ) -> Result<T, StoreUnavailable> {
        let home = Aim::Other {
            server: Arc::clone(server),
            is_asking: false,
        };
        self.send(command, None, home)
            .await
            .map_err(|error| self.unavailable(&error))
    }

    /// Who holds what, as far as is known.
    pub(super) async fn map(&self) -> Result<Arc<Map>, StoreUnavailable> {
        let map = self.topology.map().await;
        map.map_err(|error| self.unavailable(&error))
    }

    /// Who holds a key, as far as is known.
    pub(super) async fn holder(&self, key: &str) -> Result<Arc<Server>, RedisError> {
        let slot = self.topology.slot_of(key.as_bytes());
        let map = self.topology.map().await?;
        map.holder(slot).map(Arc::clone)
    }

    /// Looks who is at the other end of a connection that is none of ours; see [`Offering::greet`].
    pub(super) async fn greet(
        &self,
        server: &Server,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let place = server.place.to_string();
        self.offering.greet(&place, connection).await
    }

    /// Sends a command to a certain server, once.
    pub(super) async fn ask_at<T: FromRedisValue>(
        &self,
        server: &Arc<Server>,
        command: &Cmd,
    ) -> Result<T, RedisError> {
        self.send_to(server, false, command, None).await
    }

    /// What went wrong, without a password that a server may have sent back.
    pub(super) fn describe(&self, error: &RedisError) -> String {
        let passwords = self.address.passwords();
        passwords.fold(error.to_string(), |text, password| {
            text.replace(password.expose(), "[redacted]")
        })
    }

    fn unavailable(&self, error: &RedisError) -> StoreUnavailable {
        StoreUnavailable(self.describe(error))
    }

    async fn send<T: FromRedisValue>(
        &self,
        command: &Cmd,
        script: Option<&Script>,
        home: Aim,
    ) -> Result<T, RedisError> {
        let slot = key_of(command).and_then(|key| self.topology.slot_of(key));
        let give_up = Instant::now() + self.topology.patience();
        let mut pause = FIRST_PAUSE;
        let mut aim = home.clone();
        let mut redirections = 0;
        loop {
            let failure = match self.attempt(&aim, slot, command, script).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let next = self.sent_on(&failure);
            let is_sent_on = next.is_some() && redirections < MOST_REDIRECTIONS;
            aim = next.unwrap_or_else(|| home.clone());
            if is_sent_on {
                redirections += 1;
                continue;
            }
            let may_pass = is_passing(&failure, self.topology.may_fail_over());
            if !may_pass || Instant::now() + pause >= give_up {
                return Err(failure);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        aim: &Aim,
        slot: Option<u16>,
        command: &Cmd,
        script: Option<&Script>,
    ) -> Result<T, RedisError> {
        if let Aim::Other { server, is_asking } = aim {
            return self.send_to(server, *is_asking, command, script).await;
        }
        let map = self.topology.map().await?;
        let answer = match map.holder(slot) {
            Ok(server) => self.send_to(server, false, command, script).await,
            Err(failure) => Err(failure),
        };
        if matches!(&answer, Err(failure) if may_be_elsewhere(failure)) {
            self.topology.doubt(&map);
        }
        answer
    }

    async fn send_to<T: FromRedisValue>(
        &self,
        server: &Arc<Server>,
        is_asking: bool,
        command: &Cmd,
        script: Option<&Script>,
    ) -> Result<T, RedisError> {
        let wire = self.wire(server);
        let mut held = wire.hold().await?;
        let connection = &mut held.connection;
        let mut answer = query(connection, is_asking, command).await;
        if let (Err(failure), Some(script)) = (&answer, script)
            && failure.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            answer = match script.load_async(connection).await {
                Ok(_) => query(connection, is_asking, command).await,
                Err(failure) => Err(failure),
            };
        }
        if matches!(&answer, Err(failure) if is_end_of_connection(failure)) {
            wire.let_go(&held).await;
        }
        answer
    }

    fn sent_on(&self, failure: &RedisError) -> Option<Aim> {
        let is_asking = failure.kind() == ErrorKind::Server(ServerErrorKind::Ask);
        let (address, _) = failure.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        let place = Place {
            // Without a host it is the one that was asked, which the next look finds out.
            host: Some(host).filter(|host| !host.is_empty())?.to_owned(),
            port: port.parse().ok()?,
        };
        let server = self.topology.server(place).ok()?;
        Some(Aim::Other { server, is_asking })
    }

    fn wire(&self, server: &Arc<Server>) -> Arc<Wire> {
        // Nobody panics with it.
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = wires.get(&server.place) {
            return Arc::clone(wire);
        }
        // Those to servers that hold nothing any more are closed.
        wires.retain(|place, _| self.topology.is_known(place));
        let offering = Arc::clone(&self.offering);
        let wire = Arc::new(Wire::greeting(Arc::clone(server), offering));
        wires.insert(server.place.clone(), Arc::clone(&wire));
        wire
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("topology", &self.topology)
            .finish_non_exhaustive()
    }
}

async fn query<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    is_asking: bool,
    command: &Cmd,
) -> Result<T, RedisError> {
    if !is_asking {
        return command.query_async(connection).await;
    }
    let mut asking = pipe();
    asking.cmd("ASKING").ignore().add_command(command.clone());
    let (answer,) = asking.query_async(connection).await?;
    Ok(answer)
}

/// The key that decides where a command goes.
fn key_of(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word),
        _ => None,
    });
    match words.next()? {
        // Behind the hash and the number of keys.
        b"EVALSHA" => words.nth(2),
        _ => words.next(),
    }
}

/// Whether the same command may be answered in a moment, here or by another server. One that is
/// silent is asked again only where another may take its place.
fn is_passing(failure: &RedisError, may_fail_over: bool) -> bool {
    if failure.is_timeout() {
        return may_fail_over;
    }
    let kind = failure.kind();
    let is_passing = matches!(
        kind,
        ErrorKind::Io
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::Moved
                    | ServerErrorKind::Ask
            )
    );
    is_passing || is_left_alone(failure)
}

/// Whether a failure may come of asking the wrong server.
fn may_be_elsewhere(failure: &RedisError) -> bool {
    let kind = failure.kind();
    let may_be = matches!(
        kind,
        ErrorKind::Io
            | ErrorKind::Server(
                ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::Moved
            )
    );
    may_be || is_left_alone(failure)
}

/// A master that takes no writes because its replicas are away: perhaps it is cut off, and one of
/// them is the master by now.
fn is_left_alone(failure: &RedisError) -> bool {
    failure.code() == Some("NOREPLICAS")
}

/// Whether the connection is of no use any more. That to a server which became a replica would
/// answer reads with what its master says later.
fn is_end_of_connection(failure: &RedisError) -> bool {
    failure.is_unrecoverable_error()
        || failure.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}
