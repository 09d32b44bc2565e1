//! A device asks whether its user has decided, and collects its grant.

use std::sync::Arc;

use domain::credential::{Credential, CredentialKind};
use store::DeviceReplaced;

use super::{
    DevicePoll, DevicePollError,
    decide::{Versioned, contended},
    keys::DeviceKeys,
    record::{DeviceRecord, DeviceState, Paced},
};
use crate::{
    cache::Refusal,
    heart::Heart,
    keys::Root,
    live::Live,
    lookup::{Closed, Found, Written},
    messages::IssuedTokens,
    patience::Patience,
    record::CodeState,
};

/// Most writes of others that one poll gives way to.
const ATTEMPTS: usize = 8;

/// A poll with what was found out about it.
struct Shown<'a> {
    credential: Credential,
    poll: DevicePoll<'a>,
    patience: Patience,
}

impl Heart {
    pub(crate) async fn poll_device(
        &self,
        poll: DevicePoll<'_>,
    ) -> Result<IssuedTokens, DevicePollError> {
        let credential = Credential::parse(poll.device_code)
            .ok()
            .filter(|credential| credential.kind == CredentialKind::Device)
            .ok_or(DevicePollError::Unknown)?;
        // Nobody is told anything by this: whoever made it up knows what time they wrote.
        if credential.is_expired(self.clock.now()) {
            return Err(DevicePollError::Expired);
        }
        let shown = Shown {
            credential,
            poll,
            patience: self.patience(),
        };
        let keys = DeviceKeys::of(&shown.credential, &self.settings.issuer);
        for _ in 0..ATTEMPTS {
            let device = self.device_of(&shown, &keys).await?;
            match &device.record.state {
                DeviceState::Waiting => {
                    if let Some(paced) = self.wait(&shown, device).await? {
                        return Err(paced);
                    }
                }
                DeviceState::Approved { root } => {
                    let root = keys.open_root(root).ok_or(DevicePollError::Unknown)?;
                    return self.collect(&shown, &root, &device).await;
                }
                DeviceState::Denied => return Err(DevicePollError::Denied),
                DeviceState::Used => return Err(DevicePollError::Used),
            }
        }
        Err(contended().into())
    }

    /// The device of an authentic code that its own client shows.
    async fn device_of(
        &self,
        shown: &Shown<'_>,
        keys: &DeviceKeys<'_>,
    ) -> Result<Versioned, DevicePollError> {
        let grant = &shown.credential.grant;
        let device = self
            .load_device(grant, &shown.patience)
            .await?
            .filter(|device| keys.fit(&shown.credential, &device.record.public_key))
            .ok_or(DevicePollError::Unknown)?;
        let record = &device.record;
        if record.client != *shown.poll.client {
            tracing::warn!(
                grant.id = %grant, client.id = %record.client, shown_by = %shown.poll.client,
                "a device code was shown by another client than its own; refused",
            );
            return Err(DevicePollError::WrongClient);
        }
        let asked = shown.poll.resource;
        if asked.is_some_and(|resource| *resource != record.resource) {
            return Err(DevicePollError::WrongResource);
        }
        Ok(device)
    }

    /// Notes the poll; `None` if somebody has written in between.
    async fn wait(
        &self,
        shown: &Shown<'_>,
        device: Versioned,
    ) -> Result<Option<DevicePollError>, DevicePollError> {
        let now = self.clock.now();
        if !device.record.is_waiting(now) {
            return Ok(Some(DevicePollError::Expired));
        }
        let mut changed = device.record;
        let (paced, is_news) = changed.pace.poll(now);
        if is_news {
            let grant = &shown.credential.grant;
            let replaced = self
                .replace_device(grant, device.version, &changed, &shown.patience)
                .await?;
            match replaced {
                DeviceReplaced::Done => {}
                DeviceReplaced::Conflict(_) => return Ok(None),
                DeviceReplaced::Absent => return Ok(Some(DevicePollError::Expired)),
            }
        }
        Ok(Some(match paced {
            Paced::Pending => DevicePollError::Pending,
            Paced::SlowDown => DevicePollError::SlowDown,
        }))
    }

    async fn collect(
        &self,
        shown: &Shown<'_>,
        root: &Root<'_>,
        device: &Versioned,
    ) -> Result<IssuedTokens, DevicePollError> {
        let live = self.waiting_grant(shown, root).await?;
        let patience = &shown.patience;
        let mut held = self.hold(&live, patience).await?;
        for _ in 0..ATTEMPTS {
            if live.is_ended() || live.end_of(&held.line) <= self.clock.now() {
                return Err(DevicePollError::Ended);
            }
            let mut changed = held.line.clone();
            let address = live.keys.address_hash(shown.poll.network);
            let is_news = if matches!(held.line.code, CodeState::AtDevice) {
                changed.redeem(address, self.idle_life(&live.facts), self.moment());
                true
            } else if held.line.generation == 1 && held.line.newest_seen == 0 {
                // Nobody has seen the tokens: the answer was lost, or is asked for twice.
                changed.note_address(address, 1)
            } else {
                drop(held);
                self.use_up(shown, device).await;
                return Err(DevicePollError::Used);
            };
            if !is_news {
                return Ok(self.issue(&live, root, &held.line));
            }
            match self.write_line(&live, &mut held, changed, patience).await? {
                Written::Done => return Ok(self.issue(&live, root, &held.line)),
                Written::Overtaken => {}
                Written::Gone => return Err(DevicePollError::Ended),
            }
        }
        Err(contended().into())
    }

    /// The grant, opened by its root.
    async fn waiting_grant(
        &self,
        shown: &Shown<'_>,
        root: &Root<'_>,
    ) -> Result<Arc<Live>, DevicePollError> {
        let grant = shown.credential.grant;
        loop {
            match self.find(&grant, &shown.patience).await? {
                Found::Live(live) if live.is_key(&root.key()) => return Ok(live),
                Found::Live(_) => return Err(DevicePollError::Unknown),
                Found::Stored(stored) => {
                    let keys = root.grant_keys();
                    if !keys.fit(&stored.line.line.check) {
                        return Err(DevicePollError::Unknown);
                    }
                    if let Ok(live) = self.admit(grant, *stored, keys)? {
                        return Ok(live);
                    }
                }
            }
        }
    }

    /// Erases the sealed root, which nobody needs any more. If this fails it ends by itself.
    async fn use_up(&self, shown: &Shown<'_>, device: &Versioned) {
        let used = DeviceRecord {
            state: DeviceState::Used,
            ..device.record.clone()
        };
        let grant = &shown.credential.grant;
        let written = self.replace_device(grant, device.version, &used, &shown.patience);
        if let Err(fault) = written.await {
            tracing::debug!(grant.id = %grant, cause = %fault, "a used device code was not marked");
        }
    }
}

impl From<Closed> for DevicePollError {
    fn from(closed: Closed) -> Self {
        match closed {
            // It was there when the device was approved.
            Closed::Refused(Refusal::Unknown | Refusal::Ended) => Self::Ended,
            Closed::Unavailable(error) => Self::Unavailable(error),
        }
    }
}
