//! Keeping the identity token of a grant fresh: one refresh at a time, for all who wait.
//!
//! A refresh runs in a task of its own, so that no hang-up cuts it. The provider's answer is
//! sealed and stored before anybody uses it; only the provider's definite refusal of the token
//! that is still current in the store ends the grant. Over all processes a lease in the store keeps
//! it to one at a time, and the version of what is settled decides where that fails.

use std::{sync::Arc, time::Duration};

use domain::random::Random;
use idp::provider::{IdentityRefresher, IdentityTokens, RefreshError};
use store::{Settled, StoreUnavailable, StoredGrant, StoredIdentity};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    audit::EndReason,
    heart::{Grants, Heart},
    identity::{Binding, IdentitySession},
    lease::HeldLease,
    live::Live,
    session::{IdentityError, IdentityToken},
};

mod flight;

use flight::{Boarding, Flight};
pub(crate) use flight::{Landing, RefreshState};

/// What a caller has in hand while a refresh runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtHand {
    /// A token that goes on being used if the refresh fails, until it expires.
    Usable,
    /// One that the MCP server refused.
    Refused,
}

/// Longest pause between two refreshes of a grant while the provider fails and the token at hand
/// is still good.
const LONGEST_PAUSE_AHEAD: Duration = Duration::from_secs(30);
/// The same, while callers are turned away for it.
const LONGEST_PAUSE: Duration = Grants::RETRY_AFTER;
/// Longest pause between two tries within a refresh.
const LONGEST_RETRY: Duration = Duration::from_secs(2);
/// The same between two tries to store an answer. Others wait so long for it, after an absence of
/// the store.
const LONGEST_STORE_RETRY: Duration = Duration::from_millis(500);
/// Pause between two looks whether a refused token was replaced by another's answer.
const DOUBT_PAUSE: Duration = Duration::from_millis(250);

impl Heart {
    /// A token to send: the one at hand while it is fresh.
    pub(crate) async fn identity_token(
        self: &Arc<Self>,
        live: &Arc<Live>,
    ) -> Result<IdentityToken, IdentityError> {
        if live.is_ended() {
            return Err(ended(live));
        }
        let identity = live.identity();
        let now = self.clock.now();
        if identity.is_fresh(now) {
            return Ok(IdentityToken::of(&identity));
        }
        if can_refresh(live, &identity.tokens) {
            return Box::pin(self.renew(live, &identity, AtHand::Usable)).await;
        }
        if identity.is_valid(now) {
            return Ok(IdentityToken::of(&identity));
        }
        Box::pin(self.end_for_good(live, EndReason::NoRefreshToken)).await
    }

    /// A newer token than one that the MCP server refused.
    pub(crate) async fn identity_token_after_refusal(
        self: &Arc<Self>,
        live: &Arc<Live>,
        refused: &IdentityToken,
    ) -> Result<IdentityToken, IdentityError> {
        if live.is_ended() {
            return Err(ended(live));
        }
        let identity = live.identity();
        if identity.version > refused.version {
            return self.identity_token(live).await;
        }
        let now = self.clock.now();
        // That a token which has ended is refused is no wonder.
        let is_fresh_refused = identity.is_valid(now) && live.refresh_state().is_fresh_refused(now);
        // Where nothing can be refreshed asking would not help either; the grant ends with its
        // token, not before.
        if is_fresh_refused || !can_refresh(live, &identity.tokens) {
            return Err(IdentityError::FreshRefused);
        }
        Box::pin(self.renew(live, &identity, AtHand::Refused)).await
    }

    /// Notes that a token was refused although it had just been renewed.
    pub(crate) fn note_fresh_refused(&self, live: &Live, refused: &IdentityToken) {
        if live.identity().version != refused.version {
            return;
        }
        live.refresh_state().note_fresh_refused(self.clock.now());
        tracing::warn!(
            grant.id = %live.id,
            client.id = %live.facts.client,
            user.subject = %live.facts.subject,
            "the MCP server refuses a fresh identity token; the grant lives, but for a minute no \
             refusal makes it refresh again"
        );
    }

    /// A newer token; where another process stored one so long ago that it is over too, one newer
    /// than that.
    async fn renew(
        self: &Arc<Self>,
        live: &Arc<Live>,
        held: &IdentitySession,
        at_hand: AtHand,
    ) -> Result<IdentityToken, IdentityError> {
        let began = self.clock.now();
        let give_up = Instant::now() + self.pace.refresh;
        let renewed = self.renew_once(live, held, at_hand, give_up).await;
        let found = live.identity();
        // The refresh that was waited for may have been for an older one than that at hand.
        let is_outdated = found.tokens.issued_at < began
            && !found.is_valid(self.clock.now())
            && can_refresh(live, &found.tokens);
        if renewed.is_ok() && is_outdated {
            return self.renew_once(live, &found, at_hand, give_up).await;
        }
        renewed
    }

    /// Waits for a refresh, its own or one that runs already.
    async fn renew_once(
        self: &Arc<Self>,
        live: &Arc<Live>,
        held: &IdentitySession,
        at_hand: AtHand,
        give_up: Instant,
    ) -> Result<IdentityToken, IdentityError> {
        let failure = match self.board(live, held.version) {
            None => return Ok(IdentityToken::of(&live.identity())),
            Some(Boarding::Grounded { retry_after }) => {
                let reason = "the last attempt failed a moment ago".to_owned();
                unavailable(reason, retry_after)
            }
            Some(Boarding::First(_, flight) | Boarding::Aboard(flight)) => {
                match self.wait_for(flight, held, at_hand, give_up).await {
                    Some(Landing::Renewed) => return Ok(IdentityToken::of(&live.identity())),
                    Some(Landing::Ended) => return Err(ended(live)),
                    Some(Landing::Failed(reason)) => unavailable(reason, Grants::RETRY_AFTER),
                    None => unavailable("it takes too long".to_owned(), Grants::RETRY_AFTER),
                }
            }
        };
        if at_hand == AtHand::Usable && held.is_valid(self.clock.now()) {
            return Ok(IdentityToken::of(held));
        }
        Err(failure)
    }

    /// Starts a refresh unless there is one, or has been; `None` if there is a newer token by now.
    fn board(self: &Arc<Self>, live: &Arc<Live>, version: u64) -> Option<Boarding> {
        let mut state = live.refresh_state();
        // A refresh publishes its token before it leaves the state: whoever finds none under way
        // sees the newer version.
        if live.identity().version > version {
            return None;
        }
        let boarding = state.board(self.clock.now());
        drop(state);
        let Boarding::First(pilot, flight) = boarding else {
            return Some(boarding);
        };
        let (heart, live) = (Arc::clone(self), Arc::clone(live));
        self.tasks.spawn(async move {
            let landing = heart.fly(&live).await;
            heart.land(&live, &landing);
            pilot.tell(landing);
        });
        Some(Boarding::Aboard(flight))
    }

    /// `None` if it takes longer than this caller can wait.
    async fn wait_for(
        &self,
        mut flight: Flight,
        held: &IdentitySession,
        at_hand: AtHand,
        give_up: Instant,
    ) -> Option<Landing> {
        let is_usable = at_hand == AtHand::Usable && held.is_valid(self.clock.now());
        let deadline = if is_usable {
            // Counted from its start, so that a slow provider delays each call only once.
            flight.started + self.pace.refresh_ahead
        } else {
            give_up
        };
        timeout_at(deadline, flight.landed()).await.ok()
    }

    fn land(&self, live: &Live, landing: &Landing) {
        let now = self.clock.now();
        let longest_pause = if live.identity().is_valid(now) {
            LONGEST_PAUSE_AHEAD
        } else {
            LONGEST_PAUSE
        };
        live.refresh_state().land(landing, longest_pause, now);
    }

    /// One refresh, from the question to the stored answer.
    async fn fly(&self, live: &Arc<Live>) -> Landing {
        let held = live.identity();
        let Some(provider) = live.refresher.clone() else {
            return Landing::Failed("its provider is not configured".to_owned());
        };
        let lease = match self.take_lease(live, &held).await {
            Ok(lease) => lease,
            Err(landing) => return landing,
        };
        let landing = tokio::select! {
            biased;
            landing = self.fly_leased(live, &held, provider.as_ref(), &lease) => landing,
            never = self.keep_lease(live, &held, &lease) => never,
        };
        if let Landing::Failed(_) = landing {
            self.release_lease(live, &lease).await;
        }
        landing
    }

    async fn fly_leased(
        &self,
        live: &Arc<Live>,
        held: &IdentitySession,
        provider: &dyn IdentityRefresher,
        lease: &HeldLease,
    ) -> Landing {
        match self.ask(live, held, provider, lease).await {
            Ok(tokens) => self.settle(live, held, tokens).await,
            Err(RefreshError::Refused(reason)) => {
                let reason = EndReason::Refused(reason);
                self.refused(live, held, reason, lease).await
            }
            Err(RefreshError::NoRefreshToken) => {
                if held.is_valid(self.clock.now()) {
                    return Landing::Failed("there is no refresh token".to_owned());
                }
                self.refused(live, held, EndReason::NoRefreshToken, lease)
                    .await
            }
            Err(RefreshError::Misconfigured(reason)) => {
                tracing::error!(
                    identity.issuer = %live.facts.issuer,
                    cause = %reason,
                    "the identity provider refuses our client: check IDENTITY_CLIENT_ID, \
                     IDENTITY_CLIENT_SECRET and IDENTITY_SCOPE; no session ends for it"
                );
                Landing::Failed(format!(
                    "the identity provider refuses our client: {reason}"
                ))
            }
            Err(RefreshError::Unavailable(reason)) => {
                tracing::warn!(
                    grant.id = %live.id,
                    identity.issuer = %live.facts.issuer,
                    cause = %reason,
                    "an identity token could not be refreshed; it is tried again"
                );
                Landing::Failed(reason)
            }
        }
    }

    /// Asks the provider; after a passing fault again, while callers have nothing else and would
    /// still wait for it. Not without the lease: another's refresh may have used the token.
    async fn ask(
        &self,
        live: &Live,
        held: &IdentitySession,
        provider: &dyn IdentityRefresher,
        lease: &HeldLease,
    ) -> Result<IdentityTokens, RefreshError> {
        let deadline = Instant::now() + self.pace.refresh;
        let mut pause = self.pace.refresh_retry;
        loop {
            let answer = provider.refresh(&live.facts.subject, &held.tokens).await;
            let pause_now = jittered(pause, self.random.as_ref());
            let is_last = Instant::now() + pause_now >= deadline
                || held.is_valid(self.clock.now())
                || live.is_ended();
            match answer {
                Err(RefreshError::Unavailable(reason)) if !is_last => {
                    sleep(pause_now).await;
                    pause = (pause * 2).min(LONGEST_RETRY);
                    if !lease.is_held() {
                        return Err(RefreshError::Unavailable(reason));
                    }
                }
                answer => return answer,
            }
        }
    }

    /// Stores the answer, however long the store is away: it may be the only copy of a refresh
    /// token that the provider has rotated.
    async fn settle(
        &self,
        live: &Arc<Live>,
        held: &IdentitySession,
        tokens: IdentityTokens,
    ) -> Landing {
        let renewed = IdentitySession::new(held.version + 1, tokens, held.claims.clone());
        let binding = Binding {
            grant: &live.id,
            issuer: &self.settings.issuer,
            facts: &live.facts,
        };
        let sealed = renewed.seal(&live.keys.seal, &binding, self.random.as_ref());
        let settled = self
            .until_stored(|| {
                self.store
                    .settle_identity(&live.id, held.version, sealed.clone())
            })
            .await;
        match settled {
            Settled::Done => {
                live.renew_identity(renewed);
                tracing::debug!(grant.id = %live.id, "identity token refreshed");
                Landing::Renewed
            }
            // Another's answer, or this one, of which the acknowledgement was lost.
            Settled::Newer(stored) => adopt(self, live, &stored),
            Settled::Ended => {
                drop(self.registry.end(&live.id, EndReason::Elsewhere));
                live.end(EndReason::Elsewhere);
                Landing::Ended
            }
        }
    }

    /// The provider's definite word, on the token we hold: it counts only if that is still the
    /// current one, and stays so until what others have asked is settled.
    async fn refused(
        &self,
        live: &Arc<Live>,
        held: &IdentitySession,
        reason: EndReason,
        lease: &HeldLease,
    ) -> Landing {
        let certain = if self.store.is_shared() {
            lease.others_are_over.max(Instant::now() + self.pace.doubt)
        } else {
            Instant::now()
        };
        loop {
            let is_last = Instant::now() >= certain;
            let stored = self.until_stored(|| self.store.load_grant(&live.id)).await;
            if let Some(StoredGrant::Live {
                identity: Some(stored),
                ..
            }) = stored
                && stored.version > held.version
            {
                return adopt(self, live, &stored);
            }
            if is_last || live.is_ended() {
                break;
            }
            sleep(DOUBT_PAUSE.min(certain.saturating_duration_since(Instant::now()))).await;
        }
        self.until_stored(|| {
            let patience = self.patience();
            let reason = reason.clone();
            async move {
                self.end_grant(&live.id, Some(&live.facts), reason, &patience)
                    .await
            }
        })
        .await;
        live.end(reason);
        Landing::Ended
    }

    /// Repeats a step until the store has done it.
    async fn until_stored<T, F>(&self, mut step: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T, StoreUnavailable>>,
    {
        let mut pause = self.pace.store_retry;
        loop {
            match step().await {
                Ok(done) => return done,
                Err(error) => {
                    tracing::warn!(
                        cause = %error,
                        "what the identity provider answered is not stored yet; it is tried again"
                    );
                }
            }
            sleep(jittered(pause, self.random.as_ref())).await;
            pause = (pause * 2).min(LONGEST_STORE_RETRY);
        }
    }

    async fn end_for_good(
        &self,
        live: &Live,
        reason: EndReason,
    ) -> Result<IdentityToken, IdentityError> {
        let patience = self.patience();
        self.end_grant(&live.id, Some(&live.facts), reason.clone(), &patience)
            .await
            .map_err(|error| unavailable(error.to_string(), Grants::RETRY_AFTER))?;
        live.end(reason);
        Err(ended(live))
    }
}

/// Takes over what somebody else has stored.
pub(crate) fn adopt(heart: &Heart, live: &Live, stored: &StoredIdentity) -> Landing {
    match heart.open_identity(&live.id, &live.facts, &live.keys, stored) {
        Some(identity) => {
            live.renew_identity(identity);
            Landing::Renewed
        }
        None => Landing::Failed("the stored identity session cannot be opened".to_owned()),
    }
}

fn can_refresh(live: &Live, tokens: &IdentityTokens) -> bool {
    live.refresher
        .as_ref()
        .is_some_and(|provider| provider.can_refresh(tokens))
}

fn ended(live: &Live) -> IdentityError {
    let reason = live.end_reason().unwrap_or(EndReason::Ended);
    IdentityError::Ended(reason.to_string())
}

fn unavailable(reason: String, retry_after: Duration) -> IdentityError {
    IdentityError::Unavailable {
        reason,
        retry_after,
    }
}

/// Between half of a pause and the whole, so that those who failed together do not come back
/// together.
fn jittered(pause: Duration, random: &dyn Random) -> Duration {
    let [byte] = random.bytes::<1>();
    pause / 2 + (pause / 2) * u32::from(byte) / 255
}

#[cfg(test)]
mod tests;
