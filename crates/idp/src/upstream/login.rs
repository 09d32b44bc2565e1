//! One login at the provider: to its authorization endpoint, and back with a code.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{scope::ScopeSet, secret::SecretString, time::Timestamp};
use jose::verifying::InvalidToken;
use serde_json::{Map, Value};
use url::Url;

use super::{
    LoginError, LoginRequest, LoginSecrets, UpstreamProvider,
    id_token::{self, Expected},
    identifier::IdentifierRule,
    keys::KeyFault,
    userinfo,
};
use crate::provider::{Identity, IdentityRefresher as _};

/// Claims about the token rather than about the person, and `sub`, which the subject holds.
const PROTOCOL_CLAIMS: [&str; 13] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "jti",
    "nonce",
    "at_hash",
    "c_hash",
    "s_hash",
    "auth_time",
];

/// Which scope promises which claims (OpenID Connect Core 1.0 §5.4), as far as they are used.
const PROMISED: [(&str, &[&str]); 2] = [
    ("email", &["email"]),
    ("profile", &["name", "preferred_username", "given_name"]),
];

// === impl UpstreamProvider ===

impl UpstreamProvider {
    /// Where the browser is sent to log in. A query of the endpoint itself is kept, as long as it
    /// does not contradict what is asked, and so is what the operator adds; a `prompt` there is
    /// joined with the one asked.
    pub fn authorization_url(&self, request: &LoginRequest<'_>, secrets: &LoginSecrets) -> Url {
        let settings = &self.settings;
        let endpoint = &self.metadata.authorization_endpoint;
        let existing = endpoint.query_pairs().into_owned().collect();
        let existing = settings.more_parameters.over(existing);
        let challenge = digest::digest(&digest::SHA256, secrets.verifier.expose().as_bytes());

        let mut asked: Vec<(&str, String)> = vec![
            ("response_type", "code".to_owned()),
            ("client_id", settings.client_id.clone()),
            ("redirect_uri", settings.redirect_uri.clone()),
        ];
        let scopes = self.scopes_with(&request.more_scopes);
        if !scopes.is_empty() {
            asked.push(("scope", scopes.to_string()));
        }
        asked.push(("state", request.state.to_owned()));
        asked.push(("code_challenge", URL_SAFE_NO_PAD.encode(challenge)));
        asked.push(("code_challenge_method", "S256".to_owned()));
        if settings.scope.contains("openid") {
            asked.push(("nonce", secrets.nonce.expose().to_owned()));
        }
        if let Some(prompt) = request.prompt {
            let standing = existing.iter().find(|(name, _)| name == "prompt");
            asked.push((
                "prompt",
                joined(standing.map(|(_, words)| words.as_str()), prompt),
            ));
        }
        if let Some(seconds) = request.max_age {
            asked.push(("max_age", seconds.to_string()));
        }
        if let Some(hint) = request.login_hint {
            asked.push(("login_hint", hint.to_owned()));
        }

        let kept = existing
            .iter()
            .filter(|(name, _)| !asked.iter().any(|(ours, _)| ours == name));
        let mut url = endpoint.clone();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept)
            .extend_pairs(&asked);
        url
    }

    /// Exchanges the callback's code for tokens, validates the ID token and finds out who it is.
    /// `more_scopes` are those of the login's request.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn exchange(
        &self,
        code: &str,
        secrets: &LoginSecrets,
        more_scopes: &ScopeSet,
    ) -> Result<Identity, LoginError> {
        let verifier = secrets.verifier.expose();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.settings.redirect_uri),
            ("code_verifier", verifier),
        ];
        let asked = self.clock.now();
        let answer = self
            .token_endpoint
            .ask(&self.http, &form, &[code, verifier])
            .await?;
        let mut claims = match self.identifier {
            IdentifierRule::IdToken => {
                let id_token = answer.id_token.as_ref().ok_or_else(|| {
                    LoginError::Invalid(
                        "there is no ID token, although IDENTITY_SCOPE asks for openid".to_owned(),
                    )
                })?;
                self.validated(id_token, &secrets.nonce).await?
            }
            IdentifierRule::Userinfo => self.userinfo(&answer.access_token).await?,
            IdentifierRule::TokenAnswer => answer.extra.clone(),
        };
        let subject = self
            .identifier
            .subject(&claims)
            .map_err(LoginError::Invalid)?;
        let auth_time = id_token::seconds(&claims, "auth_time")
            .map_err(LoginError::Invalid)?
            .map(Timestamp::from_unix);
        match self.identifier {
            IdentifierRule::IdToken => self.complete(&mut claims, &answer.access_token).await?,
            IdentifierRule::Userinfo => {}
            // Names of members that mean something else there.
            IdentifierRule::TokenAnswer => claims.clear(),
        }
        claims.retain(|name, _| !PROTOCOL_CLAIMS.contains(&name.as_str()));
        Ok(Identity {
            issuer: self.issuer().to_owned(),
            subject,
            claims,
            auth_time,
            tokens: Self::tokens(answer, asked, &self.scopes_with(more_scopes)),
        })
    }

    /// The claims of an ID token that is right in every respect.
    async fn validated(
        &self,
        id_token: &SecretString,
        nonce: &SecretString,
    ) -> Result<Map<String, Value>, LoginError> {
        let keys = self
            .keys
            .as_ref()
            .ok_or_else(|| LoginError::Misconfigured("its metadata has no jwks_uri".to_owned()))?;
        let verified =
            keys.verify(&self.http, id_token.expose())
                .await
                .map_err(|fault| {
                    match fault {
                KeyFault::Unavailable(reason) => LoginError::Unavailable(reason),
                KeyFault::Token(InvalidToken::Algorithm) => LoginError::Misconfigured(
                    "it signs ID tokens with an algorithm that is not accepted (none, or a shared \
                     secret); choose RS256 or ES256 for this client there"
                        .to_owned(),
                ),
                KeyFault::Token(reason) => {
                    LoginError::Invalid(format!("the ID token is not accepted: {reason}"))
                }
            }
                })?;
        let expected = Expected {
            issuer: &self.metadata.issuer,
            client_id: &self.settings.client_id,
            nonce,
            now: self.clock.now(),
        };
        id_token::check(&verified.claims, &expected).map_err(LoginError::Invalid)?;
        Ok(verified.claims)
    }

    /// Adds from userinfo what a scope promised and the ID token does not hold (many providers
    /// keep ID tokens small). The user is known already, so a fault there costs only these claims;
    /// another `sub` is another user (OpenID Connect Core 1.0 §5.3.2).
    async fn complete(
        &self,
        claims: &mut Map<String, Value>,
        access_token: &SecretString,
    ) -> Result<(), LoginError> {
        let lacking = PROMISED.iter().any(|(scope, promised)| {
            self.settings.scope.contains(scope)
                && !promised.iter().any(|claim| claims.contains_key(*claim))
        });
        if !lacking || self.metadata.userinfo_endpoint.is_none() {
            return Ok(());
        }
        let more = match self.userinfo(access_token).await {
            Ok(more) => more,
            Err(reason) => {
                tracing::warn!(
                    cause = %reason,
                    "the identity provider's userinfo failed; the claims of the ID token are used"
                );
                return Ok(());
            }
        };
        if more.get("sub") != claims.get("sub") {
            return Err(LoginError::Invalid(
                "userinfo is about another user than the ID token (`sub`)".to_owned(),
            ));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    async fn userinfo(
        &self,
        access_token: &SecretString,
    ) -> Result<Map<String, Value>, LoginError> {
        let url = self.metadata.userinfo_endpoint.as_ref().ok_or_else(|| {
            LoginError::Misconfigured("its metadata has no userinfo_endpoint".to_owned())
        })?;
        userinfo::ask(&self.http, url, access_token, self.limit).await
    }
}

/// Two space-separated lists as one, each word once.
fn joined(standing: Option<&str>, asked: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in standing
        .unwrap_or_default()
        .split(' ')
        .chain(asked.split(' '))
    {
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}
