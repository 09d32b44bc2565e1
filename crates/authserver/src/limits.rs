//! How many requests one client network may make (`MAX_REQUESTS`).
//!
//! Counted are requests that begin something (authorization, registration, the first page of an
//! interaction) and requests that are refused. Token requests that succeed are never counted: a
//! refused one is a lost login, and cloud clients come from few addresses. Machines that share a store
//! count together.

pub(crate) mod meter;
#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{extract::Request, http::HeaderValue, middleware::Next, response::Response};
use domain::{
    address::ClientNetwork,
    rate::{Rate, Standing, whole_seconds},
    request::RequestContext,
};
use http::HeaderName;
use tokio::time::Instant;

use self::meter::{Due, Meter};
use crate::server::Limits;

/// How much wider the budget of a /48 is than that of a /64 in it.
pub(crate) const WIDER: NonZeroU32 = NonZeroU32::MIN.saturating_add(15);

/// What askers are told that the budget of their address is.
const ADDRESS: &str = "address";

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The budget of each network.
#[derive(Debug)]
pub(crate) struct RequestLimits {
    /// Tells these requests from others that are counted too.
    kind: &'static str,
    rule: Rule,
    meter: Arc<Meter>,
    /// Time since then, which no change of the wall clock moves.
    beginning: Instant,
}

#[derive(Debug)]
enum Rule {
    /// Everything is let in.
    Unbounded,
    /// Nothing is; who asks is told to come back after the window.
    Nothing(Duration),
    Counted(Rate),
}

/// A network has made more requests than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many requests from this address; try again in {} s",
    retry_after.as_secs()
)]
pub(crate) struct TooMany {
    /// When the next one is let in: whole seconds, at least one.
    pub(crate) retry_after: Duration,
}

// === impl RequestLimits ===

impl RequestLimits {
    /// No request counted yet.
    pub(crate) fn new(kind: &'static str, limits: Limits, meter: Arc<Meter>) -> Self {
        let rule = match limits.requests.map(NonZeroU32::new) {
            None => Rule::Unbounded,
            Some(None) => Rule::Nothing(limits.window),
            // A window of no length at all is no bound.
            Some(Some(requests)) => {
                Rate::in_window(requests, limits.window).map_or(Rule::Unbounded, Rule::Counted)
            }
        };
        Self {
            kind,
            rule,
            meter,
            beginning: Instant::now(),
        }
    }

    /// Counts one request, and notes in it how its asker stands.
    ///
    /// # Errors
    /// If its network has used up its budget; the request is not counted then.
    pub(crate) async fn charge(&self, context: &RequestContext) -> Result<(), TooMany> {
        let rate = match self.rule {
            Rule::Unbounded => return Ok(()),
            Rule::Nothing(window) => {
                let refused = Standing::of_nothing(ADDRESS, window);
                context.counted.note(refused);
                return Err(refused.into());
            }
            Rule::Counted(rate) => rate,
        };
        let dues = self.dues(context.network(), rate);
        let charged = self.meter.charge(&dues, self.beginning.elapsed()).await;
        context
            .counted
            .note(charged.unwrap_or_else(|refused| refused));
        charged.map(drop).map_err(TooMany::from)
    }

    /// Counts one of a network, in this process alone.
    ///
    /// # Errors
    /// As for [`RequestLimits::charge`].
    pub(crate) fn charge_here(&self, network: ClientNetwork) -> Result<(), TooMany> {
        match self.rule {
            Rule::Unbounded => Ok(()),
            Rule::Nothing(window) => Err(Standing::of_nothing(ADDRESS, window).into()),
            Rule::Counted(rate) => {
                let dues = self.dues(network, rate);
                let charged = self.meter.charge_here(&dues, self.beginning.elapsed());
                charged.map(drop).map_err(TooMany::from)
            }
        }
    }

    fn dues(&self, network: ClientNetwork, rate: Rate) -> Vec<Due> {
        Due::of_network(ADDRESS, self.kind, &[], network, rate)
    }
}

// === impl TooMany ===

/// A budget that is used up.
impl From<Standing> for TooMany {
    fn from(refused: Standing) -> Self {
        Self {
            retry_after: Duration::from_secs(whole_seconds(refused.resets_in).max(1)),
        }
    }
}

/// Tells who was counted how they stand (draft-ietf-httpapi-ratelimit-headers).
pub(crate) async fn tell_standing(request: Request, next: Next) -> Response {
    let context = request.extensions().get::<RequestContext>();
    let counted = context.map(|context| context.counted.clone());
    let mut response = next.run(request).await;
    if let Some(standing) = counted.and_then(|counted| counted.standing()) {
        for (name, text) in [
            (RATELIMIT_POLICY, standing.policy_header()),
            (RATELIMIT, standing.header()),
        ] {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}
