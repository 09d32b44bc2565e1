//! Tokens of the predecessor that were taken over: found by their hash, opened by themselves.
//!
//! Such a token bears neither a grant nor a checksum, so that it has a record of its own. That holds
//! the grant's root (or for access tokens its key) XOR what is derived from the token; without the
//! token it is noise. A token that has no such record yet is looked for among what the predecessor
//! left, and taken over at its first use.

mod budget;
mod record;

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use domain::{id::GrantId, secret::SecretBytes, time::Timestamp};
use quick_cache::sync::Cache;
use store::{ImportedName, StoreUnavailable};
use tokio::time::Instant;

pub(crate) use record::{Purpose, SealedHalf, begun_name, mark, name_of, session_name, used_name};

use self::budget::Budget;
use crate::{
    cache::Refusal,
    heart::Heart,
    inspect::TokenKind,
    keys::{GrantKeys, Root},
    live::Live,
    lookup::{Closed, Found},
    patience::Patience,
    predecessor::{PredecessorSource, TakeOverError, Unfit},
};

/// What this process knows of tokens that were taken over.
pub(crate) struct Imports {
    pub(crate) source: OnceLock<PredecessorSource>,
    /// Access tokens that were opened, so that a call in steady state costs no look-up.
    opened: Cache<ImportedName, Arc<Opened>>,
    /// Whether the store holds any, as of when.
    holds_any: Mutex<Option<(bool, Instant)>>,
    budget: Budget,
}

/// What a token opens.
pub(crate) struct Opened {
    pub(crate) name: ImportedName,
    pub(crate) grant: GrantId,
    pub(crate) ends_at: Timestamp,
    secret: Secret,
}

enum Secret {
    /// Of a refresh token.
    Root(SecretBytes<32>),
    /// Of an access token.
    Key(SecretBytes<32>),
}

/// How many access tokens are remembered as opened; each takes some 200 bytes.
const MAX_OPENED: usize = 16_384;
/// How long it is remembered that the store holds none.
const HOLDS_NONE_LIFE: Duration = Duration::from_secs(60);
/// Characters of a token of the predecessor: 256 bits.
const OLD_TOKEN_CHARS: usize = 43;

/// Whether a text has the form of a token of the predecessor.
pub(crate) fn is_old_token(text: &str) -> bool {
    text.len() == OLD_TOKEN_CHARS
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

// === impl Imports ===

impl Default for Imports {
    fn default() -> Self {
        Self {
            source: OnceLock::new(),
            opened: Cache::new(MAX_OPENED),
            holds_any: Mutex::new(None),
            budget: Budget::default(),
        }
    }
}

impl fmt::Debug for Imports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Imports")
            .field("opened", &self.opened.len())
            .finish_non_exhaustive()
    }
}

// === impl Opened ===

impl Opened {
    pub(crate) fn key(&self, issuer: &str) -> SecretBytes<32> {
        match &self.secret {
            Secret::Root(root) => Root::new(root.clone(), self.grant, issuer).key(),
            Secret::Key(key) => key.clone(),
        }
    }

    /// Only refresh tokens carry it.
    pub(crate) fn root<'a>(&self, issuer: &'a str) -> Option<Root<'a>> {
        match &self.secret {
            Secret::Root(root) => Some(Root::new(root.clone(), self.grant, issuer)),
            Secret::Key(_) => None,
        }
    }
}

// === impl Heart ===

impl Heart {
    /// What a token of the predecessor opens; it is taken over if it was not yet.
    pub(crate) async fn open_imported(
        &self,
        token: &str,
        kind: TokenKind,
        patience: &Patience,
    ) -> Result<Arc<Opened>, Closed> {
        if !is_old_token(token) {
            return Err(Closed::Refused(Refusal::Unknown));
        }
        let now = self.clock.now();
        let name = name_of(kind, token, &self.settings.issuer);
        if let Some(refusal) = self.registry.refusal_of(&name, now) {
            return Err(Closed::Refused(refusal));
        }
        if let Some(opened) = self.imports.opened.get(&name) {
            return in_time(opened, now);
        }
        let found = match self.stored_import(token, kind, patience).await {
            Err(Closed::Refused(_)) => self.take_over_now(token, kind, patience).await,
            found => found,
        };
        match &found {
            Ok(opened) if kind == TokenKind::Access => {
                self.imports.opened.insert(name, Arc::clone(opened));
            }
            Err(Closed::Refused(refusal)) => self.registry.refuse_named(&name, *refusal, now),
            _ => {}
        }
        in_time(found?, now)
    }

    /// The same for a token of which nobody says what it is.
    pub(crate) async fn open_either(
        &self,
        token: &str,
        patience: &Patience,
    ) -> Result<(Arc<Opened>, TokenKind), Closed> {
        let access = TokenKind::Access;
        match self.open_imported(token, access, patience).await {
            Err(Closed::Refused(_)) => {
                let refresh = TokenKind::Refresh;
                let opened = self.open_imported(token, refresh, patience).await?;
                Ok((opened, refresh))
            }
            opened => Ok((opened?, access)),
        }
    }

    /// The grant that a token of the predecessor opens.
    pub(crate) async fn live_imported(
        &self,
        opened: &Opened,
        patience: &Patience,
    ) -> Result<Arc<Live>, Closed> {
        let live = self.live_or_stored_import(opened, patience).await;
        if let Err(Closed::Refused(refusal)) = &live {
            let now = self.clock.now();
            self.registry.refuse_named(&opened.name, *refusal, now);
        }
        live
    }

    async fn live_or_stored_import(
        &self,
        opened: &Opened,
        patience: &Patience,
    ) -> Result<Arc<Live>, Closed> {
        let refused = || Closed::Refused(Refusal::Unknown);
        let issuer = &self.settings.issuer;
        let key = opened.key(issuer);
        loop {
            match self.find(&opened.grant, patience).await? {
                Found::Live(live) => return live.is_key(&key).then_some(live).ok_or_else(refused),
                Found::Stored(stored) => {
                    let keys = GrantKeys::derive(key.clone(), &opened.grant, issuer);
                    if !keys.fit(&stored.line.line.check) {
                        return Err(refused());
                    }
                    if let Ok(live) = self.admit(opened.grant, *stored, keys)? {
                        return Ok(live);
                    }
                }
            }
        }
    }

    /// Whether a refresh token has been answered here before.
    pub(crate) async fn was_used(
        &self,
        opened: &Opened,
        patience: &Patience,
    ) -> Result<bool, StoreUnavailable> {
        let name = used_name(&opened.name);
        let used = patience.call(|| self.store.load_imported(&name)).await?;
        Ok(used.is_some())
    }

    /// Notes that a refresh token was answered. Losing the note only honours it for longer.
    pub(crate) async fn note_used(&self, opened: &Opened, patience: &Patience) {
        let name = used_name(&opened.name);
        let left = opened.ends_at.since(self.clock.now());
        let noted = patience
            .call(|| self.store.put_imported(&name, mark(), left))
            .await;
        if let Err(error) = noted {
            tracing::debug!(
                grant.id = %opened.grant, cause = %error,
                "the use of a token that was taken over was not noted"
            );
        }
    }

    async fn stored_import(
        &self,
        token: &str,
        kind: TokenKind,
        patience: &Patience,
    ) -> Result<Arc<Opened>, Closed> {
        let refused = Closed::Refused(Refusal::Unknown);
        if !self.may_hold_imported(patience).await? {
            return Err(refused);
        }
        let name = name_of(kind, token, &self.settings.issuer);
        let stored = patience.call(|| self.store.load_imported(&name)).await?;
        let Some(stored) = stored else {
            return Err(refused);
        };
        let half = SealedHalf::decode(&stored)?;
        let secret = half.open(Purpose::of(kind), token, &self.settings.issuer);
        Ok(Arc::new(Opened {
            name,
            grant: half.grant,
            ends_at: half.ends_at,
            secret: match kind {
                TokenKind::Access => Secret::Key(secret),
                TokenKind::Refresh => Secret::Root(secret),
            },
        }))
    }

    /// Takes over a token at its first use. Junk costs a bounded number of look-ups.
    async fn take_over_now(
        &self,
        token: &str,
        kind: TokenKind,
        patience: &Patience,
    ) -> Result<Arc<Opened>, Closed> {
        let refused = Closed::Refused(Refusal::Unknown);
        let Some(source) = self.imports.source.get() else {
            return Err(refused);
        };
        if !source.records.may_be_there().await? {
            return Err(refused);
        }
        if !self.imports.budget.take(Instant::now()) {
            return Err(Closed::Unavailable(StoreUnavailable(
                "too many unknown tokens are being looked up".to_owned(),
            )));
        }
        let taken = async {
            let session = self.look_at_old(kind, token).await?;
            self.take_over(&session, patience).await
        };
        match Box::pin(taken).await {
            Ok(_) => {
                self.imports.budget.give_back();
                self.note_holds_imported();
                self.stored_import(token, kind, patience).await
            }
            Err(TakeOverError::Unfit(Unfit::Absent)) => Err(refused),
            Err(TakeOverError::Unfit(reason)) => {
                tracing::info!(
                    token.kind = ?kind, %reason,
                    "a token of the predecessor is not taken over; its user logs in again"
                );
                Err(refused)
            }
            Err(TakeOverError::Unavailable(error)) => Err(error.into()),
        }
    }

    async fn may_hold_imported(&self, patience: &Patience) -> Result<bool, StoreUnavailable> {
        let known = *self.imports.holds_any();
        let is_known = match known {
            Some((true, _)) => true,
            Some((false, as_of)) => as_of.elapsed() < HOLDS_NONE_LIFE,
            None => false,
        };
        if let (true, Some((holds, _))) = (is_known, known) {
            return Ok(holds);
        }
        let holds = patience.call(|| self.store.holds_imported()).await?;
        *self.imports.holds_any() = Some((holds, Instant::now()));
        Ok(holds)
    }

    fn note_holds_imported(&self) {
        *self.imports.holds_any() = Some((true, Instant::now()));
    }
}

impl Imports {
    fn holds_any(&self) -> std::sync::MutexGuard<'_, Option<(bool, Instant)>> {
        self.holds_any
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_time(opened: Arc<Opened>, now: Timestamp) -> Result<Arc<Opened>, Closed> {
    if now < opened.ends_at {
        Ok(opened)
    } else {
        Err(Closed::Refused(Refusal::Unknown))
    }
}
