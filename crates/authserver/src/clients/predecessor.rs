//! Clients that registered with the Node.js predecessor: known here too, by the same identifier and
//! with the same secret.

use std::{fmt, sync::Arc};

use domain::{client::Client, id::ClientId, redirect_uri::AllowedRedirectHosts, time::Clock};
use grants::{UnfitClient, client_of};
use store::{
    Store, StoreUnavailable,
    predecessor::{OldKind, Predecessor},
};

use super::{UNUSED_LIFE, USED_LIFE, encode};

/// Takes over the registrations of clients.
#[derive(Clone)]
pub struct ClientSuccession {
    records: Arc<dyn Predecessor>,
    store: Arc<dyn Store>,
    redirect_hosts: AllowedRedirectHosts,
    clock: Arc<dyn Clock>,
}

/// What became of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTakenOver {
    /// It is registered here now.
    Now {
        /// What our rules do not allow, and so was left out of its registration.
        left_out: Vec<String>,
    },
    /// It was registered here before.
    Before,
}

/// Why a client is not taken over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientTakeOverError {
    /// The predecessor did not know it.
    #[error("it is not on record")]
    Absent,
    /// It has to register anew.
    #[error(transparent)]
    Unfit(#[from] UnfitClient),
    /// A passing fault of a store.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Longest identifier that the predecessor gave out, with room for more; ours are made differently,
/// and nobody asks for one of another form.
const MAX_ID_CHARS: usize = 64;

// === impl ClientSuccession ===

impl ClientSuccession {
    /// From records of the predecessor into our store.
    pub fn new(
        records: Arc<dyn Predecessor>,
        store: Arc<dyn Store>,
        redirect_hosts: AllowedRedirectHosts,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            records,
            store,
            redirect_hosts,
            clock,
        }
    }

    /// Looks whether a client could be taken over, and what would be left out. Writes nothing.
    ///
    /// # Errors
    /// See [`ClientTakeOverError`].
    pub async fn look(&self, id: &ClientId) -> Result<Vec<String>, ClientTakeOverError> {
        Ok(self.read(id).await?.left_out)
    }

    /// Takes a client over that has sessions: its registration outlives them. Done again it changes
    /// nothing but that it is kept for longer.
    ///
    /// # Errors
    /// See [`ClientTakeOverError`].
    pub async fn take_over(&self, id: &ClientId) -> Result<ClientTakenOver, ClientTakeOverError> {
        if self.store.extend_client(id, USED_LIFE).await? {
            return Ok(ClientTakenOver::Before);
        }
        let taken = self.read(id).await?;
        self.register(&taken.client).await?;
        self.store.extend_client(id, USED_LIFE).await?;
        Ok(ClientTakenOver::Now {
            left_out: taken.left_out,
        })
    }

    /// Takes over a client that asks for something here, if the predecessor knew it.
    pub(super) async fn find(&self, id: &ClientId) -> Result<Option<Client>, StoreUnavailable> {
        if !is_old_id(id) || !self.records.may_be_there().await? {
            return Ok(None);
        }
        match self.read(id).await {
            Ok(taken) => {
                self.register(&taken.client).await?;
                tracing::info!(
                    client.id = %id,
                    left.out = taken.left_out.join("; "),
                    "a client of the predecessor was taken over"
                );
                Ok(Some(taken.client))
            }
            Err(ClientTakeOverError::Absent) => Ok(None),
            Err(ClientTakeOverError::Unfit(reason)) => {
                tracing::info!(
                    client.id = %id, %reason,
                    "a client of the predecessor is not taken over; it has to register anew"
                );
                Ok(None)
            }
            Err(ClientTakeOverError::Unavailable(fault)) => Err(fault),
        }
    }

    async fn read(&self, id: &ClientId) -> Result<grants::TakenClient, ClientTakeOverError> {
        let record = self.records.find(OldKind::Client, id.as_str()).await?;
        let record = record.ok_or(ClientTakeOverError::Absent)?;
        let now = self.clock.now();
        Ok(client_of(id, &record, &self.redirect_hosts, now)?)
    }

    async fn register(&self, client: &Client) -> Result<(), StoreUnavailable> {
        let record = encode(client, None)?;
        self.store
            .register_client(&client.id, record, UNUSED_LIFE)
            .await
    }
}

impl fmt::Debug for ClientSuccession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientSuccession")
    }
}

fn is_old_id(id: &ClientId) -> bool {
    let id = id.as_str();
    id.len() <= MAX_ID_CHARS
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
