//! What an auditor wants to know of grants, as log events. Never a token, code or claim.

use domain::{address::ClientNetwork, id::GrantId};

use crate::{inspect::TokenKind, record::Facts, rules::LateRule};

/// Why a grant ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndReason {
    #[error("its client revoked a token")]
    Revoked,
    #[error("an operator or a logout ended it")]
    Ended,
    #[error("its authorization code was replayed")]
    CodeReplayed,
    #[error("a long replaced refresh token was shown from elsewhere")]
    RefreshReplayed,
    #[error("the identity provider refused it: {0}")]
    Refused(String),
    #[error("the identity token expired and the identity provider gave no refresh token")]
    NoRefreshToken,
    #[error("it was ended through another process")]
    Elsewhere,
    #[error("its time was over")]
    Expired,
}

pub(crate) fn opened(grant: &GrantId, facts: &Facts) {
    tracing::info!(
        grant.id = %grant,
        client.id = %facts.client,
        user.subject = %facts.subject,
        identity.issuer = %facts.issuer,
        resource = %facts.resource,
        scope = %facts.scopes,
        "grant opened"
    );
}

/// A token of the predecessor is ours from now on.
pub(crate) fn taken_over(grant: &GrantId, facts: &Facts, kind: TokenKind) {
    tracing::info!(
        grant.id = %grant,
        client.id = %facts.client,
        user.subject = %facts.subject,
        identity.issuer = %facts.issuer,
        resource = %facts.resource,
        scope = %facts.scopes,
        token.kind = ?kind,
        "a token of the predecessor was taken over"
    );
}

/// Mostly a scope that was forgotten, and noticed only when people have to log in all the time.
pub(crate) fn ends_with_its_token(grant: &GrantId, facts: &Facts) {
    tracing::warn!(
        grant.id = %grant,
        client.id = %facts.client,
        identity.issuer = %facts.issuer,
        "the identity provider gave no refresh token: the grant ends with its identity token; see \
         that IDENTITY_SCOPE asks for one (at most providers by offline_access)"
    );
}

pub(crate) fn ended(grant: &GrantId, facts: Option<&Facts>, reason: &EndReason) {
    tracing::info!(
        grant.id = %grant,
        client.id = facts.map(|facts| facts.client.as_str()),
        user.subject = facts.map(|facts| facts.subject.as_str()),
        %reason,
        "grant ended"
    );
}

pub(crate) fn late_use(
    grant: &GrantId,
    facts: &Facts,
    generation: u32,
    network: ClientNetwork,
    rule: LateRule,
) {
    tracing::info!(
        grant.id = %grant,
        client.id = %facts.client,
        user.subject = %facts.subject,
        generation,
        client.network = %network,
        rule = ?rule,
        "replaced refresh token honoured"
    );
}

pub(crate) fn theft(grant: &GrantId, facts: &Facts, generation: u32, network: ClientNetwork) {
    tracing::warn!(
        grant.id = %grant,
        client.id = %facts.client,
        user.subject = %facts.subject,
        generation,
        client.network = %network,
        "theft signal: a long replaced refresh token was shown from elsewhere; the grant is ended"
    );
}

pub(crate) fn foreign_client(grant: &GrantId, facts: &Facts, shown_by: &domain::id::ClientId) {
    tracing::warn!(
        grant.id = %grant,
        client.id = %shown_by,
        grant.client = %facts.client,
        "a token was shown by another client than its own; refused, nothing is ended"
    );
}

#[cfg(test)]
mod tests;
