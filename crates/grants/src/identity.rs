//! The identity session of a grant: the user's tokens and claims, and their sealed form.

use std::sync::Arc;

use domain::{id::GrantId, random::Random, secret::SecretString, time::Timestamp};
use idp::provider::IdentityTokens;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::seal::SealKey;
use zeroize::Zeroizing;

use crate::record::Facts;

/// Format of the sealed bytes; part of what they are bound to, so that it cannot be changed.
const FORMAT: u8 = 1;

/// The user's tokens at some version.
#[derive(Debug)]
pub(crate) struct IdentitySession {
    /// Raised by every settled refresh.
    pub(crate) version: u64,
    pub(crate) tokens: IdentityTokens,
    pub(crate) claims: Map<String, Value>,
    /// The tokens' scope, shared with all who ask.
    pub(crate) scope: Arc<str>,
}

/// What an identity session is sealed to, beside its version.
pub(crate) struct Binding<'a> {
    pub(crate) grant: &'a GrantId,
    /// Ours.
    pub(crate) issuer: &'a str,
    pub(crate) facts: &'a Facts,
}

/// Borrowed, so that sealing and opening make no copies that nobody wipes.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    access_token: &'a str,
    refresh_token: Option<&'a str>,
    expires_at: Option<Timestamp>,
    issued_at: Timestamp,
    scope: &'a str,
    id_token: Option<&'a str>,
    /// JSON.
    extra: &'a str,
    /// JSON.
    claims: &'a str,
}

// === impl IdentitySession ===

impl IdentitySession {
    pub(crate) fn new(version: u64, tokens: IdentityTokens, claims: Map<String, Value>) -> Self {
        let scope = Arc::from(tokens.scope.as_str());
        Self {
            version,
            tokens,
            claims,
            scope,
        }
    }

    pub(crate) fn seal(
        &self,
        key: &SealKey,
        binding: &Binding<'_>,
        random: &dyn Random,
    ) -> Vec<u8> {
        let tokens = &self.tokens;
        let extra = json(&tokens.extra);
        let claims = json(&self.claims);
        let wire = Wire {
            access_token: tokens.access_token.expose(),
            refresh_token: tokens.refresh_token.as_ref().map(SecretString::expose),
            expires_at: tokens.expires_at,
            issued_at: tokens.issued_at,
            scope: &tokens.scope,
            id_token: tokens.id_token.as_ref().map(SecretString::expose),
            extra: &extra,
            claims: &claims,
        };
        let plain = postcard::to_allocvec(&wire).map(Zeroizing::new);
        // postcard fails only on sequences of unknown length, which this type does not have.
        #[expect(clippy::expect_used, reason = "no sequence of unknown length")]
        let plain = plain.expect("an identity session is plain data");
        binding.with(self.version, |parts| key.seal(parts, &plain, random))
    }

    /// `None` for bytes that were not sealed with this key for this grant and version.
    pub(crate) fn open(
        key: &SealKey,
        binding: &Binding<'_>,
        version: u64,
        sealed: &[u8],
    ) -> Option<Self> {
        let plain = binding.with(version, |parts| key.open(parts, sealed))?;
        let wire: Wire<'_> = postcard::from_bytes(&plain).ok()?;
        let tokens = IdentityTokens {
            access_token: SecretString::new(wire.access_token),
            refresh_token: wire.refresh_token.map(SecretString::new),
            expires_at: wire.expires_at,
            issued_at: wire.issued_at,
            scope: wire.scope.to_owned(),
            id_token: wire.id_token.map(SecretString::new),
            extra: serde_json::from_str(wire.extra).ok()?,
        };
        let claims = serde_json::from_str(wire.claims).ok()?;
        Some(Self::new(version, tokens, claims))
    }

    /// Whether the access token can still be used.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.tokens.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it is too early to refresh: more than a minute, or a fifth of its life if that is
    /// less, is left. Without an end it stays fresh until the MCP server refuses it.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.tokens.expires_at.is_none_or(|end| {
            let ahead = AHEAD.min(end.since(self.tokens.issued_at) / 5);
            now < end.minus(ahead)
        })
    }

    /// About how many bytes it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        let secret = |secret: &Option<SecretString>| {
            secret.as_ref().map_or(0, |secret| secret.expose().len())
        };
        self.tokens.access_token.expose().len()
            + secret(&self.tokens.refresh_token)
            + secret(&self.tokens.id_token)
            // Once as text, once shared.
            + self.tokens.scope.len() * 2
            + MEMBER_WEIGHT * (self.claims.len() + self.tokens.extra.len())
    }
}

/// Most time before its end at which a token is refreshed.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(60);

/// A guess at the weight of a claim.
const MEMBER_WEIGHT: usize = 160;

// === impl Binding ===

impl Binding<'_> {
    fn with<T>(&self, version: u64, use_parts: impl FnOnce(&[&[u8]]) -> T) -> T {
        let scopes = self.facts.scopes.to_string();
        use_parts(&[
            b"identity session",
            &[FORMAT],
            self.grant.as_bytes(),
            &version.to_be_bytes(),
            self.issuer.as_bytes(),
            self.facts.issuer.as_bytes(),
            self.facts.subject.as_str().as_bytes(),
            self.facts.client.as_str().as_bytes(),
            self.facts.resource.as_str().as_bytes(),
            scopes.as_bytes(),
        ])
    }
}

fn json(members: &Map<String, Value>) -> Zeroizing<String> {
    // Keys are strings and values are values: this cannot fail; nothing would be lost but extras.
    Zeroizing::new(serde_json::to_string(members).unwrap_or_else(|_| "{}".to_owned()))
}

#[cfg(test)]
mod tests;
