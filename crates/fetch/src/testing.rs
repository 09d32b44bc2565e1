//! A real origin for tests: TCP, TLS, raw answers.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::{
    connect::Resolve,
    fetcher::{FetchSettings, Fetcher},
};

pub(crate) const ASKER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A host on this machine that answers every request with the same bytes.
pub(crate) struct Origin {
    address: SocketAddr,
    is_tls: bool,
    /// PEM of its certificate.
    certificate: Vec<u8>,
    shared: Arc<Shared>,
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Shared {
    answer: Mutex<Vec<u8>>,
    seen: Mutex<Vec<String>>,
}

/// Names that lead where the test says.
pub(crate) struct FixedResolver(pub(crate) Vec<IpAddr>);

// === impl Origin ===

impl Origin {
    pub(crate) async fn tls() -> Self {
        Self::start(true).await
    }

    pub(crate) async fn plain() -> Self {
        Self::start(false).await
    }

    async fn start(is_tls: bool) -> Self {
        let names = ["localhost", "127.0.0.1", "rebound.example"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = is_tls.then(|| TlsAcceptor::from(Arc::new(config)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (open, gate) = watch::channel(true);
        tokio::spawn(serve(listener, acceptor, Arc::clone(&shared), gate));
        let origin = Self {
            address,
            is_tls,
            certificate: made.cert.pem().into_bytes(),
            shared,
            open,
        };
        origin.answers_json("", "{}");
        origin
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        let scheme = if self.is_tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}{path}", self.address)).unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn answers(&self, raw: impl Into<Vec<u8>>) {
        *self.shared.answer.lock().unwrap() = raw.into();
    }

    /// A 200 with a JSON body; `headers` end with CRLF each.
    pub(crate) fn answers_json(&self, headers: &str, body: &str) {
        let length = body.len();
        self.answers(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ));
    }

    pub(crate) fn answers_status(&self, status: &str) {
        self.answers(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    }

    /// Holds all answers back, or lets them go.
    pub(crate) fn hold(&self, is_held: bool) {
        self.open.send_replace(!is_held);
    }

    /// Waits for the first request.
    pub(crate) async fn is_asked(&self) {
        while self.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// The heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn settings(&self, allows_loopback: bool) -> FetchSettings {
        FetchSettings {
            allows_loopback,
            ca_certificates: vec![self.certificate.clone()],
        }
    }

    /// A fetcher that may come here.
    pub(crate) fn fetcher(&self) -> Fetcher {
        Fetcher::new(&self.settings(true)).unwrap()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    gate: watch::Receiver<bool>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(meet(
            stream,
            acceptor.clone(),
            Arc::clone(&shared),
            gate.clone(),
        ));
    }
}

async fn meet(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    gate: watch::Receiver<bool>,
) {
    match acceptor {
        None => answer(stream, &shared, gate).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, &shared, gate).await;
            }
        }
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &Shared,
    mut gate: watch::Receiver<bool>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    shared
        .seen
        .lock()
        .unwrap()
        .push(String::from_utf8(head).unwrap());
    if gate.wait_for(|is_open| *is_open).await.is_err() {
        return;
    }
    let raw = shared.answer.lock().unwrap().clone();
    let _ = stream.write_all(&raw).await;
    let _ = stream.shutdown().await;
}

// === impl FixedResolver ===

impl Resolve for FixedResolver {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}
