//! Answering a refresh token.

use std::sync::Arc;

use domain::{
    credential::{Credential, CredentialKind},
    secret::SecretString,
    time::Timestamp,
};

use crate::{
    audit::{self, EndReason},
    cache::Refusal,
    heart::Heart,
    imported::Opened,
    inspect::TokenKind,
    keys::{Claims, Root},
    line::retired_half,
    live::{Live, VersionedLine},
    lookup::{Closed, Found, Written},
    messages::{IssuedTokens, Rotation, TokenError},
    patience::Patience,
    record::{Facts, Line},
    redeem::contended,
    rules::{LateRule, Verdict, judge},
};

/// Most writes of others that one rotation gives way to.
const ATTEMPTS: usize = 8;

/// A refresh token that was shown.
enum Shown<'a> {
    Ours(&'a Credential),
    /// Of the predecessor.
    Imported(&'a Opened),
}

// === impl Shown ===

impl Shown<'_> {
    /// What was taken over is older than all that is ours.
    const fn generation(&self) -> u32 {
        match self {
            Self::Ours(credential) => credential.generation,
            Self::Imported(_) => 0,
        }
    }
}

// === impl Heart ===

impl Heart {
    pub(crate) async fn rotate(&self, rotation: Rotation<'_>) -> Result<IssuedTokens, TokenError> {
        let patience = self.patience();
        let Ok(credential) = Credential::parse(rotation.refresh_token) else {
            return self.rotate_imported(&rotation, &patience).await;
        };
        if credential.kind != CredentialKind::Refresh {
            return Err(TokenError::Unknown);
        }
        if let Some(refusal) = self
            .registry
            .refusal(rotation.refresh_token, self.clock.now())
        {
            return Err(Closed::Refused(refusal).into());
        }
        let live = match self
            .live(rotation.refresh_token, &credential, &patience)
            .await
        {
            Ok(live) => live,
            Err(Closed::Refused(Refusal::Unknown)) => {
                return Err(self.unopened(&credential, &rotation, &patience).await?);
            }
            Err(closed) => return Err(closed.into()),
        };
        let shown = Shown::Ours(&credential);
        match self.rotate_live(&live, &shown, &rotation, &patience).await {
            Ok(Some(issued)) => Ok(issued),
            Ok(None) => Err(self.unopened(&credential, &rotation, &patience).await?),
            Err(error) => Err(error),
        }
    }

    /// Answers a token of the predecessor with one of ours.
    async fn rotate_imported(
        &self,
        rotation: &Rotation<'_>,
        patience: &Patience,
    ) -> Result<IssuedTokens, TokenError> {
        let token = rotation.refresh_token;
        let opened = self
            .open_imported(token, TokenKind::Refresh, patience)
            .await?;
        let live = self.live_imported(&opened, patience).await?;
        let shown = Shown::Imported(&opened);
        let issued = self.rotate_live(&live, &shown, rotation, patience).await?;
        self.note_used(&opened, patience).await;
        issued.ok_or(TokenError::Unknown)
    }

    /// Answers a token by its grant; `None` if it is not authentic.
    async fn rotate_live(
        &self,
        live: &Arc<Live>,
        shown: &Shown<'_>,
        rotation: &Rotation<'_>,
        patience: &Patience,
    ) -> Result<Option<IssuedTokens>, TokenError> {
        let mut held = self.hold(live, patience).await?;
        for _ in 0..ATTEMPTS {
            let Some(root) = self.root_of(live, shown, &held.line) else {
                return Ok(None);
            };
            self.may_rotate(live, &held.line, rotation)?;
            let answered = self
                .answer(live, &root, &mut held, shown, rotation, patience)
                .await?;
            if answered == Written::Done {
                return Ok(Some(self.issue(live, &root, &held.line)));
            }
            if answered == Written::Gone {
                return Err(TokenError::Ended);
            }
        }
        Err(contended())
    }

    /// The root that a token carries, if it is authentic.
    fn root_of(&self, live: &Live, shown: &Shown<'_>, line: &Line) -> Option<Root<'_>> {
        let issuer = &self.settings.issuer;
        match shown {
            Shown::Ours(credential) => {
                let pad = line.refresh_pads.numbered(credential.pad_number)?;
                let root = Root::from_half(credential, pad, issuer);
                (live.is_key(&root.key()) && root.verifies(credential)).then_some(root)
            }
            Shown::Imported(opened) => opened.root(issuer).filter(|root| live.is_key(&root.key())),
        }
    }

    /// Who may refresh, for what. Nothing here ends a grant.
    fn may_rotate(
        &self,
        live: &Live,
        line: &Line,
        rotation: &Rotation<'_>,
    ) -> Result<(), TokenError> {
        let facts = &live.facts;
        if facts.client != *rotation.client {
            audit::foreign_client(&live.id, facts, rotation.client);
            return Err(TokenError::WrongClient);
        }
        // A provider that is no longer configured can keep no session going; nothing is erased,
        // so that the session goes on if it comes back.
        let is_over = live.end_of(line) <= self.clock.now();
        if live.is_ended() || is_over || live.refresher.is_none() {
            return Err(TokenError::Ended);
        }
        if rotation
            .resource
            .is_some_and(|resource| *resource != facts.resource)
        {
            return Err(TokenError::WrongResource);
        }
        if rotation
            .scopes
            .is_some_and(|scopes| !scopes.is_subset(&facts.scopes))
        {
            return Err(TokenError::ScopeNotGranted);
        }
        Ok(())
    }

    /// Judges the token and writes what follows; afterwards the line held is the one to issue
    /// tokens from.
    async fn answer(
        &self,
        live: &Live,
        root: &Root<'_>,
        held: &mut VersionedLine,
        token: &Shown<'_>,
        rotation: &Rotation<'_>,
        patience: &Patience,
    ) -> Result<Written, TokenError> {
        let moment = self.moment();
        let shown = token.generation();
        let address = live.keys.address_hash(rotation.network);
        let window = self.settings.refresh_window;
        let mut changed = held.line.clone();
        let mut verdict = judge(shown, &held.line, &address, window, moment.now);
        if let (Verdict::Theft, Shown::Imported(opened)) = (verdict, token)
            && !self.was_used(opened, patience).await?
        {
            verdict = Verdict::Late(LateRule::NeverShown);
        }
        match verdict {
            Verdict::Present | Verdict::Newer if rotation.is_confidential => {
                changed.prolong(shown, address, moment);
            }
            Verdict::Present | Verdict::Newer => changed.advance(shown, address, root, moment),
            Verdict::Late(rule) => {
                note_late(live, shown, rotation, rule);
                if !changed.hand_present(address, moment) {
                    return Ok(Written::Done);
                }
            }
            Verdict::Theft => {
                audit::theft(&live.id, &live.facts, shown, rotation.network);
                let reason = EndReason::RefreshReplayed;
                self.end_grant(&live.id, Some(&live.facts), reason, patience)
                    .await?;
                return Err(TokenError::RefreshReplayed);
            }
        }
        Ok(self.write_line(live, held, changed, patience).await?)
    }

    /// A token that opens nothing. Where its half is one whose pad was erased, it is authentic
    /// and far too old: a theft signal, if its own client shows it. All else ends nothing.
    async fn unopened(
        &self,
        credential: &Credential,
        rotation: &Rotation<'_>,
        patience: &Patience,
    ) -> Result<TokenError, TokenError> {
        let (facts, is_retired) = match self.find(&credential.grant, patience).await? {
            Found::Live(live) => {
                let held = patience.lock(&live.line).await?;
                (live.facts.clone(), is_retired(credential, &held.line))
            }
            Found::Stored(stored) => {
                let is_retired = is_retired(credential, &stored.line.line);
                (stored.facts, is_retired)
            }
        };
        if !is_retired {
            return Ok(TokenError::Unknown);
        }
        if facts.client != *rotation.client {
            audit::foreign_client(&credential.grant, &facts, rotation.client);
            return Ok(TokenError::WrongClient);
        }
        let shown = credential.generation;
        audit::theft(&credential.grant, &facts, shown, rotation.network);
        let reason = EndReason::RefreshReplayed;
        self.end_grant(&credential.grant, Some(&facts), reason, patience)
            .await?;
        Ok(TokenError::RefreshReplayed)
    }

    /// The tokens of the present generation. The refresh token is the same however often it is
    /// made.
    pub(crate) fn issue(&self, live: &Arc<Live>, root: &Root<'_>, line: &Line) -> IssuedTokens {
        let now = self.clock.now();
        let end = live.end_of(line);
        let told = end.min(now.plus(self.settings.access_life));
        let expires_at = end.min(told.plus(self.settings.access_grace()));
        IssuedTokens {
            access_token: access_token(live, line, expires_at),
            expires_in: told.since(now),
            refresh_token: self.gives_refresh_token(&live.facts).then(|| {
                let claims = Claims {
                    pad_number: line.refresh_pads.number,
                    generation: line.generation,
                    expires_at: None,
                };
                root.sign(
                    CredentialKind::Refresh,
                    claims,
                    &line.refresh_pads.present.0,
                )
            }),
            scopes: live.facts.scopes.clone(),
            grant: live.id,
            subject: live.facts.subject.clone(),
            auth_time: live.facts.auth_time,
            nonce: None,
        }
    }

    pub(crate) fn gives_refresh_token(&self, facts: &Facts) -> bool {
        !self.settings.strict_offline_access || facts.scopes.contains("offline_access")
    }
}

fn access_token(live: &Live, line: &Line, expires_at: Timestamp) -> SecretString {
    let claims = Claims {
        pad_number: line.access_pads.number,
        generation: line.generation,
        expires_at: Some(expires_at),
    };
    live.keys
        .sign_access(live.id, claims, &line.access_pads.present.0)
}

fn note_late(live: &Live, shown: u32, rotation: &Rotation<'_>, rule: LateRule) {
    if live.is_first_late_use(shown, rotation.network) {
        audit::late_use(&live.id, &live.facts, shown, rotation.network, rule);
    }
}

fn is_retired(credential: &Credential, line: &Line) -> bool {
    line.retired
        .contains(&retired_half(credential.half.expose()))
}

#[cfg(test)]
mod tests;
