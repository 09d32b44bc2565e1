//! Devices without a browser (RFC 8628): a device waits for its grant, a person opens it elsewhere.
//!
//! The browser that approves never holds the device code, yet the grant's root must reach only its
//! bearer. So a key pair is derived from the device code and the store has the public half: the
//! approval seals the root to it. The id of the device code is the id of the grant to be.

mod begin;
mod decide;
mod keys;
mod poll;
mod record;
#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, time::Duration};

use domain::{
    address::ClientNetwork,
    id::{ClientId, GrantId},
    resource::Resource,
    scope::ScopeSet,
    secret::{SecretBytes, SecretString},
    time::Timestamp,
    user_code::UserCode,
};
use idp::provider::Identity;
use store::StoreUnavailable;

use crate::messages::IssuedTokens;

/// How long a person may take: what the client is told. The identity provider may ask for more than
/// a password, so it is not short; guesses at user codes are counted.
const DEVICE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long after that an approval of the last moment can still be collected.
const COLLECTING_TIME: Duration = Duration::from_secs(60);
/// Slack in which the records outlive the device code.
const SLACK: Duration = Duration::from_secs(30);
/// The pause between two polls that a client is told at first, and what each `slow_down` adds to it
/// (RFC 8628 §3.2, §3.5).
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// A device that asks for a grant; its client has already proven itself.
#[derive(Debug)]
pub struct DeviceRequest {
    /// Who asks.
    pub client: ClientId,
    /// What the access token will be good for.
    pub resource: Resource,
    /// Scopes asked for.
    pub scopes: ScopeSet,
    /// From where; the person sees it and may judge by it.
    pub asked_from: IpAddr,
}

/// What the device gets (RFC 8628 §3.2).
#[derive(Debug)]
pub struct DeviceAuthorization {
    /// What it polls with.
    pub device_code: SecretString,
    /// What its user carries to a browser.
    pub user_code: UserCode,
    /// How long both are good.
    pub expires_in: Duration,
    /// The least time between two polls.
    pub interval: Duration,
}

/// A device that waits for its user's decision.
#[derive(Clone, Debug)]
pub struct WaitingDevice {
    /// The id of the grant to be.
    pub grant: GrantId,
    /// Who asks.
    pub client: ClientId,
    /// What for.
    pub resource: Resource,
    /// Scopes asked for.
    pub scopes: ScopeSet,
    /// When.
    pub asked_at: Timestamp,
    /// From where.
    pub asked_from: IpAddr,
}

/// A poll (RFC 8628 §3.4); the client has already proven itself.
pub struct DevicePoll<'a> {
    /// The device code as it was shown.
    pub device_code: &'a str,
    /// Who shows it.
    pub client: &'a ClientId,
    /// The resource asked for, where it was.
    pub resource: Option<&'a Resource>,
    /// Where the request came from.
    pub network: ClientNetwork,
}

/// Why a poll gets no tokens.
#[derive(Debug, thiserror::Error)]
pub enum DevicePollError {
    /// Nobody has decided yet.
    #[error("the user has not decided yet; ask again after the interval")]
    Pending,
    /// The same, and the device does not keep to the interval.
    #[error("the device asks too often; wait 5 seconds longer between polls from now on")]
    SlowDown,
    /// Nobody decided in time.
    #[error("the device code has expired; ask for a new one")]
    Expired,
    /// The user, or the identity provider for them, said no.
    #[error("the user did not agree")]
    Denied,
    /// Not a device code of ours, or one that is forgotten.
    #[error("the device code is not known here")]
    Unknown,
    /// Its tokens were collected and used.
    #[error("the device code was used before")]
    Used,
    /// It belongs to another client.
    #[error("the device code was issued to another client")]
    WrongClient,
    /// Another resource than the one it was issued for (RFC 8707 §2).
    #[error("the device code is not for this resource")]
    WrongResource,
    /// Its grant was ended before the device collected it.
    #[error("the session was ended; begin anew")]
    Ended,
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Why a decision about a device has no effect.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// It waited too long, or was never there.
    #[error("the device does not wait any more: its code has expired")]
    Expired,
    /// Another decision came first.
    #[error("it was decided before about this device")]
    Decided,
    /// A passing fault of the store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Devices and what is asked of them; see [`crate::Grants`].
impl crate::Grants {
    /// Lets a device wait for its user. `secret` is one that only this server knows: it keys what
    /// can be guessed (user code, address).
    ///
    /// # Errors
    /// If the store is away.
    pub async fn begin_device(
        &self,
        request: DeviceRequest,
        secret: &SecretBytes<32>,
    ) -> Result<DeviceAuthorization, StoreUnavailable> {
        self.heart.begin_device(request, secret).await
    }

    /// The device that a user code leads to, while it waits. `secrets` are those that it may have
    /// been made with.
    ///
    /// # Errors
    /// If the store is away.
    pub async fn find_device(
        &self,
        user_code: &UserCode,
        secrets: &[&SecretBytes<32>],
    ) -> Result<Option<WaitingDevice>, StoreUnavailable> {
        self.heart.find_device(user_code, secrets).await
    }

    /// Opens the grant of a device whose user agreed and logged in. Only the bearer of the device
    /// code can collect it. The caller has extended the client's registration, so that it outlives
    /// the grant.
    ///
    /// # Errors
    /// See [`DecideError`].
    pub async fn approve_device(
        &self,
        grant: &GrantId,
        identity: Identity,
    ) -> Result<(), DecideError> {
        self.heart.approve_device(grant, identity).await
    }

    /// Tells a device that its user said no.
    ///
    /// # Errors
    /// See [`DecideError`].
    pub async fn deny_device(&self, grant: &GrantId) -> Result<(), DecideError> {
        self.heart.deny_device(grant).await
    }

    /// Answers a poll. Until the tokens were seen in use, a repeated one is answered the same:
    /// the answer may have been lost.
    ///
    /// # Errors
    /// See [`DevicePollError`].
    pub async fn poll_device(&self, poll: DevicePoll<'_>) -> Result<IssuedTokens, DevicePollError> {
        self.heart.poll_device(poll).await
    }
}

// === impl DevicePoll ===

/// Without the code.
impl fmt::Debug for DevicePoll<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DevicePoll")
            .field("client", &self.client)
            .field("resource", &self.resource)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}
