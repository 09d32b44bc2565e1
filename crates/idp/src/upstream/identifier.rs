//! Who it is that has logged in: one rule per provider, fixed at the start, so that one person
//! never has two identifiers.

#[cfg(test)]
mod tests;

use domain::{id::Subject, scope::ScopeSet};
use serde_json::{Map, Value};

use super::metadata::ProviderMetadata;

/// Where the user's identifier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentifierRule {
    /// `sub` of the ID token.
    IdToken,
    /// `sub`, else `id`, of userinfo.
    Userinfo,
    /// `id`, else `user_id`, of the token response (Salesforce, Heroku).
    TokenAnswer,
}

// === impl IdentifierRule ===

impl IdentifierRule {
    pub(super) fn of(metadata: &ProviderMetadata, scope: &ScopeSet) -> Self {
        if scope.contains("openid") && metadata.jwks_uri.is_some() {
            Self::IdToken
        } else if metadata.userinfo_endpoint.is_some() {
            Self::Userinfo
        } else {
            Self::TokenAnswer
        }
    }

    /// The members that hold the identifier, in their order.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::IdToken => &["sub"],
            Self::Userinfo => &["sub", "id"],
            Self::TokenAnswer => &["id", "user_id"],
        }
    }

    /// Takes the identifier out of what the rule looks at.
    pub(super) fn subject(self, found: &Map<String, Value>) -> Result<Subject, String> {
        let value = self
            .members()
            .iter()
            .filter_map(|name| found.get(*name))
            .find(|value| !value.is_null());
        let text = match value {
            Some(Value::String(text)) => text.clone(),
            // Whole numbers only: a float has no one spelling.
            Some(Value::Number(number)) if number.is_u64() || number.is_i64() => number.to_string(),
            _ => return Err(self.nobody()),
        };
        Subject::parse(text).map_err(|reason| format!("{}: {reason}", self.nobody()))
    }

    fn nobody(self) -> String {
        match self {
            Self::IdToken => "its ID token names no user (`sub`)",
            Self::Userinfo => "its userinfo names no user (`sub` or `id`)",
            Self::TokenAnswer => {
                "its token response names no user (`id` or `user_id`), and it has neither ID \
                 tokens nor userinfo"
            }
        }
        .to_owned()
    }
}
