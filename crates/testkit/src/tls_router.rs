//! A router that ends TLS before a server, as a process of its own.

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use crate::{certificate::Certificate, port::Port, process::Process, tools::Tools};

/// A router about to be started; its address is known before the server behind it is.
#[derive(Debug)]
pub struct TlsRouterAddress {
    port: Port,
    certificate: Certificate,
}

/// A running router.
#[derive(Debug)]
pub struct TlsRouter {
    _process: Process,
    _directory: TempDir,
    address: TlsRouterAddress,
}

// === impl TlsRouterAddress ===

impl TlsRouterAddress {
    /// A free address, and a certificate for it.
    ///
    /// # Errors
    /// If there is none.
    pub fn reserve() -> Result<Self> {
        Ok(Self {
            port: Port::reserve()?,
            certificate: Certificate::for_localhost()?,
        })
    }

    /// How the world reaches what stands behind it, without a trailing slash.
    pub fn origin(&self) -> String {
        format!("https://localhost:{}", self.port.number())
    }

    /// Starts the router before the server at a port of the loopback.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn start(self, to: u16) -> Result<TlsRouter> {
        let directory = tempfile::tempdir()?;
        let settings = json!({
            "port": self.port.number(),
            "to": to,
            "certificate": self.certificate.path(),
            "key": self.certificate.key_path(),
        });
        let mut command = Tools::find()?.script("tls-router.mjs");
        command.arg(settings.to_string());
        let output = directory.path().join("output");
        let mut process = Process::start("the router", command, &output)?;
        process.ready_port().await?;
        Ok(TlsRouter {
            _process: process,
            _directory: directory,
            address: self,
        })
    }
}

// === impl TlsRouter ===

impl TlsRouter {
    /// A URL behind it.
    ///
    /// # Errors
    /// If the path is none.
    pub fn url(&self, path: &str) -> Result<Url> {
        Ok(Url::parse(&format!("{}{path}", self.address.origin()))?)
    }

    /// What whoever speaks to it has to trust.
    pub const fn certificate(&self) -> &Certificate {
        &self.address.certificate
    }
}
