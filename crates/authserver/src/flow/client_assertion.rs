//! A client proves itself by a JWT that it signed (`private_key_jwt`: RFC 7523, OpenID Connect
//! Core §9).

#[cfg(test)]
mod tests;

use std::time::Duration;

use domain::{
    address::ClientNetwork,
    client::{Client, TokenEndpointAuthMethod},
    id::ClientId,
    time::Timestamp,
};
use fetch::FetchError;
use jose::verifying::{self, InvalidToken, VerifiedToken};
use serde_json::{Map, Value};
use store::{StoreUnavailable, seal::sha256};

use super::patience::Patience;
use crate::{
    clients::{Clients, keys::KeyFault},
    limits::TooMany,
};

/// What a client claims by RFC 7521 §4.2.
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far the clocks of client and server may differ.
const SKEW: Duration = Duration::from_secs(60);
/// The longest life of an assertion: as long must its `jti` be remembered.
const LONGEST: Duration = Duration::from_secs(3600);
const MAX_JTI_BYTES: usize = 512;

/// An assertion as it was shown.
#[derive(Debug)]
pub(crate) struct ShownAssertion<'a> {
    /// `client_assertion_type`.
    pub(crate) kind: Option<&'a str>,
    /// `client_assertion`. Never logged: it works until it was used.
    pub(crate) jwt: Secret<'a>,
}

/// A text that is not printed.
#[derive(Clone, Copy)]
pub(crate) struct Secret<'a>(pub(crate) &'a str);

/// Why an assertion proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssertionError {
    /// Another kind.
    #[error("client_assertion_type must be {ASSERTION_TYPE}")]
    Kind,
    /// The client registered another method.
    #[error("this client did not register for private_key_jwt")]
    NotRegistered,
    /// No JWT, another algorithm, no key, or a wrong signature.
    #[error("client_assertion is refused: {0}")]
    Token(#[from] InvalidToken),
    /// One of its claims.
    #[error("client_assertion is refused: {0}")]
    Claim(&'static str),
    /// It was used.
    #[error(
        "client_assertion is refused: its jti was used before; sign a new one for each request"
    )]
    Replayed,
    /// The client's keys cannot be had.
    #[error("the client's keys cannot be used: {0}")]
    Keys(FetchError),
    /// Its network shows very many.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Whom an assertion is for, and when.
pub(crate) struct Expected<'a> {
    pub(crate) audiences: &'a [String],
    pub(crate) now: Timestamp,
    pub(crate) network: ClientNetwork,
}

/// Who signed an assertion, by its own account: only good for asking that client's keys.
///
/// # Errors
/// If it is no JWT, or does not say.
pub(crate) fn claimed_client(shown: &ShownAssertion<'_>) -> Result<ClientId, AssertionError> {
    let claims = verifying::unverified_claims(shown.jwt.0)?;
    let subject = claims.get("sub").and_then(Value::as_str);
    subject
        .and_then(|subject| ClientId::parse(subject).ok())
        .ok_or(AssertionError::Claim("its sub must be the client_id"))
}

/// Checks that the client signed the assertion, for us, now, and for the first time.
///
/// # Errors
/// See [`AssertionError`].
pub(crate) async fn check(
    clients: &Clients,
    client: &Client,
    shown: &ShownAssertion<'_>,
    expected: &Expected<'_>,
    patience: Patience,
) -> Result<(), AssertionError> {
    if shown.kind != Some(ASSERTION_TYPE) {
        return Err(AssertionError::Kind);
    }
    if client.metadata.token_endpoint_auth_method != TokenEndpointAuthMethod::PrivateKeyJwt {
        return Err(AssertionError::NotRegistered);
    }
    // Before anything that costs: a look at keys, a signature, and a mark that stays for an hour.
    clients.charge_assertion(expected.network)?;
    let verified = clients
        .verify(client, shown.jwt.0, expected.network)
        .await?;
    check_algorithm(client, &verified)?;
    let once = check_claims(&verified.claims, client.id.as_str(), expected)?;
    let marked = clients.mark_once(&once.mark, once.life);
    if patience.once::<_, StoreUnavailable>(marked).await? {
        Ok(())
    } else {
        Err(AssertionError::Replayed)
    }
}

/// What must be remembered of an assertion, so that it works once.
struct Once {
    mark: [u8; 32],
    life: Duration,
}

fn check_algorithm(client: &Client, verified: &VerifiedToken) -> Result<(), AssertionError> {
    match &client.metadata.token_endpoint_auth_signing_alg {
        Some(registered) if *registered != verified.algorithm => Err(AssertionError::Claim(
            "its algorithm is not the registered token_endpoint_auth_signing_alg",
        )),
        _ => Ok(()),
    }
}

/// RFC 7523 §3.
fn check_claims(
    claims: &Map<String, Value>,
    client: &str,
    expected: &Expected<'_>,
) -> Result<Once, AssertionError> {
    let wrong = |reason| Err(AssertionError::Claim(reason));
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client) || text("sub") != Some(client) {
        return wrong("its iss and sub must be the client_id");
    }
    if !is_for_us(claims.get("aud"), expected.audiences) {
        return wrong("its aud must be the issuer or the token endpoint of this server");
    }
    let now = expected.now;
    let Some(expiry) = time(claims, "exp")? else {
        return wrong("it has no exp");
    };
    if expiry.plus(SKEW) <= now {
        return wrong("it has expired");
    }
    let life = expiry.plus(SKEW).since(now);
    if life > LONGEST + SKEW + SKEW {
        return wrong("its exp is more than an hour ahead");
    }
    if time(claims, "nbf")?.is_some_and(|begin| begin > now.plus(SKEW)) {
        return wrong("its nbf lies ahead");
    }
    match time(claims, "iat")? {
        Some(issued) if issued > now.plus(SKEW) => return wrong("its iat lies ahead"),
        Some(issued) if issued.plus(LONGEST + SKEW) < now => {
            return wrong("its iat is more than an hour ago");
        }
        _ => {}
    }
    let Some(jti) = text("jti").filter(|jti| (1..=MAX_JTI_BYTES).contains(&jti.len())) else {
        return wrong("it needs a jti of at most 512 bytes");
    };
    // The length in front keeps two pairs from being one text.
    let pair = format!("client assertion 1\0{}\0{client}\0{jti}", client.len());
    Ok(Once {
        mark: sha256(pair.as_bytes()),
        life,
    })
}

fn is_for_us(audience: Option<&Value>, expected: &[String]) -> bool {
    let is_ours = |value: &Value| {
        let text = value.as_str();
        text.is_some_and(|text| expected.iter().any(|ours| ours == text))
    };
    match audience {
        Some(Value::Array(values)) => values.iter().any(is_ours),
        Some(value) => is_ours(value),
        None => false,
    }
}

/// A `NumericDate` (RFC 7519 §2); fractions are cut.
fn time(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, AssertionError> {
    const WRONG: AssertionError = AssertionError::Claim("its times must be seconds since 1970");
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let whole = || value.as_u64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded beforehand; the fraction is meant to go"
    )]
    let fraction = || {
        let seconds = value
            .as_f64()
            .filter(|seconds| (0.0..1e12).contains(seconds))?;
        Some(seconds as u64)
    };
    let seconds = whole().or_else(fraction).ok_or(WRONG)?;
    Ok(Some(Timestamp::from_unix(seconds)))
}

impl From<KeyFault> for AssertionError {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Token(invalid) => Self::Token(invalid),
            KeyFault::Fetch(error) => Self::Keys(error),
        }
    }
}

impl std::fmt::Debug for Secret<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[redacted]")
    }
}
