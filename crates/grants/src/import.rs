//! Taking over a token of the predecessor.
//!
//! The client's one identity session becomes one grant, whichever token of it comes first: two that
//! share a refresh token of the provider would take it from each other. Whoever begins it leaves a
//! record by which the next token joins. All steps may be done twice, by several processes at once,
//! and be broken off between any two.

use std::time::Duration;

use domain::id::GrantId;
use idp::provider::IdentityTokens;
use serde_json::Map;
use store::{ImportedName, StoreUnavailable, StoredGrant};

use crate::{
    audit,
    heart::Heart,
    identity::{Binding, IdentitySession},
    imported::{Purpose, SealedHalf, begun_name, mark, name_of, session_name},
    inspect::TokenKind,
    keys::{CheckValue, Root},
    patience::Patience,
    predecessor::{OldSession, TakeOverError, TakenOver, Terms, Unfit},
    record::{CodeState, Facts, Line, Record},
};

/// What a session leaves for its other tokens is kept at least so long: the predecessor's lived for
/// 14 days from their last refresh.
const LEAST_SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Heart {
    /// Whether a token of the predecessor can be taken over. Writes nothing.
    pub(crate) async fn look_at_old(
        &self,
        kind: TokenKind,
        token: &str,
    ) -> Result<OldSession, TakeOverError> {
        let source = self.imports.source.get().ok_or(Unfit::Absent)?;
        let terms = Terms {
            now: self.clock.now(),
            refresh_window: self.settings.refresh_window,
            grant_life: self.settings.grant_life,
        };
        source.look(kind, token, terms).await
    }

    /// Takes a token over. The caller has taken over its client, so that the registration outlives
    /// the grant.
    pub(crate) async fn take_over(
        &self,
        old: &OldSession,
        patience: &Patience,
    ) -> Result<TakenOver, TakeOverError> {
        let issuer = &self.settings.issuer;
        let name = name_of(old.kind, old.token.expose(), issuer);
        let stored = patience.call(|| self.store.load_imported(&name)).await?;
        if stored.is_some() {
            return Ok(TakenOver::Before);
        }
        let session = session_name(&old.facts.client, identity_of(&old.tokens), issuer);
        let root = self.root_of_session(old, &session, patience).await?;
        let begins = self.begin_once(old, &session, &root, patience).await?;
        self.check_joins(old, &root, patience).await?;
        self.remember_token(old, &name, &root, patience).await?;
        audit::taken_over(&root.grant(), &old.facts, old.kind);
        Ok(if begins {
            TakenOver::WithItsSession
        } else {
            TakenOver::IntoItsSession
        })
    }

    /// The root of the session's grant: ours, unless another token of the session was first.
    async fn root_of_session(
        &self,
        old: &OldSession,
        session: &ImportedName,
        patience: &Patience,
    ) -> Result<Root<'_>, StoreUnavailable> {
        let issuer = &self.settings.issuer;
        let identity = identity_of(&old.tokens);
        let life = self.session_life();
        let grant = GrantId::from_bytes(self.random.bytes());
        let ends_at = self.clock.now().plus(life);
        let root = self.random.secret();
        let proposed =
            SealedHalf::split(&root, Purpose::Session, identity, grant, ends_at, issuer).encode();
        let stands = patience
            .call(|| self.store.put_imported(session, proposed.clone(), life))
            .await?;
        let stands = SealedHalf::decode(&stands)?;
        let root = stands.open(Purpose::Session, identity, issuer);
        Ok(Root::new(root, stands.grant, issuer))
    }

    /// Opens the session's grant unless that was done before; says whether this did it.
    async fn begin_once(
        &self,
        old: &OldSession,
        session: &ImportedName,
        root: &Root<'_>,
        patience: &Patience,
    ) -> Result<bool, StoreUnavailable> {
        let begun = begun_name(session);
        let noted = patience.call(|| self.store.load_imported(&begun)).await?;
        if noted.is_some() {
            return Ok(false);
        }
        let (grant, keys) = (root.grant(), root.grant_keys());
        let line = self.imported_line(keys.check, old);
        let binding = Binding {
            grant: &grant,
            issuer: &self.settings.issuer,
            facts: &old.facts,
        };
        let identity = IdentitySession::new(1, old.tokens.clone(), Map::new());
        let sealed = identity.seal(&keys.seal, &binding, self.random.as_ref());
        self.remember(&grant, &line, &old.facts, sealed, patience)
            .await?;
        let life = self.session_life();
        patience
            .call(|| self.store.put_imported(&begun, mark(), life))
            .await?;
        Ok(true)
    }

    /// What was taken over is generation 0: the first refresh here begins our own line.
    fn imported_line(&self, check: CheckValue, old: &OldSession) -> Line {
        let now = self.clock.now();
        let absolute_end = old.opened.plus(self.settings.grant_life);
        let mut line = self.new_line(check, CodeState::Dropped, absolute_end, now);
        line.opened = old.opened;
        line.ends_at = absolute_end.min(now.plus(self.settings.refresh_idle));
        line.issued.push(now);
        line
    }

    /// The grant must live, and the token be good for all that it is good for.
    async fn check_joins(
        &self,
        old: &OldSession,
        root: &Root<'_>,
        patience: &Patience,
    ) -> Result<(), TakeOverError> {
        let grant = root.grant();
        let stored = patience.call(|| self.store.load_grant(&grant)).await?;
        let Some(StoredGrant::Live { body, .. }) = stored else {
            return Err(Unfit::Ended.into());
        };
        let record = Record::decode(&body).map_err(|error| StoreUnavailable(error.to_string()))?;
        if !root.grant_keys().fit(&record.line.check) {
            let reason = "a session that was taken over cannot be opened".to_owned();
            return Err(StoreUnavailable(reason).into());
        }
        if is_within(&record.facts, &old.facts) {
            Ok(())
        } else {
            Err(Unfit::OtherScopes.into())
        }
    }

    async fn remember_token(
        &self,
        old: &OldSession,
        name: &ImportedName,
        root: &Root<'_>,
        patience: &Patience,
    ) -> Result<(), StoreUnavailable> {
        let whole = match old.kind {
            TokenKind::Access => &root.key(),
            TokenKind::Refresh => root.expose(),
        };
        let half = SealedHalf::split(
            whole,
            Purpose::of(old.kind),
            old.token.expose(),
            root.grant(),
            old.ends_at,
            &self.settings.issuer,
        );
        let left = old.ends_at.since(self.clock.now());
        patience
            .call(|| self.store.put_imported(name, half.encode(), left))
            .await?;
        Ok(())
    }

    fn session_life(&self) -> Duration {
        self.settings.grant_life.max(LEAST_SESSION_LIFE)
    }
}

/// The provider's token that stands for the client's identity session.
fn identity_of(tokens: &IdentityTokens) -> &str {
    tokens
        .refresh_token
        .as_ref()
        .unwrap_or(&tokens.access_token)
        .expose()
}

/// Whether a grant gives a token nothing that it did not have.
fn is_within(grant: &Facts, token: &Facts) -> bool {
    let same = |facts: &Facts| {
        (
            facts.client.clone(),
            facts.subject.clone(),
            facts.issuer.clone(),
            facts.resource.clone(),
        )
    };
    same(grant) == same(token) && grant.scopes.is_subset(&token.scopes)
}

#[cfg(test)]
mod tests;
