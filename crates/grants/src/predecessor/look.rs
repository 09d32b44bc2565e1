//! Reading what belongs to a token, and judging whether it can be taken over. Writes nothing.

use std::time::Duration;

use domain::{
    id::{ClientId, Subject},
    resource::Resource,
    scope::ScopeSet,
    secret::SecretString,
    time::Timestamp,
};
use idp::provider::IdentityTokens;
use serde_json::{Map, Value};
use store::{
    StoreUnavailable,
    predecessor::{OldKind, OldRecord},
};

use super::{
    OldSession, PredecessorSource, TakeOverError, Unfit, client,
    payload::{OldBrowserSession, OldGrant, OldToken, read, text_of, texts_of},
};
use crate::{inspect::TokenKind, record::Facts};

/// By what a token is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) now: Timestamp,
    /// How long a replaced refresh token is honoured.
    pub(crate) refresh_window: Duration,
    /// The longest life of a session.
    pub(crate) grant_life: Duration,
}

/// Members of the token response that the predecessor kept on the client, and their names there.
const EXTRA: [(&str, &str); 3] = [
    ("identityAuthInstanceUrl", "instance_url"),
    ("identityAuthSignature", "signature"),
    ("identityAuthSessionNonce", "session_nonce"),
];

impl PredecessorSource {
    /// Whether a token can be taken over, and what its session is made of.
    pub(crate) async fn look(
        &self,
        kind: TokenKind,
        token: &str,
        terms: Terms,
    ) -> Result<OldSession, TakeOverError> {
        let model = model_of(kind);
        let record = self
            .find(model, token)
            .await?
            .ok_or(TakeOverError::Unfit(Unfit::Absent))?;
        let old: OldToken = read(&record)?;
        if old.jti != token || old.kind != model.model() || !is_opaque(&old) {
            return Err(Unfit::Malformed.into());
        }
        let ends_at = end_of(&old, record.consumed, terms)?;
        if old.jkt.is_some() || old.certificate.is_some() || old.attestation_jkt.is_some() {
            return Err(Unfit::KeyBound.into());
        }
        let account = old.account_id.as_ref().and_then(text_of);
        let account = account.ok_or(TakeOverError::Unfit(Unfit::Malformed))?;
        let grant = self.grant_of(&old, &account, terms.now).await?;
        if old.expires_with_session {
            self.check_browser_session(&old, &account, terms.now)
                .await?;
        }
        let (id, members) = self.client_of(&old).await?;
        let tokens = identity_tokens(&members, &account, terms.now)?;
        client::of_members(&id, members, &self.redirect_hosts, terms.now).map_err(Unfit::from)?;
        let (resource, issuer) = self.resource_of(&old).ok_or(Unfit::NoResource)?;
        let opened = Timestamp::from_unix(grant.iat);
        if opened.plus(terms.grant_life) <= terms.now {
            return Err(Unfit::TooOld.into());
        }
        let granted = ScopeSet::parse(old.scope.as_deref().unwrap_or_default());
        let granted = granted.map_err(|_| Unfit::Malformed)?;
        Ok(OldSession {
            kind,
            token: SecretString::new(token),
            ends_at,
            facts: Facts {
                client: id,
                subject: Subject::parse(account).map_err(|_| Unfit::Malformed)?,
                issuer,
                resource,
                scopes: granted.intersection(&self.scopes),
                auth_time: old.auth_time.map_or(opened, Timestamp::from_unix),
            },
            opened,
            tokens,
        })
    }

    async fn find(&self, kind: OldKind, id: &str) -> Result<Option<OldRecord>, StoreUnavailable> {
        self.records.find(kind, id).await
    }

    /// The grant that a token names, if it lives and is of the same user and client.
    async fn grant_of(
        &self,
        token: &OldToken,
        account: &str,
        now: Timestamp,
    ) -> Result<OldGrant, TakeOverError> {
        let id = token.grant_id.as_deref().ok_or(Unfit::NoGrant)?;
        let record = self.find(OldKind::Grant, id).await?;
        let grant: OldGrant = read(&record.ok_or(Unfit::NoGrant)?)?;
        if grant.exp <= now.as_unix() {
            return Err(Unfit::NoGrant.into());
        }
        let is_same_user = text_of(&grant.account_id).as_deref() == Some(account);
        if !is_same_user || grant.client_id != token.client_id {
            return Err(Unfit::Malformed.into());
        }
        Ok(grant)
    }

    /// A token without `offline_access` ended with the session of the browser that it came from.
    async fn check_browser_session(
        &self,
        token: &OldToken,
        account: &str,
        now: Timestamp,
    ) -> Result<(), TakeOverError> {
        let uid = token.session_uid.as_deref().ok_or(Unfit::SessionOver)?;
        let id = self.find(OldKind::SessionUid, uid).await?;
        let id = id.ok_or(Unfit::SessionOver)?;
        let session = self.find(OldKind::Session, id.text.expose()).await?;
        let session: OldBrowserSession = read(&session.ok_or(Unfit::SessionOver)?)?;
        let authorization = session.authorizations.get(&token.client_id);
        let grant = authorization.and_then(|of_client| of_client.get("grantId")?.as_str());
        let is_live = session.exp.is_none_or(|end| now.as_unix() < end)
            && session.account_id.as_ref().and_then(text_of).as_deref() == Some(account)
            && grant == token.grant_id.as_deref();
        if is_live {
            Ok(())
        } else {
            Err(Unfit::SessionOver.into())
        }
    }

    async fn client_of(
        &self,
        token: &OldToken,
    ) -> Result<(ClientId, Map<String, Value>), TakeOverError> {
        let id = ClientId::parse(token.client_id.as_str()).map_err(|_| Unfit::Malformed)?;
        let record = self.find(OldKind::Client, id.as_str()).await?;
        let members = read(&record.ok_or(Unfit::NoClient)?).map_err(|_| {
            let reason = client::UnfitClient::Malformed;
            Unfit::Client(reason)
        })?;
        Ok((id, members))
    }

    /// The resource that a token names, else the only one there is.
    fn resource_of(&self, token: &OldToken) -> Option<(Resource, String)> {
        let named = texts_of(token.aud.as_ref().or(token.resource.as_ref()));
        let by_name = self
            .resources
            .iter()
            .find(|(resource, _)| named.iter().any(|name| resource.is_named_by(name)));
        let only = || match self.resources.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        by_name.or_else(only).cloned()
    }
}

pub(crate) const fn model_of(kind: TokenKind) -> OldKind {
    match kind {
        TokenKind::Access => OldKind::AccessToken,
        TokenKind::Refresh => OldKind::RefreshToken,
    }
}

/// A signed access token says all of itself; the predecessor gave out none.
fn is_opaque(token: &OldToken) -> bool {
    token
        .format
        .as_deref()
        .is_none_or(|format| format == "opaque")
}

/// When a token ends. A refresh token that was replaced is honoured as our own are: for a while,
/// since a sibling may hold it, or its answer was lost.
fn end_of(token: &OldToken, consumed: Option<u64>, terms: Terms) -> Result<Timestamp, Unfit> {
    let end = Timestamp::from_unix(token.exp);
    if end <= terms.now {
        return Err(Unfit::Expired);
    }
    let Some(consumed) = consumed.map(Timestamp::from_unix) else {
        return Ok(end);
    };
    let honoured_until = consumed.plus(terms.refresh_window).min(end);
    if honoured_until <= terms.now {
        return Err(Unfit::Replaced);
    }
    Ok(honoured_until)
}

/// It may have been copied from the configuration, where commas were allowed.
fn scope_of(text: String) -> String {
    ScopeSet::parse_lenient(&text).map_or(text, |scopes| scopes.to_string())
}

/// The identity tokens on a client's record, if they are this user's. When they end is not known
/// (one generation of the predecessor did not write it down), so that they are renewed before
/// their first use, where they can be.
fn identity_tokens(
    client: &Map<String, Value>,
    account: &str,
    now: Timestamp,
) -> Result<IdentityTokens, Unfit> {
    let text = |name: &str| client.get(name).and_then(text_of);
    let secret = |name: &str| text(name).map(SecretString::new);
    let access_token = secret("identityAuthAccessToken").ok_or(Unfit::NoIdentity)?;
    if text("identityAuthId").as_deref() != Some(account) {
        return Err(Unfit::OtherUser);
    }
    let refresh_token = secret("identityAuthRefreshToken");
    let extra = EXTRA
        .iter()
        .filter_map(|(kept_as, name)| Some(((*name).to_owned(), text(kept_as)?.into())))
        .collect();
    Ok(IdentityTokens {
        access_token,
        expires_at: refresh_token.is_some().then_some(now),
        refresh_token,
        issued_at: now,
        scope: text("identityAuthScope").map_or(String::new(), scope_of),
        id_token: secret("identityAuthIdToken"),
        extra,
    })
}
