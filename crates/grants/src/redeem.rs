//! Redeeming a code: once, by its client, with its verifier and redirect URI.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use domain::{
    credential::{Credential, CredentialKind},
    time::Timestamp,
};
use store::seal::sha256;

use crate::{
    audit::{self, EndReason},
    cache::Refusal,
    heart::Heart,
    keys::Root,
    live::Live,
    lookup::{Closed, Found, Written},
    messages::{IssuedTokens, Redemption, TokenError},
    patience::Patience,
    record::{CodeProof, CodeState, Facts, Line},
};

/// A replay sooner than this is nearly always the client's own double call.
const REPLAY_GRACE: Duration = Duration::from_secs(30);

/// Most writes of others that one redemption gives way to.
const ATTEMPTS: usize = 8;

impl Heart {
    pub(crate) async fn redeem(
        &self,
        redemption: Redemption<'_>,
    ) -> Result<IssuedTokens, TokenError> {
        let credential = Credential::parse(redemption.code)
            .ok()
            .filter(|credential| credential.kind == CredentialKind::Code)
            .ok_or(TokenError::Unknown)?;
        let patience = self.patience();
        loop {
            match self.find(&credential.grant, &patience).await? {
                Found::Live(live) => {
                    return self
                        .redeem_live(&live, &credential, &redemption, &patience)
                        .await;
                }
                Found::Stored(stored) => {
                    let line = &stored.line.line;
                    let CodeState::Open { pad, .. } = &line.code else {
                        return self
                            .replayed(&credential, &stored.facts, line, &redemption, &patience)
                            .await;
                    };
                    let root = Root::from_half(&credential, &pad.0, &self.settings.issuer);
                    let keys = root.grant_keys();
                    if !keys.fit(&line.check) || !root.verifies(&credential) {
                        return Err(TokenError::Unknown);
                    }
                    // Refused redemptions leave nothing in memory either.
                    self.judge(&credential, &stored.facts, line, &redemption)?;
                    if let Ok(live) = self.admit(credential.grant, *stored, keys)? {
                        return self
                            .redeem_live(&live, &credential, &redemption, &patience)
                            .await;
                    }
                }
            }
        }
    }

    async fn redeem_live(
        &self,
        live: &Arc<Live>,
        credential: &Credential,
        redemption: &Redemption<'_>,
        patience: &Patience,
    ) -> Result<IssuedTokens, TokenError> {
        let mut held = self.hold(live, patience).await?;
        for _ in 0..ATTEMPTS {
            if live.is_ended() {
                return Err(TokenError::Ended);
            }
            let CodeState::Open { pad, nonce, .. } = &held.line.code else {
                return self
                    .replayed(credential, &live.facts, &held.line, redemption, patience)
                    .await;
            };
            let root = Root::from_half(credential, &pad.0, &self.settings.issuer);
            if !live.is_key(&root.key()) || !root.verifies(credential) {
                return Err(TokenError::Unknown);
            }
            self.judge(credential, &live.facts, &held.line, redemption)?;
            let nonce = nonce.clone();
            let mut changed = held.line.clone();
            let address = live.keys.address_hash(redemption.network);
            changed.redeem(address, self.idle_life(&live.facts), self.moment());
            match self.write_line(live, &mut held, changed, patience).await? {
                Written::Done => {
                    let mut issued = self.issue(live, &root, &held.line);
                    issued.nonce = nonce;
                    return Ok(issued);
                }
                Written::Overtaken => {}
                Written::Gone => return Err(TokenError::Ended),
            }
        }
        Err(contended())
    }

    /// What an authentic, unredeemed code must prove. A refusal leaves it good for its owner.
    fn judge(
        &self,
        credential: &Credential,
        facts: &Facts,
        line: &Line,
        redemption: &Redemption<'_>,
    ) -> Result<(), TokenError> {
        let now = self.clock.now();
        if facts.client != *redemption.client {
            audit::foreign_client(&credential.grant, facts, redemption.client);
            return Err(TokenError::WrongClient);
        }
        if credential.is_expired(now) || line.is_over(now) {
            return Err(TokenError::Unknown);
        }
        let proof = match &line.code {
            CodeState::Open { proof, .. } | CodeState::Redeemed { proof, .. } => proof,
            CodeState::Dropped => return Err(TokenError::CodeReplayed),
            CodeState::AtDevice => return Err(TokenError::Unknown),
        };
        if !proof.fits_redirect_uri(redemption) {
            return Err(TokenError::WrongRedirectUri);
        }
        if !proof.fits_verifier(redemption) {
            return Err(TokenError::WrongVerifier);
        }
        if redemption
            .resource
            .is_some_and(|resource| *resource != facts.resource)
        {
            return Err(TokenError::WrongResource);
        }
        Ok(())
    }

    /// A used code is refused. It opens nothing any more, so who shows it is known only by the
    /// verifier; whoever has that, and is late, has most likely stolen it: the grant ends.
    async fn replayed(
        &self,
        credential: &Credential,
        facts: &Facts,
        line: &Line,
        redemption: &Redemption<'_>,
        patience: &Patience,
    ) -> Result<IssuedTokens, TokenError> {
        if let CodeState::Redeemed { at, proof } = &line.code
            && facts.client == *redemption.client
            && proof.fits_redirect_uri(redemption)
            && proof.fits_verifier(redemption)
            && is_late(*at, self.clock.now())
        {
            let reason = EndReason::CodeReplayed;
            self.end_grant(&credential.grant, Some(facts), reason, patience)
                .await?;
        }
        Err(TokenError::CodeReplayed)
    }

    /// A grant without a refresh token lives as long as its one access token.
    pub(crate) fn idle_life(&self, facts: &Facts) -> Duration {
        if self.gives_refresh_token(facts) {
            self.settings.refresh_idle
        } else {
            self.settings.access_life
        }
    }
}

// === impl CodeProof ===

impl CodeProof {
    /// OAuth 2.1 no longer sends it; where it is sent, it must be the same (RFC 6749 §4.1.3).
    fn fits_redirect_uri(&self, redemption: &Redemption<'_>) -> bool {
        redemption.redirect_uri.is_none_or(|shown| {
            verify_slices_are_equal(&sha256(shown.as_bytes()), &self.redirect_uri).is_ok()
        })
    }

    /// RFC 7636 §4.6; an absent verifier never fits.
    fn fits_verifier(&self, redemption: &Redemption<'_>) -> bool {
        redemption.verifier.is_some_and(|verifier| {
            let digest = sha256(verifier.expose().as_bytes());
            verify_slices_are_equal(&digest, self.challenge.digest()).is_ok()
        })
    }
}

fn is_late(redeemed: Timestamp, now: Timestamp) -> bool {
    now.since(redeemed) >= REPLAY_GRACE
}

/// So many writers at one grant are not met in practice; passing, in any case.
pub(crate) fn contended() -> TokenError {
    TokenError::Unavailable(store::StoreUnavailable(
        "too many writers at one grant".to_owned(),
    ))
}

impl From<Closed> for TokenError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Refused(Refusal::Unknown) => Self::Unknown,
            Closed::Refused(Refusal::Ended) => Self::Ended,
            Closed::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

#[cfg(test)]
mod tests;
