//! Opening a connection to an MCP server, plain or by TLS.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

use crate::addresses;

/// How long name resolution, connecting to all addresses, and the TLS handshake may take in all.
/// The server is near (mostly on this machine); who waits longer waits for nothing.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Which certificates a server reached by TLS may show: those of the system (and
/// `SSL_CERT_FILE`), else Mozilla's, and the operator's own.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

/// Certificates that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the extra CA certificates cannot be read: {0}; they must be PEM (`-----BEGIN CERTIFICATE-----`)"
)]
pub struct InvalidCertificates(String);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// What the system says.
    #[error("{0}")]
    Io(io::Error),
    /// No answer at all.
    #[error("no connection within {} s", CONNECT_WITHIN.as_secs())]
    Timeout,
    /// The TLS handshake failed, mostly for its certificate.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
}

/// Opens connections to one place.
#[derive(Debug)]
pub(super) struct Dialer {
    host: Host<String>,
    port: u16,
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    trust: Trust,
    /// What its certificate must be for; absent where the host is no name at all.
    name: Option<ServerName<'static>>,
}

/// A connection that counts what it receives.
pub(super) struct Stream {
    transport: Transport,
    received: Arc<AtomicU64>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Trust ===

impl Trust {
    /// The system's roots and the ones given as PEM.
    pub(crate) fn new(extra: &[Vec<u8>]) -> Result<Self, InvalidCertificates> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for pem in extra {
            add_pem(&mut roots, pem)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidCertificates(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Trust")
    }
}

fn add_pem(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), InvalidCertificates> {
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| InvalidCertificates(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| InvalidCertificates(error.to_string()))?;
        count += 1;
    }
    if count == 0 {
        return Err(InvalidCertificates("no certificate in it".to_owned()));
    }
    Ok(())
}

// === impl Dialer ===

impl Dialer {
    /// For the server at `url`.
    pub(super) fn new(url: &Url, trust: &Trust) -> Self {
        let host = url
            .host()
            .map_or_else(|| Host::Domain(String::new()), |host| host.to_owned());
        let tls = (url.scheme() == "https").then(|| Tls {
            trust: trust.clone(),
            name: server_name(&host),
        });
        Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
            tls,
        }
    }

    /// A new connection.
    pub(super) async fn dial(&self, received: Arc<AtomicU64>) -> Result<Stream, ConnectError> {
        let transport = timeout(CONNECT_WITHIN, self.open())
            .await
            .map_err(|_| ConnectError::Timeout)??;
        Ok(Stream {
            transport,
            received,
        })
    }

    async fn open(&self) -> Result<Transport, ConnectError> {
        let stream = self.open_tcp().await.map_err(ConnectError::Io)?;
        // A small event must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(ConnectError::Io)?;
        let Some(tls) = &self.tls else {
            return Ok(Transport::Plain(stream));
        };
        let name = tls.name.clone().ok_or_else(|| {
            ConnectError::Tls(io::Error::other(
                "no certificate can be for such a host name",
            ))
        })?;
        TlsConnector::from(Arc::clone(&tls.trust.0))
            .connect(name, stream)
            .await
            .map(|stream| Transport::Tls(Box::new(stream)))
            .map_err(ConnectError::Tls)
    }

    async fn open_tcp(&self) -> io::Result<TcpStream> {
        let addresses = addresses::of(&self.host, self.port).await?;
        // One address that swallows packets must not use up the time of the others.
        let share = CONNECT_WITHIN / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
        Host::Ipv4(address) => Some(ServerName::from(IpAddr::V4(*address))),
        Host::Ipv6(address) => Some(ServerName::from(IpAddr::V6(*address))),
    }
}

// === impl Stream ===

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        })?;
        let count = buffer.filled().len().saturating_sub(before) as u64;
        self.received.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
