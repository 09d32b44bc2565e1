//! What was fetched and read, remembered by the rules of HTTP (RFC 9111) within bounds.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use http_cache_semantics::{CacheOptions, CachePolicy};
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};
use url::Url;

use crate::{error::FetchError, exchange::Answer, fetcher::Fetcher};

/// A document is not asked for again within this, whatever its host says: one login looks at it
/// several times.
const FRESH_AT_LEAST: Duration = Duration::from_secs(5 * 60);
/// A document is asked for again after this, whatever its host says.
const FRESH_AT_MOST: Duration = Duration::from_secs(24 * 3600);
/// How long the last good copy serves in place of one that cannot be had, from its fetch on or
/// from when it ceased to be fresh: the end of trust in keys that were withdrawn meanwhile.
const STALE_AT_MOST: Duration = Duration::from_secs(24 * 3600);
/// Between a failure and the next try, while there is a copy to serve.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Between two fetches of a document that is still fresh, because it lacked something.
const FORCED_AFTER: Duration = Duration::from_secs(10);
/// Memory for documents, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// What a document costs in memory, by its length: as values and keys it takes more room than as
/// text.
const EXPANSION: u64 = 4;
/// What remembering costs beside the document.
const OVERHEAD_BYTES: u64 = 1024;
/// Few, so that each can hold many of the largest documents.
const SHARDS: usize = 4;

/// Documents of one kind. Asked for the same one by many at once, it fetches once. Neither errors
/// nor documents that cannot be read are remembered.
pub struct Documents<T>(Arc<Inner<T>>);

/// A document that was read.
#[derive(Debug)]
pub struct Fetched<T> {
    /// What it says.
    pub value: Arc<T>,
    /// When it came.
    pub at: SystemTime,
    /// Tells this fetch from others: larger is later.
    pub number: u64,
}

struct Inner<T> {
    fetcher: Arc<Fetcher>,
    read: Box<Read<T>>,
    known: Cache<String, Entry<T>, ByBytes>,
    flights: Mutex<HashMap<String, WeakShared<Flight<T>>>>,
    fetches: AtomicU64,
}

type Read<T> = dyn Fn(&str, &[u8]) -> Result<T, String> + Send + Sync;
type Flight<T> = BoxFuture<'static, Result<Entry<T>, FetchError>>;

struct Entry<T> {
    fetched: Fetched<T>,
    bytes: u64,
    fresh_until: SystemTime,
    usable_until: SystemTime,
    /// Not before: the last try failed, or was made for want of something newer.
    retry_at: SystemTime,
}

#[derive(Clone)]
struct ByBytes;

// === impl Documents ===

impl<T: Send + Sync + 'static> Documents<T> {
    /// None fetched yet. `read` makes of URL and body what is remembered, or says why it is not
    /// what it should be.
    pub fn new(
        fetcher: Arc<Fetcher>,
        read: impl Fn(&str, &[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(1024)
            .weight_capacity(MAX_BYTES)
            .shards(SHARDS)
            .build();
        let known = match options {
            Ok(options) => Cache::with_options(
                options,
                ByBytes,
                quick_cache::DefaultHashBuilder::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            // Cannot be: both capacities are given.
            Err(_) => Cache::with_weighter(1024, MAX_BYTES, ByBytes),
        };
        Self(Arc::new(Inner {
            fetcher,
            read: Box::new(read),
            known,
            flights: Mutex::default(),
            fetches: AtomicU64::new(0),
        }))
    }

    /// What is known of the document at `url`, if that may still serve; fetches nothing.
    pub fn known(&self, url: &str, now: SystemTime) -> Option<Fetched<T>> {
        let known = self.0.known.get(url)?;
        known.is_usable(now).then_some(known.fetched)
    }

    /// The document at `url`, byte by byte as it is written, for the network that asks (IPv6: its /64). From memory while it is
    /// fresh; else fetched; where that fails, the last good copy for a day.
    ///
    /// # Errors
    /// If it cannot be had and there is no good copy.
    pub async fn get(
        &self,
        url: &str,
        asker: IpAddr,
        now: SystemTime,
    ) -> Result<Fetched<T>, FetchError> {
        let known = self.0.known.get(url);
        if let Some(known) = &known
            && known.is_usable(now)
            && (now < known.fresh_until || now < known.retry_at)
        {
            return Ok(known.fetched.clone());
        }
        match (self.fetch(url, asker, now).await, known) {
            (Ok(entry), _) => Ok(entry.fetched),
            (Err(error), Some(known)) if known.is_usable(now) => {
                tracing::warn!(
                    url, cause = %error,
                    "a document could not be fetched again; its last good copy is used on"
                );
                Ok(self.retry_later(url, known, now + RETRY_AFTER))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The same document from a later fetch than `number`, because that lacked something; `None`
    /// where the last fetch is too recent to make another.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn newer_than(
        &self,
        number: u64,
        url: &str,
        asker: IpAddr,
        now: SystemTime,
    ) -> Result<Option<Fetched<T>>, FetchError> {
        let known = self.0.known.get(url);
        match known {
            Some(known) if known.fetched.number > number => return Ok(Some(known.fetched)),
            Some(known) if now < known.retry_at || now < known.fetched.at + FORCED_AFTER => {
                return Ok(None);
            }
            Some(known) => {
                self.retry_later(url, known, now + FORCED_AFTER);
            }
            None => {}
        }
        let entry = self.fetch(url, asker, now).await?;
        Ok(Some(entry.fetched))
    }

    fn retry_later(&self, url: &str, known: Entry<T>, retry_at: SystemTime) -> Fetched<T> {
        let fetched = known.fetched.clone();
        let entry = Entry { retry_at, ..known };
        self.0.known.insert(url.to_owned(), entry);
        fetched
    }

    /// Joins the fetch that is under way, or begins one. It runs while somebody waits for it.
    async fn fetch(
        &self,
        url: &str,
        asker: IpAddr,
        now: SystemTime,
    ) -> Result<Entry<T>, FetchError> {
        self.flight(url, asker, now).await
    }

    fn flight(&self, url: &str, asker: IpAddr, now: SystemTime) -> Shared<Flight<T>> {
        let mut flights = self
            .0
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let under_way = flights
            .get(url)
            .and_then(WeakShared::upgrade)
            .filter(|flight| flight.peek().is_none());
        if let Some(flight) = under_way {
            return flight;
        }
        flights.retain(|_, flight| flight.upgrade().is_some());
        let flight = fetch(Arc::clone(&self.0), url.to_owned(), asker, now)
            .boxed()
            .shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(url.to_owned(), weak);
        }
        flight
    }
}

impl<T> fmt::Debug for Documents<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Documents")
    }
}

async fn fetch<T>(
    inner: Arc<Inner<T>>,
    url: String,
    asker: IpAddr,
    now: SystemTime,
) -> Result<Entry<T>, FetchError> {
    let target = Url::parse(&url).map_err(|_| FetchError::Url("it is no absolute URL"))?;
    let answer = inner.fetcher.fetch(&target, asker).await?;
    let value = (inner.read)(&url, &answer.body).map_err(FetchError::Invalid)?;
    let fresh_until = now + fresh_for(&answer, now);
    let entry = Entry {
        fetched: Fetched {
            value: Arc::new(value),
            at: now,
            number: inner.fetches.fetch_add(1, Ordering::Relaxed) + 1,
        },
        bytes: answer.body.len() as u64,
        fresh_until,
        usable_until: fresh_until + STALE_AT_MOST,
        retry_at: now,
    };
    inner.known.insert(url, entry.clone());
    Ok(entry)
}

/// How long a shared cache may use the answer, within our bounds.
fn fresh_for(answer: &Answer, now: SystemTime) -> Duration {
    let options = CacheOptions::default();
    let policy = CachePolicy::new_options(&answer.request, &answer.response, now, options);
    let allowed = if policy.is_storable() {
        policy.time_to_live(now)
    } else {
        Duration::ZERO
    };
    allowed.clamp(FRESH_AT_LEAST, FRESH_AT_MOST)
}

// === impl Fetched ===

impl<T> Clone for Fetched<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            at: self.at,
            number: self.number,
        }
    }
}

// === impl Entry ===

impl<T> Entry<T> {
    /// Whether it may still serve. A clock that went back makes no copy immortal.
    fn is_usable(&self, now: SystemTime) -> bool {
        now >= self.fetched.at && now < self.usable_until
    }
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            fetched: self.fetched.clone(),
            ..*self
        }
    }
}

// === impl ByBytes ===

impl<T> Weighter<String, Entry<T>> for ByBytes {
    fn weight(&self, url: &String, entry: &Entry<T>) -> u64 {
        url.len() as u64 + EXPANSION * entry.bytes + OVERHEAD_BYTES
    }
}
