//! Why a document could not be had.

use std::time::Duration;

use crate::{exchange::MAX_BODY_BYTES, fetcher::WITHIN};

/// Why a document could not be had. The texts name no address that a name resolved to: who asks
/// could learn from it what lies behind the fence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Such a URL is never fetched.
    #[error("its address is not fetched: {0}")]
    Url(&'static str),
    /// The host is an address, and not one of the public internet.
    #[error("its host is not on the public internet")]
    NotPublic,
    /// The name is not known, or leads behind the fence. Which of them is not told: else whoever asks
    /// could find out the names of an inner network, one after the other.
    #[error("its host name leads to no address on the public internet")]
    Unresolved,
    /// No connection, or it broke.
    #[error("its host could not be reached: {0}")]
    Connection(String),
    /// Its certificate, mostly.
    #[error("TLS to its host failed: {0}")]
    Tls(String),
    /// Connecting and reading took too long.
    #[error("its host did not answer in full within {} s", WITHIN.as_secs())]
    Timeout,
    /// Redirects are not followed.
    #[error(
        "its host answered with a redirect (status {0}), which is not followed; it must be served at its own address"
    )]
    Redirect(u16),
    /// Any status but 200.
    #[error("its host answered with status {0}, not 200")]
    Status(u16),
    /// Not JSON by its own account.
    #[error("it is not served as application/json or application/*+json")]
    ContentType,
    /// A longer one than is read.
    #[error("it is longer than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// It came, but is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// The asking network, or the host, was served too often of late, or too much is under way.
    #[error("too many documents were asked for; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When it is worth a try: whole seconds, at least one.
        retry_after: Duration,
    },
}

// === impl FetchError ===

impl FetchError {
    /// Whether the same document may well be had a little later: no reason to call its owner
    /// unknown.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unresolved
            | Self::Connection(_)
            | Self::Tls(_)
            | Self::Timeout
            | Self::Busy { .. } => true,
            // A firewall in front of the host refuses some for a while (403); only these two say
            // that there is no such document.
            Self::Status(status) => !matches!(status, 404 | 410),
            Self::Url(_)
            | Self::NotPublic
            | Self::Redirect(_)
            | Self::ContentType
            | Self::TooLarge
            | Self::Invalid(_) => false,
        }
    }
}
