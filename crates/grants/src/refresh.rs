//! Keeping the identity token of a grant fresh: one refresh at a time, for all who wait.
//!
//! A refresh runs in a task of its own, so that no hang-up cuts it. The provider's answer is
//! sealed and stored before anybody uses it; only the provider's definite refusal of the token
//! that is still current in the store ends the grant.

use std::{sync::Arc, time::Duration};

use domain::{random::Random, time::Timestamp};
use idp::provider::{IdentityRefresher, IdentityTokens, RefreshError};
use store::{Settled, StoreUnavailable, StoredGrant, StoredIdentity};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    audit::EndReason,
    heart::{Grants, Heart},
    identity::{Binding, IdentitySession},
    live::Live,
    session::{IdentityError, IdentityToken},
};

/// What is known of the refreshes of one grant in this process.
#[derive(Debug, Default)]
pub(crate) struct RefreshState {
    flight: Option<Flight>,
    /// Failed refreshes since the last one that succeeded.
    failures: u32,
    /// Until then nobody asks the provider again.
    retry_at: Option<Timestamp>,
    /// Until then no refusal by the MCP server is a reason to refresh.
    fresh_refused_until: Option<Timestamp>,
}

/// A running refresh.
#[derive(Clone, Debug)]
struct Flight {
    started: Instant,
    landed: watch::Receiver<Option<Landing>>,
}

/// How a refresh came out.
#[derive(Clone, Debug)]
enum Landing {
    /// There is a newer token, stored.
    Renewed,
    /// A passing fault.
    Failed(String),
    /// The grant has ended.
    Ended,
}

/// What a caller has in hand while a refresh runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtHand {
    /// A token that goes on being used if the refresh fails, until it expires.
    Usable,
    /// One that the MCP server refused.
    Refused,
}

/// What to do for a caller that needs a newer token.
enum Boarding {
    /// There is one by now.
    Landed,
    /// Wait for this refresh.
    Aboard(Flight),
    /// It is too soon after a failure.
    Grounded { retry_after: Duration },
}

/// How long a refusal of a fresh token keeps further refusals from refreshing.
const FRESH_REFUSED_LIFE: Duration = Duration::from_secs(60);
/// Longest pause between two refreshes of a grant while the provider fails and the token at hand
/// is still good.
const LONGEST_PAUSE_AHEAD: Duration = Duration::from_secs(30);
/// The same, while callers are turned away for it.
const LONGEST_PAUSE: Duration = Grants::RETRY_AFTER;
/// Longest pause between two tries within a refresh.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

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
        let until = live.refresh_state().fresh_refused_until;
        // Where nothing can be refreshed asking would not help either; its grant ends with it.
        if until.is_some_and(|until| now < until) || !can_refresh(live, &identity.tokens) {
            return Err(IdentityError::FreshRefused);
        }
        Box::pin(self.renew(live, &identity, AtHand::Refused)).await
    }

    /// Notes that a token was refused although it had just been renewed.
    pub(crate) fn note_fresh_refused(&self, live: &Live, refused: &IdentityToken) {
        if live.identity().version != refused.version {
            return;
        }
        let until = self.clock.now().plus(FRESH_REFUSED_LIFE);
        live.refresh_state().fresh_refused_until = Some(until);
        tracing::warn!(
            grant.id = %live.id,
            client.id = %live.facts.client,
            subject = %live.facts.subject,
            "the MCP server refuses a fresh identity token; the grant lives, but for a minute no \
             refusal makes it refresh again"
        );
    }

    /// Waits for a refresh, its own or one that runs already.
    async fn renew(
        self: &Arc<Self>,
        live: &Arc<Live>,
        held: &IdentitySession,
        at_hand: AtHand,
    ) -> Result<IdentityToken, IdentityError> {
        let failure = match self.board(live, held.version) {
            Boarding::Landed => return Ok(IdentityToken::of(&live.identity())),
            Boarding::Grounded { retry_after } => {
                let reason = "the last attempt failed a moment ago".to_owned();
                unavailable(reason, retry_after)
            }
            Boarding::Aboard(flight) => match self.wait_for(flight, held, at_hand).await {
                Some(Landing::Renewed) => return Ok(IdentityToken::of(&live.identity())),
                Some(Landing::Ended) => return Err(ended(live)),
                Some(Landing::Failed(reason)) => unavailable(reason, Grants::RETRY_AFTER),
                None => {
                    let reason = "it takes too long".to_owned();
                    unavailable(reason, Grants::RETRY_AFTER)
                }
            },
        };
        if at_hand == AtHand::Usable && held.is_valid(self.clock.now()) {
            return Ok(IdentityToken::of(held));
        }
        Err(failure)
    }

    /// The one place where it is decided that the provider is asked.
    fn board(self: &Arc<Self>, live: &Arc<Live>, version: u64) -> Boarding {
        let mut state = live.refresh_state();
        // A refresh publishes its token before it leaves the state: whoever finds no flight here
        // sees the newer version.
        if live.identity().version > version {
            return Boarding::Landed;
        }
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.is_under_way()) {
            return Boarding::Aboard(flight.clone());
        }
        let now = self.clock.now();
        if let Some(retry_at) = state.retry_at.filter(|retry_at| now < *retry_at) {
            return Boarding::Grounded {
                retry_after: retry_at.since(now),
            };
        }
        let (landing, landed) = watch::channel(None);
        let flight = Flight {
            started: Instant::now(),
            landed,
        };
        state.flight = Some(flight.clone());
        drop(state);
        let (heart, live) = (Arc::clone(self), Arc::clone(live));
        self.tasks.spawn(async move {
            let outcome = heart.fly(&live).await;
            heart.land(&live, &outcome);
            landing.send_replace(Some(outcome));
        });
        Boarding::Aboard(flight)
    }

    /// `None` if it takes longer than this caller can wait.
    async fn wait_for(
        &self,
        mut flight: Flight,
        held: &IdentitySession,
        at_hand: AtHand,
    ) -> Option<Landing> {
        let is_usable = at_hand == AtHand::Usable && held.is_valid(self.clock.now());
        let deadline = if is_usable {
            // Counted from its start, so that a slow provider delays each call only once.
            flight.started + self.pace.refresh_ahead
        } else {
            Instant::now() + self.pace.refresh
        };
        let landed = flight.landed.wait_for(Option::is_some);
        match timeout_at(deadline, landed).await {
            Ok(Ok(landing)) => landing.clone(),
            Ok(Err(_)) => Some(Landing::Failed("the refresh was cut off".to_owned())),
            Err(_) => None,
        }
    }

    fn land(&self, live: &Live, outcome: &Landing) {
        let is_usable = live.identity().is_valid(self.clock.now());
        let mut state = live.refresh_state();
        state.flight = None;
        match outcome {
            Landing::Renewed | Landing::Ended => {
                state.failures = 0;
                state.retry_at = None;
            }
            Landing::Failed(_) => {
                let longest = if is_usable {
                    LONGEST_PAUSE_AHEAD
                } else {
                    LONGEST_PAUSE
                };
                let pause = Duration::from_secs(1 << state.failures.min(8)).min(longest);
                state.failures = state.failures.saturating_add(1);
                state.retry_at = Some(self.clock.now().plus(pause));
            }
        }
    }

    /// One refresh, from taking the lease to the stored answer.
    async fn fly(&self, live: &Arc<Live>) -> Landing {
        let held = live.identity();
        let Some(provider) = live.refresher.clone() else {
            return Landing::Failed("its provider is not configured".to_owned());
        };
        match self.ask(live, &held, provider.as_ref()).await {
            Ok(tokens) => self.settle(live, &held, tokens).await,
            Err(RefreshError::Refused(reason)) => {
                self.refused(live, &held, EndReason::Refused(reason)).await
            }
            Err(RefreshError::NoRefreshToken) => {
                if held.is_valid(self.clock.now()) {
                    return Landing::Failed("there is no refresh token".to_owned());
                }
                self.refused(live, &held, EndReason::NoRefreshToken).await
            }
            Err(RefreshError::Misconfigured(reason)) => {
                tracing::error!(
                    identity.issuer = %live.facts.issuer,
                    %reason,
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
                    %reason,
                    "an identity token could not be refreshed; it is tried again"
                );
                Landing::Failed(reason)
            }
        }
    }

    /// Asks the provider; after a passing fault again, while callers have nothing else and would
    /// still wait for it.
    async fn ask(
        &self,
        live: &Live,
        held: &IdentitySession,
        provider: &dyn IdentityRefresher,
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
                Err(RefreshError::Unavailable(_)) if !is_last => {
                    sleep(pause_now).await;
                    pause = (pause * 2).min(LONGEST_RETRY);
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
            Settled::Newer(stored) => self.adopt(live, &stored),
            Settled::Ended => {
                drop(self.registry.end(&live.id, EndReason::Ended));
                live.end(EndReason::Ended);
                Landing::Ended
            }
        }
    }

    /// The provider's definite word, on the token we hold: it counts only if that is still the
    /// current one.
    async fn refused(
        &self,
        live: &Arc<Live>,
        held: &IdentitySession,
        reason: EndReason,
    ) -> Landing {
        let stored = self.until_stored(|| self.store.load_grant(&live.id)).await;
        if let Some(StoredGrant::Live {
            identity: Some(stored),
            ..
        }) = stored
            && stored.version > held.version
        {
            return self.adopt(live, &stored);
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

    fn adopt(&self, live: &Arc<Live>, stored: &StoredIdentity) -> Landing {
        match self.open_identity(&live.id, &live.facts, &live.keys, stored) {
            Some(identity) => {
                live.renew_identity(identity);
                Landing::Renewed
            }
            None => Landing::Failed("the stored identity session cannot be opened".to_owned()),
        }
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
                        %error,
                        "what the identity provider answered is not stored yet; it is tried again"
                    );
                }
            }
            sleep(jittered(pause, self.random.as_ref())).await;
            pause = (pause * 2).min(LONGEST_RETRY);
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

// === impl Flight ===

impl Flight {
    /// A task that was lost without landing leaves the way free for the next.
    fn is_under_way(&self) -> bool {
        self.landed.borrow().is_some() || self.landed.has_changed().is_ok()
    }
}

fn can_refresh(live: &Live, tokens: &IdentityTokens) -> bool {
    live.refresher
        .as_ref()
        .is_some_and(|provider| provider.can_refresh(tokens))
}

fn ended(live: &Live) -> IdentityError {
    let reason = live.end_reason().unwrap_or(&EndReason::Ended);
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
