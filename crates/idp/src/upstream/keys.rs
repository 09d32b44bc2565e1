//! The provider's published keys, fetched when needed and remembered.

use std::{sync::Arc, time::Duration};

use domain::time::{Clock, Timestamp};
use jose::verifying::{InvalidToken, VerifiedToken, VerifyingKeys};
use reqwest::header::ACCEPT;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::http;

/// Keys older than this are fetched again before they are used, so that a withdrawn one is not
/// trusted for ever.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Between two fetches that were made because no key fitted.
const FORCED_INTERVAL: Duration = Duration::from_secs(10);
/// The age given to keys that could not be renewed, so that the next try comes after the usual
/// interval and not at the next login.
const STALE_AGE: Duration = MAX_AGE.saturating_sub(FORCED_INTERVAL);

/// The keys at one URL.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    url: Url,
    limit: Duration,
    clock: Arc<dyn Clock>,
    /// Held over a fetch, so that many logins at once make one.
    state: Mutex<State>,
}

/// Why a token's signature could not be confirmed.
#[derive(Debug)]
pub(super) enum KeyFault {
    /// It is wrong.
    Token(InvalidToken),
    /// The keys could not be had.
    Unavailable(String),
}

#[derive(Debug, Default)]
struct State {
    current: Option<Fetched>,
    /// When a fetch was last made because no key fitted.
    forced: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Fetched {
    keys: VerifyingKeys,
    at: Timestamp,
    /// Tells one fetch from the next.
    number: u64,
}

// === impl PublishedKeys ===

impl PublishedKeys {
    pub(super) fn new(url: Url, limit: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            limit,
            clock,
            state: Mutex::default(),
        }
    }

    /// Checks a token's signature. Where no key fits (or a key of the same name gives another
    /// signature) the provider has perhaps changed its keys: they are fetched once more.
    pub(super) async fn verify(
        &self,
        http: &reqwest::Client,
        token: &str,
    ) -> Result<VerifiedToken, KeyFault> {
        let known = self.current(http).await?;
        let fault = match known.keys.verify(token) {
            Ok(verified) => return Ok(verified),
            Err(fault @ (InvalidToken::UnknownKey | InvalidToken::Signature)) => fault,
            Err(fault) => return Err(KeyFault::Token(fault)),
        };
        match self.newer_than(known.number, http).await? {
            Some(newer) => newer.keys.verify(token).map_err(KeyFault::Token),
            None => Err(KeyFault::Token(fault)),
        }
    }

    async fn current(&self, http: &reqwest::Client) -> Result<Fetched, KeyFault> {
        let mut state = self.state.lock().await;
        if let Some(known) = &state.current
            && self.clock.now().since(known.at) < MAX_AGE
        {
            return Ok(known.clone());
        }
        match (self.fetch(http, &mut state).await, &mut state.current) {
            (Ok(fetched), _) => Ok(fetched),
            (Err(fault), Some(stale)) => {
                tracing::warn!(
                    cause = %fault,
                    "the identity provider's keys could not be renewed; the known ones are used on"
                );
                stale.at = self.clock.now().minus(STALE_AGE);
                Ok(stale.clone())
            }
            (Err(fault), None) => Err(KeyFault::Unavailable(fault)),
        }
    }

    /// Keys of a later fetch than `number`: another login's, or a new one if that is due.
    async fn newer_than(
        &self,
        number: u64,
        http: &reqwest::Client,
    ) -> Result<Option<Fetched>, KeyFault> {
        let mut state = self.state.lock().await;
        if let Some(known) = state.current.as_ref().filter(|known| known.number > number) {
            return Ok(Some(known.clone()));
        }
        let now = self.clock.now();
        if state
            .forced
            .is_some_and(|forced| now.since(forced) < FORCED_INTERVAL)
        {
            return Ok(None);
        }
        state.forced = Some(now);
        self.fetch(http, &mut state)
            .await
            .map(Some)
            .map_err(KeyFault::Unavailable)
    }

    async fn fetch(&self, http: &reqwest::Client, state: &mut State) -> Result<Fetched, String> {
        let request = http
            .get(self.url.clone())
            .header(ACCEPT, "application/json");
        let answer = http::ask(request, self.limit)
            .await
            .map_err(|fault| format!("its keys could not be fetched: {fault}"))?;
        if !answer.status.is_success() {
            return Err(format!("its keys' address answered {}", answer.status));
        }
        let keys = answer
            .object()
            .and_then(|members| VerifyingKeys::parse(&Value::Object(members)).ok())
            .ok_or("what it publishes as its keys is no JWK Set")?;
        let number = state.current.as_ref().map_or(0, |known| known.number) + 1;
        let at = self.clock.now();
        let fetched = Fetched { keys, at, number };
        state.current = Some(fetched.clone());
        Ok(fetched)
    }
}
