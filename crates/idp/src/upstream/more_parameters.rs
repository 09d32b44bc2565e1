//! Parameters that an operator adds to each authorization request.

#[cfg(test)]
mod tests;

use url::form_urlencoded;

/// What we set ourselves, or that would change how the answer comes (RFC 6749, RFC 7636, RFC 9101,
/// OpenID Connect Core §3.1.2.1).
const OURS: [&str; 13] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "max_age",
    "request",
    "request_uri",
];

/// Parameters that are added to each authorization request at a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoreParameters(Vec<(String, String)>);

/// Why parameters cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidParameters {
    /// Something that has no place in a query.
    #[error("it is no query: write `name=value`, joined by `&`, a space as `%20`, without `?`")]
    NoQuery,
    /// One of ours.
    #[error("`{0}` is set by the proxy itself")]
    Ours(String),
    /// The same name again.
    #[error("`{0}` stands there twice")]
    Twice(String),
}

// === impl MoreParameters ===

impl MoreParameters {
    /// Reads them as they stand in a query: `access_type=offline&prompt=consent`.
    ///
    /// # Errors
    /// If that is no query, or names what the proxy sets itself.
    pub fn parse(text: &str) -> Result<Self, InvalidParameters> {
        let has_place = |character: char| character.is_ascii_graphic() && !"?#".contains(character);
        if !text.chars().all(has_place) {
            return Err(InvalidParameters::NoQuery);
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        for part in text.split('&') {
            if part.find('=').is_none_or(|at| at == 0) {
                return Err(InvalidParameters::NoQuery);
            }
            for (name, value) in form_urlencoded::parse(part.as_bytes()).into_owned() {
                if OURS.contains(&name.as_str()) {
                    return Err(InvalidParameters::Ours(name));
                }
                if parameters.iter().any(|(known, _)| *known == name) {
                    return Err(InvalidParameters::Twice(name));
                }
                parameters.push((name, value));
            }
        }
        Ok(Self(parameters))
    }

    /// These over what stands in an endpoint's own query.
    pub(super) fn over(&self, standing: Vec<(String, String)>) -> Vec<(String, String)> {
        let is_replaced = |name: &str| self.0.iter().any(|(own, _)| own == name);
        standing
            .into_iter()
            .filter(|(name, _)| !is_replaced(name))
            .chain(self.0.iter().cloned())
            .collect()
    }
}
