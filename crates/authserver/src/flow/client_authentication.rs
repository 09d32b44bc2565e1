//! Who asks at the token and revocation endpoints, and whether they can prove it (RFC 6749 §2.3).

use domain::{
    address::ClientNetwork,
    client::Client,
    id::ClientId,
    secret::{SecretBytes, SecretString},
};
use store::{StoreUnavailable, seal::sha256};

use super::{
    client_assertion::{self, AssertionError, Expected, ShownAssertion},
    patience::Patience,
};
use crate::{
    clients::{Clients, FindError, documents::DocumentFault},
    limits::TooMany,
};

/// What a request shows of its client.
#[derive(Debug)]
pub(crate) struct ShownCredentials<'a> {
    /// Id and secret by HTTP Basic.
    pub(crate) basic: Option<BasicCredentials>,
    /// `client_id` of the form.
    pub(crate) client_id: Option<&'a str>,
    /// `client_secret` of the form.
    pub(crate) client_secret: Option<&'a str>,
    /// `client_assertion` (RFC 7523).
    pub(crate) assertion: Option<ShownAssertion<'a>>,
}

/// Id and secret by HTTP Basic, decoded.
#[derive(Debug)]
pub(crate) struct BasicCredentials {
    pub(crate) id: String,
    /// Empty for a client that names itself so, but has no secret.
    pub(crate) secret: SecretString,
}

/// Why a client is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientAuthenticationError {
    /// The request does not say who asks.
    #[error("client_id is absent")]
    Missing,
    /// RFC 6749 §2.3: one method a request.
    #[error("the client proves itself in more than one way; use one")]
    SeveralMethods,
    /// The header and the form name different clients.
    #[error("the Authorization header and client_id name different clients")]
    TwoIds,
    /// Its assertion proves nothing.
    #[error(transparent)]
    Assertion(AssertionError),
    /// It registered keys, and shows no assertion.
    #[error("this client was registered for private_key_jwt; client_assertion is absent")]
    AssertionMissing,
    /// Never registered, or forgotten.
    #[error("this client is not registered here, or no longer; register it anew")]
    Unknown,
    /// A confidential client without its secret.
    #[error("this client was registered with a secret, which is absent")]
    SecretMissing,
    /// A public client with a secret: one that is accepted but not compared would be worse.
    #[error("this client was registered without a secret, but shows one")]
    SecretUnexpected,
    /// Another secret than the registered one.
    #[error("client_secret is wrong")]
    SecretWrong,
    /// Its metadata document does not make it known.
    #[error(transparent)]
    Document(DocumentFault),
    /// Its network has shown many wrong secrets, or more assertions than honest clients do.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// A passing fault.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// A passing fault stays one.
impl From<AssertionError> for ClientAuthenticationError {
    fn from(error: AssertionError) -> Self {
        match error {
            AssertionError::Unavailable(fault) => Self::Unavailable(fault),
            AssertionError::TooMany(too_many) => Self::TooMany(too_many),
            AssertionError::Keys(error) if error.is_passing() => {
                Self::Document(DocumentFault::Keys(error))
            }
            error => Self::Assertion(error),
        }
    }
}

impl From<FindError> for ClientAuthenticationError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Unavailable(fault) => Self::Unavailable(fault),
            FindError::Document(fault) => Self::Document(fault),
        }
    }
}

/// Finds the client and compares its secret. A client registered for one of the two ways to show
/// a secret may use the other: the secret is the same, and clients mix them up.
///
/// # Errors
/// See [`ClientAuthenticationError`].
pub(crate) async fn authenticate(
    clients: &Clients,
    shown: ShownCredentials<'_>,
    network: ClientNetwork,
    patience: Patience,
) -> Result<Client, ClientAuthenticationError> {
    let (id, proof) = one_method(shown)?;
    let client = patience
        .insist(
            |error: &FindError| matches!(error, FindError::Unavailable(_)),
            || clients.find(&id, network),
        )
        .await?
        .ok_or(ClientAuthenticationError::Unknown)?;
    match proof {
        Proof::None => check_secret(&client, None)?,
        Proof::Secret(secret) if clients.is_preregistered(&client.id) => {
            let judge = || check_secret(&client, Some(&secret));
            clients.guess(&client.id, network, judge).await??;
        }
        Proof::Secret(secret) => check_secret(&client, Some(&secret))?,
        Proof::Assertion(assertion) => {
            let expected = Expected {
                audiences: clients.audiences(),
                now: clients.now(),
                network,
            };
            client_assertion::check(clients, &client, &assertion, &expected, patience).await?;
        }
    }
    Ok(client)
}

/// How a client proves itself.
enum Proof<'a> {
    None,
    Secret(SecretString),
    Assertion(ShownAssertion<'a>),
}

fn one_method(
    shown: ShownCredentials<'_>,
) -> Result<(ClientId, Proof<'_>), ClientAuthenticationError> {
    use ClientAuthenticationError as Error;
    let methods = [
        shown.basic.is_some(),
        shown.client_secret.is_some(),
        shown.assertion.is_some(),
    ];
    if methods.into_iter().filter(|used| *used).count() > 1 {
        return Err(Error::SeveralMethods);
    }
    if let Some(assertion) = shown.assertion {
        let id = client_assertion::claimed_client(&assertion)?;
        // It may be left out (RFC 7521 §4.2), but not be another one.
        if shown.client_id.is_some_and(|named| named != id.as_str()) {
            return Err(Error::TwoIds);
        }
        return Ok((id, Proof::Assertion(assertion)));
    }
    let (id, secret) = match shown.basic {
        Some(basic) => {
            if shown.client_id.is_some_and(|id| id != basic.id) {
                return Err(Error::TwoIds);
            }
            let secret = (!basic.secret.expose().is_empty()).then_some(basic.secret);
            (basic.id, secret)
        }
        None => (
            shown.client_id.ok_or(Error::Missing)?.to_owned(),
            shown.client_secret.map(SecretString::new),
        ),
    };
    // What cannot be an identifier was never given out.
    let id = ClientId::parse(id).map_err(|_| Error::Unknown)?;
    Ok((id, secret.map_or(Proof::None, Proof::Secret)))
}

fn check_secret(
    client: &Client,
    shown: Option<&SecretString>,
) -> Result<(), ClientAuthenticationError> {
    use ClientAuthenticationError as Error;
    match (client.is_confidential(), client.secret_hash, shown) {
        (false, _, None) => Ok(()),
        (true, None, None) => Err(Error::AssertionMissing),
        (false, _, Some(_)) => Err(Error::SecretUnexpected),
        (true, _, None) => Err(Error::SecretMissing),
        (true, Some(registered), Some(shown)) => {
            let shown = SecretBytes::new(sha256(shown.expose().as_bytes()));
            if shown == SecretBytes::new(registered) {
                Ok(())
            } else {
                Err(Error::SecretWrong)
            }
        }
        // A confidential client has a secret; a record without one opens nothing.
        (true, None, Some(_)) => Err(Error::SecretWrong),
    }
}
