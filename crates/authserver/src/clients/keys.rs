//! The keys of clients that sign assertions: in their metadata, or at a URL of theirs.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use domain::{address::ClientNetwork, client::Client, time::Clock};
use fetch::{Documents, FetchError, Fetcher};
use jose::verifying::{InvalidToken, VerifiedToken, VerifyingKeys};

/// The keys that clients publish.
#[derive(Debug)]
pub(super) struct PublishedKeys {
    documents: Documents<VerifyingKeys>,
    clock: Arc<dyn Clock>,
}

/// Why a signature is not confirmed.
#[derive(Debug)]
pub(crate) enum KeyFault {
    /// The token is not right, or no key fits it.
    Token(InvalidToken),
    /// The keys could not be had.
    Fetch(FetchError),
}

// === impl PublishedKeys ===

impl PublishedKeys {
    pub(super) fn new(fetcher: Arc<Fetcher>, clock: Arc<dyn Clock>) -> Self {
        let documents = Documents::new(fetcher, |_, body| {
            let jwks = serde_json::from_slice(body).map_err(|_| "it is not JSON".to_owned())?;
            VerifyingKeys::parse(&jwks).map_err(|_| "it is no JWK Set".to_owned())
        });
        Self { documents, clock }
    }

    /// Checks a signature by the keys at `uri`. Where no key fits (or one of the same name gives
    /// another signature) the client has perhaps changed its keys: they are fetched once more.
    pub(super) async fn verify(
        &self,
        uri: &str,
        token: &str,
        asker: ClientNetwork,
    ) -> Result<VerifiedToken, KeyFault> {
        let known = self
            .documents
            .get(uri, asker.address(), self.now())
            .await
            .map_err(KeyFault::Fetch)?;
        let fault = match known.value.verify(token) {
            Ok(verified) => return Ok(verified),
            Err(fault) if !may_be_mended(&fault) => return Err(KeyFault::Token(fault)),
            Err(fault) => fault,
        };
        let newer = self
            .documents
            .newer_than(known.number, uri, asker.address(), self.now());
        match newer.await.map_err(KeyFault::Fetch)? {
            Some(newer) => newer.value.verify(token).map_err(KeyFault::Token),
            None => Err(KeyFault::Token(fault)),
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.clock.now().as_unix())
    }
}

/// Whether newer keys may make a token right.
pub(super) fn may_be_mended(fault: &InvalidToken) -> bool {
    matches!(fault, InvalidToken::UnknownKey | InvalidToken::Signature)
}

/// Checks a signature by the keys in the client's own metadata.
pub(super) fn verify_by_metadata(
    client: &Client,
    token: &str,
) -> Result<VerifiedToken, InvalidToken> {
    let jwks = client.metadata.jwks.as_ref();
    VerifyingKeys::parse(jwks.ok_or(InvalidToken::UnknownKey)?)?.verify(token)
}
