//! Opening a grant: its root is made, put into the code, and forgotten.

use domain::{
    credential::CredentialKind,
    id::{GrantId, Subject},
    secret::SecretString,
    time::Timestamp,
};
use idp::provider::IdentityTokens;
use store::{StoreUnavailable, seal::sha256};

use crate::{
    audit,
    heart::Heart,
    identity::{Binding, IdentitySession},
    keys::{CheckValue, Claims, Root},
    line::{CODE_LIFE, UNREDEEMED_LIFE},
    messages::CompletedLogin,
    patience::Patience,
    record::{self, CodeProof, CodeState, Facts, Line, Pad, Pads},
};

impl Heart {
    pub(crate) async fn open_login(
        &self,
        login: CompletedLogin,
    ) -> Result<SecretString, StoreUnavailable> {
        let now = self.clock.now();
        let grant = GrantId::from_bytes(self.random.bytes());
        let root = Root::new(self.random.secret(), grant, &self.settings.issuer);
        let keys = root.grant_keys();
        let facts = Facts {
            client: login.client,
            subject: login.identity.subject,
            issuer: login.identity.issuer,
            resource: login.resource,
            scopes: login.scopes,
            auth_time: login.identity.auth_time.unwrap_or(now),
        };
        let pad = Pad(self.random.secret());
        let claims = Claims {
            pad_number: 0,
            generation: 0,
            expires_at: Some(now.plus(CODE_LIFE)),
        };
        let code = root.sign(CredentialKind::Code, claims, &pad.0);
        let token_end = self.unrenewed_end(&facts.issuer, &login.identity.tokens);
        let grant_end = now.plus(self.settings.grant_life);
        let absolute_end = token_end.map_or(grant_end, |end| end.min(grant_end));
        let proof = CodeProof {
            challenge: login.code_challenge,
            redirect_uri: sha256(login.redirect_uri.as_bytes()),
        };
        let state = CodeState::Open {
            pad,
            proof,
            nonce: login.nonce,
        };
        let line = self.new_line(keys.check, state, absolute_end, now);
        let session = IdentitySession::new(1, login.identity.tokens, login.identity.claims);
        let binding = Binding {
            grant: &grant,
            issuer: &self.settings.issuer,
            facts: &facts,
        };
        let sealed = session.seal(&keys.seal, &binding, self.random.as_ref());
        let patience = self.patience();
        self.remember(&grant, &line, &facts, sealed, &patience)
            .await?;
        audit::opened(&grant, &facts);
        if token_end.is_some() {
            audit::ends_with_its_token(&grant, &facts);
        }
        Ok(code)
    }

    /// The end of an identity token that cannot be refreshed: the session ends with it.
    pub(crate) fn unrenewed_end(&self, issuer: &str, tokens: &IdentityTokens) -> Option<Timestamp> {
        let can_refresh = self
            .providers
            .get(issuer)
            .is_some_and(|provider| provider.can_refresh(tokens));
        tokens.expires_at.filter(|_| !can_refresh)
    }

    pub(crate) fn new_line(
        &self,
        check: CheckValue,
        code: CodeState,
        absolute_end: Timestamp,
        now: Timestamp,
    ) -> Line {
        Line {
            opened: now,
            absolute_end,
            ends_at: absolute_end.min(now.plus(UNREDEEMED_LIFE)),
            check,
            generation: 0,
            newest_seen: 0,
            refresh_pads: Pads::new(self.random.as_ref(), now),
            access_pads: Pads::new(self.random.as_ref(), now),
            issued: Vec::new(),
            addresses: Vec::new(),
            retired: Vec::new(),
            code,
        }
    }

    /// The index is written before the grant, so that it always names at least the grants there
    /// are.
    pub(crate) async fn remember(
        &self,
        grant: &GrantId,
        line: &Line,
        facts: &Facts,
        sealed: Vec<u8>,
        patience: &Patience,
    ) -> Result<(), StoreUnavailable> {
        let now = self.clock.now();
        let grant_life = line.absolute_end.since(now);
        let holder = holder(&facts.issuer, &facts.subject);
        patience
            .call(|| self.store.index_grant(&holder, grant, grant_life))
            .await?;
        let body = record::encode(line, facts);
        let operation = self.random.bytes();
        let remaining = line.remaining(now);
        patience
            .call(|| {
                let (body, sealed) = (body.clone(), sealed.clone());
                self.store
                    .open_grant(grant, body, sealed, operation, remaining)
            })
            .await
    }
}

/// Names a user in the index, without saying who it is.
pub(crate) fn holder(issuer: &str, subject: &Subject) -> [u8; 32] {
    let mut name = Vec::with_capacity(8 + issuer.len() + subject.as_str().len());
    name.extend_from_slice(&(issuer.len() as u64).to_be_bytes());
    name.extend_from_slice(issuer.as_bytes());
    name.extend_from_slice(subject.as_str().as_bytes());
    sha256(&name)
}
