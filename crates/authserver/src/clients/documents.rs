//! Clients that are described by a document at their own URL
//! (draft-ietf-oauth-client-id-metadata-document).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use domain::{
    address::ClientNetwork,
    client::{Client, ClientDomains, ClientMetadata, DocumentUrl, InvalidDocumentUrl},
    id::ClientId,
    redirect_uri::AllowedRedirectHosts,
    time::{Clock, Timestamp},
};
use fetch::{Documents, FetchError, Fetched, Fetcher};
use serde_json::{Map, Value};

/// How client metadata documents are taken.
#[derive(Clone, Debug)]
pub struct ClientDocumentSettings {
    /// The way out.
    pub fetcher: Arc<Fetcher>,
    /// Whose documents are taken; `None` for nobody's: then only the keys of clients that
    /// registered are fetched.
    pub domains: Option<ClientDomains>,
}

/// The documents of clients.
#[derive(Debug)]
pub(super) struct ClientDocuments {
    documents: Documents<ClientMetadata>,
    domains: ClientDomains,
    allows_loopback: bool,
    clock: Arc<dyn Clock>,
}

/// Why a client's document does not make it known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentFault {
    /// Its identifier is no URL of a document.
    #[error("client_id is not the URL of a client metadata document: {0}")]
    Url(#[from] InvalidDocumentUrl),
    /// The operator's trust policy.
    #[error("this server does not take clients of the host {0}")]
    NotTrusted(String),
    /// It cannot be had, or is not what it should be.
    #[error("the client's metadata document cannot be used: {0}")]
    Document(#[from] FetchError),
    /// Its keys cannot be had.
    #[error("the client's keys cannot be had: {0}")]
    Keys(FetchError),
}

// === impl ClientDocuments ===

impl ClientDocuments {
    pub(super) fn new(
        fetcher: Arc<Fetcher>,
        domains: ClientDomains,
        redirect_hosts: AllowedRedirectHosts,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let allows_loopback = fetcher.allows_loopback();
        let documents = Documents::new(fetcher, move |id, body| {
            read(id, body, allows_loopback, &redirect_hosts)
        });
        Self {
            documents,
            domains,
            allows_loopback,
            clock,
        }
    }

    /// The URL that the identifier is, if its host is trusted.
    pub(super) fn url(&self, id: &ClientId) -> Result<DocumentUrl, DocumentFault> {
        let url = DocumentUrl::parse(id.as_str(), self.allows_loopback)?;
        if self.domains.permit(&url) {
            Ok(url)
        } else {
            Err(DocumentFault::NotTrusted(url.host()))
        }
    }

    /// The client that the document describes, from memory or fetched for the asking network.
    pub(super) async fn find(
        &self,
        id: &ClientId,
        url: &DocumentUrl,
        asker: ClientNetwork,
    ) -> Result<Client, DocumentFault> {
        let now = self.now();
        let fetched = self
            .documents
            .get(url.as_str(), asker.address(), now)
            .await?;
        Ok(client(id, &fetched))
    }

    /// The client as this process last read its document.
    pub(super) fn known(&self, id: &ClientId) -> Option<Client> {
        let fetched = self.documents.known(id.as_str(), self.now())?;
        Some(client(id, &fetched))
    }

    /// The client by a fetch of its document that is later than the one it is known by; `None`
    /// where the last is too recent to make another.
    pub(super) async fn newer(
        &self,
        id: &ClientId,
        asker: ClientNetwork,
    ) -> Result<Option<Client>, FetchError> {
        let now = self.now();
        let Some(known) = self.documents.known(id.as_str(), now) else {
            return Ok(None);
        };
        let newer = self
            .documents
            .newer_than(known.number, id.as_str(), asker.address(), now)
            .await?;
        Ok(newer.map(|fetched| client(id, &fetched)))
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.clock.now().as_unix())
    }
}

// === impl DocumentFault ===

impl DocumentFault {
    /// Whether the document may well be had a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Url(_) | Self::NotTrusted(_) => false,
            Self::Document(error) | Self::Keys(error) => error.is_passing(),
        }
    }
}

fn read(
    id: &str,
    body: &[u8],
    allows_loopback: bool,
    hosts: &AllowedRedirectHosts,
) -> Result<ClientMetadata, String> {
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| "it is not a JSON object".to_owned())?;
    let url = DocumentUrl::parse(id, allows_loopback).map_err(|error| error.to_string())?;
    ClientMetadata::parse_document(&members, &url, hosts).map_err(|error| error.to_string())
}

fn client(id: &ClientId, fetched: &Fetched<ClientMetadata>) -> Client {
    let at = fetched.at.duration_since(SystemTime::UNIX_EPOCH);
    Client {
        id: id.clone(),
        issued_at: Timestamp::from_unix(at.unwrap_or_default().as_secs()),
        secret_hash: None,
        metadata: ClientMetadata::clone(&fetched.value),
    }
}
