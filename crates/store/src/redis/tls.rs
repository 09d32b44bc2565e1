//! How a server proves itself, and how we do.

use std::fmt;

use ::redis::{ClientTlsConfig, TlsCertificates};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::secret::SecretString;
use rustls::RootCertStore;

/// TLS towards a server.
#[derive(Clone, Default)]
pub struct RedisTls {
    /// Whether the server's certificate is verified. Without it anybody on the way can be the
    /// server.
    pub verifies: bool,
    /// Roots added to the system's, as PEM.
    pub ca_certificates: Vec<Vec<u8>>,
    /// Certificate chain and key that we prove ourselves with, as PEM.
    pub identity: Option<(Vec<u8>, SecretString)>,
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisTls")
            .field("verifies", &self.verifies)
            .field("ca_certificates", &self.ca_certificates.len())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

pub(super) fn certificates(tls: &RedisTls) -> TlsCertificates {
    let client_tls = tls.identity.as_ref().map(|(chain, key)| ClientTlsConfig {
        client_cert: chain.clone(),
        client_key: key.expose().as_bytes().to_vec(),
    });
    TlsCertificates {
        client_tls,
        root_cert: Some(roots(&tls.ca_certificates)),
    }
}

/// The system's roots (where it has none, Mozilla's) and those added, as one bundle.
fn roots(added: &[Vec<u8>]) -> Vec<u8> {
    let mut native = rustls_native_certs::load_native_certs().certs;
    // One that rustls cannot use would make it refuse the whole bundle.
    native.retain(|der| RootCertStore::empty().add(der.clone()).is_ok());
    if native.is_empty() {
        native.extend_from_slice(webpki_root_certs::TLS_SERVER_ROOT_CERTS);
    }
    let mut bundle = Vec::new();
    for der in &native {
        write_pem(&mut bundle, der);
    }
    for pem in added {
        bundle.extend_from_slice(pem);
        bundle.push(b'\n');
    }
    bundle
}

/// RFC 7468 §5.1.
fn write_pem(bundle: &mut Vec<u8>, der: &[u8]) {
    bundle.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        bundle.extend_from_slice(line);
        bundle.push(b'\n');
    }
    bundle.extend_from_slice(b"-----END CERTIFICATE-----\n");
}
