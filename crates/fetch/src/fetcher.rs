//! The fence itself: one fetch, within all bounds.

#[cfg(test)]
mod tests;

use std::{net::IpAddr, time::Duration};

use tokio::time::timeout;
use url::Url;

use crate::{
    connect::{Connector, Resolve, SystemResolver},
    error::FetchError,
    exchange::{self, Answer},
    limits::Limits,
    target::Target,
};

/// Time for one fetch, from the first look at the name to the last byte.
pub(crate) const WITHIN: Duration = Duration::from_secs(3);

/// How fetching is set up.
#[derive(Clone, Debug, Default)]
pub struct FetchSettings {
    /// For development: URLs on this machine (`localhost`, `127.0.0.0/8`, `[::1]`) are fetched
    /// too, by http as by https. Names that merely resolve to it are not.
    pub allows_loopback: bool,
    /// PEM files with roots that are trusted beside the system's.
    pub ca_certificates: Vec<Vec<u8>>,
}

/// A root certificate that cannot be read, or a TLS stack that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("no connection by TLS can be made: {0}")]
pub struct UnusableTrust(pub(crate) String);

/// Fetches what others name, within the fence.
#[derive(Debug)]
pub struct Fetcher {
    allows_loopback: bool,
    connector: Connector,
    limits: Limits,
}

// === impl Fetcher ===

impl Fetcher {
    /// Nothing fetched yet.
    ///
    /// # Errors
    /// If the certificates cannot be read.
    pub fn new(settings: &FetchSettings) -> Result<Self, UnusableTrust> {
        Self::with_resolver(settings, Box::new(SystemResolver))
    }

    pub(crate) fn with_resolver(
        settings: &FetchSettings,
        resolver: Box<dyn Resolve>,
    ) -> Result<Self, UnusableTrust> {
        Ok(Self {
            allows_loopback: settings.allows_loopback,
            connector: Connector::new(&settings.ca_certificates, resolver)?,
            limits: Limits::new(),
        })
    }

    /// Whether URLs on this machine are fetched.
    pub fn allows_loopback(&self) -> bool {
        self.allows_loopback
    }

    /// Fetches one document for the asking network.
    pub(crate) async fn fetch(&self, url: &Url, asker: IpAddr) -> Result<Answer, FetchError> {
        let target = Target::new(url, self.allows_loopback)?;
        self.limits.charge(asker, &target.host.to_string())?;
        timeout(WITHIN, async {
            let _place = self.limits.place().await?;
            let stream = self.connector.connect(&target).await?;
            exchange::ask(stream, &target).await
        })
        .await
        .unwrap_or(Err(FetchError::Timeout))
    }
}
