//! A self-signed certificate in files.

use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

/// A certificate for `localhost` that nobody else has signed, and its key.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate.
    pub pem: String,
    /// Its key.
    pub key: String,
    directory: TempDir,
}

// === impl Certificate ===

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn for_localhost() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            directory: tempfile::tempdir()?,
        };
        std::fs::write(certificate.path(), &certificate.pem)?;
        std::fs::write(certificate.key_path(), &certificate.key)?;
        Ok(certificate)
    }

    /// The file of the certificate.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    /// The file of the key.
    pub fn key_path(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }
}
