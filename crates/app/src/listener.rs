//! Accepts connections and serves HTTP on them, within bounds, until told to stop.

mod first_bytes;

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::first_bytes::FirstBytes;
use crate::{config::Listen, edge::Edge, open_files};

/// Connections served at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 16_384;

/// Open files that are not for connections of clients, nor for ours to the MCP server.
const OTHER_FILES: u64 = 128;

/// How long a client may take for a request's header, and keep an idle connection open. Longer
/// than the idle times of the routers in front, so that they close first.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// Largest request header, in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Connections that wait in the system's queue.
const BACKLOG: i32 = 1024;

const MAX_HEADER_LINES: usize = 100;

/// Pause after the system refused a connection (most often: no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The sockets, bound but not yet served.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<TcpListener>);

/// A served address set, to be drained.
#[derive(Debug)]
pub(crate) struct Serving {
    draining: CancellationToken,
    tasks: TaskTracker,
}

/// What each accepted connection is served with.
struct Acceptor {
    edge: Arc<Edge>,
    http: Builder<TokioExecutor>,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    draining: CancellationToken,
}

// === impl Listeners ===

impl Listeners {
    /// Binds what was configured.
    ///
    /// # Errors
    /// If an address that must be bound cannot be, or none can.
    pub(crate) fn bind(listen: &Listen) -> Result<Self> {
        let mut listeners = Vec::new();
        let mut absent = None;
        for address in &listen.addresses {
            match socket(*address) {
                Ok(listener) => listeners.push(listener),
                Err(error) if !listen.strict && is_absent_family(&error) => {
                    tracing::debug!(%address, cause = %error, "this machine lacks an address family");
                    absent = Some((address, error));
                }
                Err(error) => return Err(error).with_context(|| cannot_listen(*address)),
            }
        }
        match absent {
            Some((address, error)) if listeners.is_empty() => {
                Err(error).with_context(|| cannot_listen(*address))
            }
            _ => Ok(Self(listeners)),
        }
    }

    /// Where they listen, for people.
    pub(crate) fn addresses(&self) -> String {
        let addresses: Vec<_> = self.0.iter().map(TcpListener::local_addr).collect();
        let addresses = addresses.into_iter().flatten();
        addresses
            .map(|address| address.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Serves until [`Serving::drain`].
    pub(crate) fn serve(self, edge: &Arc<Edge>) -> Serving {
        let draining = CancellationToken::new();
        let tasks = TaskTracker::new();
        let room = Arc::new(Semaphore::new(max_connections(open_files::raise_limit())));
        for listener in self.0 {
            let acceptor = Acceptor {
                edge: Arc::clone(edge),
                http: http_rules(),
                room: Arc::clone(&room),
                tasks: tasks.clone(),
                draining: draining.clone(),
            };
            tasks.spawn(acceptor.run(listener));
        }
        tasks.close();
        Serving { draining, tasks }
    }
}

/// Half of the files at most: each client may need a connection to the MCP server too, and those
/// to the identity provider must never fail for want of one.
fn max_connections(open_files: u64) -> usize {
    let room = open_files.saturating_sub(OTHER_FILES) / 2;
    usize::try_from(room)
        .unwrap_or(MAX_CONNECTIONS)
        .clamp(1, MAX_CONNECTIONS)
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // Both families can then have the same port.
        socket.set_only_v6(true)?;
    }
    // A restart need not wait for connections of its predecessor to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn cannot_listen(address: SocketAddr) -> String {
    format!(
        "cannot listen at {address}: if another program holds that port, stop it or set PORT to a \
         free one"
    )
}

fn is_absent_family(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// "Address family not supported": has no [`io::ErrorKind`] of its own.
const EAFNOSUPPORT: i32 = if cfg!(target_os = "macos") { 47 } else { 97 };

fn http_rules() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADER_LINES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_streams(250)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

// === impl Serving ===

impl Serving {
    /// Stops accepting, lets open requests finish within `limit`, and says whether all did.
    pub(crate) async fn drain(self, limit: Duration) -> bool {
        self.draining.cancel();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

// === impl Acceptor ===

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        loop {
            let Ok(permit) = Arc::clone(&self.room).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                () = self.draining.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer);
                    self.tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(cause = %error, "a connection could not be accepted; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<> {
        let edge = Arc::clone(&self.edge);
        let http = self.http.clone();
        let draining = self.draining.clone();
        async move {
            // Small answers must not wait for the acknowledgement of earlier ones.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(cause = %error, "a connection was gone before it was served");
                return;
            }
            let service = service_fn(move |request| {
                let edge = Arc::clone(&edge);
                async move { Ok::<_, Infallible>(edge.answer(request, peer).await) }
            });
            let stream = TokioIo::new(FirstBytes::new(stream, HEADER_TIMEOUT));
            let mut connection = pin!(http.serve_connection(stream, service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = draining.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                // Mostly clients that went away; their requests are logged where they are served.
                tracing::debug!(client.address = %peer.ip(), cause = %error, "a connection ended early");
            }
        }
    }
}

/// Whether an error of `accept` concerns only the connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_use_up_all_files() {
        for (open_files, connections) in [(0, 1), (1024, 448), (10_240, 5056), (65_536, 16_384)] {
            assert_eq!(max_connections(open_files), connections);
        }
    }
}
