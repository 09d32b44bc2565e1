//! Connecting to a target: resolve, keep what the fence admits, connect to exactly that.
//!
//! Between the check and the connection there is no second look-up, so that a name which changes
//! its address in between (DNS rebinding) gains nothing.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Host;

use crate::{
    error::FetchError,
    fetcher::{UnusableTrust, WITHIN},
    target::Target,
};

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 6;

/// Opens connections through the fence.
pub(crate) struct Connector {
    tls: TlsConnector,
    resolver: Box<dyn Resolve>,
}

/// How names become addresses; tests put names of their own.
pub(crate) trait Resolve: Send + Sync {
    /// The addresses of a name.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
pub(crate) struct SystemResolver;

/// A connection of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

// === impl Connector ===

impl Connector {
    /// Trusts the system's roots (where it has none, Mozilla's) and the ones given as PEM.
    pub(crate) fn new(
        extra_roots: &[Vec<u8>],
        resolver: Box<dyn Resolve>,
    ) -> Result<Self, UnusableTrust> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for pem in extra_roots {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| UnusableTrust(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| UnusableTrust(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| UnusableTrust(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            resolver,
        })
    }

    /// A new connection to the target.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Box<dyn Stream>, FetchError> {
        let addresses = self.addresses(target).await?;
        let stream = tcp(&addresses, target.port).await?;
        if !target.is_tls {
            return Ok(Box::new(stream));
        }
        let name = server_name(&target.host)
            .ok_or(FetchError::Url("no certificate can be for its host"))?;
        let stream = self.tls.connect(name, stream).await;
        stream
            .map(|stream| Box::new(stream) as Box<dyn Stream>)
            .map_err(|error| FetchError::Tls(plain(&error)))
    }

    /// The addresses that the fence admits.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, FetchError> {
        let found = match &target.host {
            Host::Domain(name) => self
                .resolver
                .resolve(name)
                .await
                .map_err(|_| FetchError::Unresolved)?,
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
        };
        if found.is_empty() {
            return Err(FetchError::Unresolved);
        }
        let admitted: Vec<_> = found
            .into_iter()
            .filter(|address| target.admits(*address))
            .take(MAX_ADDRESSES)
            .collect();
        if !admitted.is_empty() {
            return Ok(admitted);
        }
        match &target.host {
            Host::Domain(name) => {
                tracing::debug!(host = %name, "a name leads to no address on the public internet");
                Err(FetchError::Unresolved)
            }
            Host::Ipv4(_) | Host::Ipv6(_) => Err(FetchError::NotPublic),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connector")
    }
}

/// Tries one address after the other. One that swallows packets must not use up the time of all.
async fn tcp(addresses: &[IpAddr], port: u16) -> Result<TcpStream, FetchError> {
    let share = WITHIN / 2 / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let share = share.max(Duration::from_millis(250));
    let mut last = FetchError::Timeout;
    for address in addresses {
        match timeout(share, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = FetchError::Connection(plain(&error)),
            Err(_elapsed) => last = FetchError::Timeout,
        }
    }
    Err(last)
}

fn server_name(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.clone()).ok(),
        Host::Ipv4(address) => Some(ServerName::from(IpAddr::V4(*address))),
        Host::Ipv6(address) => Some(ServerName::from(IpAddr::V6(*address))),
    }
}

/// An error in one line, cut: parts of it come from the other side.
pub(crate) fn plain(error: &dyn fmt::Display) -> String {
    const MAX_CHARS: usize = 200;
    error
        .to_string()
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(MAX_CHARS)
        .collect()
}

// === impl SystemResolver ===

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = lookup_host((name, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }
}
