//! What the Node.js predecessor left behind, as it wrote it. Only ever read.
//!
//! It kept its records by the Redis adapter that npm `oidc-provider` gives as an example:
//! under a prefix a key `<model>:<id>` for each record; JSON texts, and for models that can be
//! consumed hashes with the JSON as `payload` and, once consumed, when that was.

use std::fmt;

use async_trait::async_trait;
use domain::secret::SecretString;

use crate::StoreUnavailable;

/// The records that are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKind {
    /// A registered client, and beside its metadata the identity tokens of its last login.
    Client,
    /// What a user granted to a client.
    Grant,
    /// An access token; its id is the token itself.
    AccessToken,
    /// A refresh token; its id is the token itself.
    RefreshToken,
    /// A login session of a browser.
    Session,
    /// From the public id of a session to its id; the text is no JSON.
    SessionUid,
}

/// One record.
#[derive(Clone, Debug)]
pub struct OldRecord {
    /// JSON, if it is as it should be. Holds secrets.
    pub text: SecretString,
    /// When it was consumed, in Unix seconds.
    pub consumed: Option<u64>,
}

/// Names of records, some at a time.
#[derive(Debug, Default)]
pub struct OldNames {
    /// Kind and id of each record of use; an id may be a secret.
    pub names: Vec<(OldKind, SecretString)>,
    /// How many keys were looked at for them, about.
    pub looked_at: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
}

/// Reads what the predecessor left behind.
#[async_trait]
pub trait Predecessor: Send + Sync + fmt::Debug {
    /// Whether there may be records of its. Costs little however often it is asked.
    async fn may_be_there(&self) -> Result<bool, StoreUnavailable>;

    /// Reads a record; one that has expired is gone.
    async fn find(&self, kind: OldKind, id: &str) -> Result<Option<OldRecord>, StoreUnavailable>;

    /// Goes through all records from a place on (0: the beginning). What is there from the
    /// beginning to the end is named at least once.
    async fn names(&self, from: u64) -> Result<OldNames, StoreUnavailable>;

    /// About how many keys there are to go through.
    async fn size(&self) -> Result<u64, StoreUnavailable>;
}

// === impl OldKind ===

impl OldKind {
    /// What stands before the id in its key.
    pub const fn model(self) -> &'static str {
        match self {
            Self::Client => "Client",
            Self::Grant => "Grant",
            Self::AccessToken => "AccessToken",
            Self::RefreshToken => "RefreshToken",
            Self::Session => "Session",
            Self::SessionUid => "uid",
        }
    }

    /// The kind of a record that is named by `key`, without the prefix, and its id; `None` for one
    /// that is of no use by itself.
    pub fn of_key(key: &str) -> Option<(Self, &str)> {
        let (model, id) = key.split_once(':')?;
        [
            Self::Client,
            Self::Grant,
            Self::AccessToken,
            Self::RefreshToken,
        ]
        .into_iter()
        .find(|kind| kind.model() == model)
        .filter(|_| !id.is_empty())
        .map(|kind| (kind, id))
    }
}
