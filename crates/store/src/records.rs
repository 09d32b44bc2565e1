//! All records of a store, apart from how an engine keeps them: to move them into another store.

mod transfer;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use domain::{
    id::{ClientId, GrantId},
    time::Timestamp,
};

use crate::StoreUnavailable;

pub use self::transfer::{Begun, Counted, NotMoved, Transfer, TransferOptions, abandon};

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A grant, or the tombstone of one that was ended.
    Grant,
    /// The identity session of a grant.
    Identity,
    /// A grant under the name of its holder.
    Holder,
    /// The registration of a client.
    Client,
    /// A device that waits for its grant.
    Device,
    /// A user code that leads to a device.
    UserCode,
    /// A login under way.
    Interaction,
    /// The state of a login.
    State,
    /// What counts once.
    Mark,
    /// A token of the predecessor that was taken over.
    Imported,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// See [`Kind::Client`].
    Client {
        /// Its name.
        client: ClientId,
        /// What it registered.
        registration: Vec<u8>,
        /// Where it stands among those that never led to a login, the first to go first; 0 once it
        /// did.
        unused_order: u64,
    },
    /// See [`Kind::Grant`]; value with its header.
    Grant(GrantId, Vec<u8>),
    /// See [`Kind::Identity`]; value with its version.
    Identity(GrantId, Vec<u8>),
    /// See [`Kind::Holder`].
    Holder([u8; 32], GrantId),
    /// See [`Kind::Device`]; value with its header.
    Device(GrantId, Vec<u8>),
    /// See [`Kind::UserCode`].
    UserCode([u8; 16], GrantId),
    /// See [`Kind::Interaction`].
    Interaction([u8; 16], Vec<u8>),
    /// See [`Kind::State`].
    State([u8; 32], [u8; 16]),
    /// See [`Kind::Mark`].
    Mark([u8; 32]),
    /// See [`Kind::Imported`].
    Imported([u8; 32], Vec<u8>),
}

/// A record that has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRecord {
    /// The record.
    pub record: Record,
    /// What is left of its life.
    pub life: Duration,
}

/// A record that cannot be read: it is not what was written, or of a later release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// What it is of.
    pub kind: String,
    /// Its name: an id or a hash, nothing secret.
    pub name: String,
}

/// Some records of a store.
#[derive(Debug, Default)]
pub struct Page {
    /// Those that can be read.
    pub records: Vec<LiveRecord>,
    /// The others.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Position>,
}

/// A place between two pages, as the engine names it.
#[derive(Clone, Debug)]
pub struct Position(pub(crate) Vec<u8>);

/// What a move says of a store, so that no proxy takes it for whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveMark {
    /// Which move it was.
    pub id: MoveId,
    /// Where from or where to.
    pub state: MoveState,
    /// When it was marked.
    pub at: Timestamp,
    /// The other store, for people.
    pub place: String,
}

/// Names a move.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MoveId(pub [u8; 16]);

/// What a store is to a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveState {
    /// All its records stand in another store.
    Away,
    /// It is being filled, or that was interrupted.
    Arriving,
}

/// A store whose records can be moved. Not for one that a proxy uses meanwhile.
#[async_trait]
pub trait Records: Send + Sync + fmt::Debug {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// About how many records there are, expired ones and those of others included.
    async fn estimate(&self) -> Result<u64, StoreUnavailable>;

    /// Some records, from the beginning or from where the page before ended. Each record that
    /// stays is on some page; an engine may show one twice.
    async fn read_page(&self, from: Option<&Position>) -> Result<Page, StoreUnavailable>;

    /// Puts records into the store, in the place of any of the same name.
    async fn write_page(&self, records: Vec<LiveRecord>) -> Result<(), StoreUnavailable>;

    /// Forgets everything but the mark of a move.
    async fn erase(&self) -> Result<(), StoreUnavailable>;

    /// The mark of a move, if there is one.
    async fn move_mark(&self) -> Result<Option<MoveMark>, StoreUnavailable>;

    /// Sets the mark, or takes it off.
    async fn set_move_mark(&self, mark: Option<&MoveMark>) -> Result<(), StoreUnavailable>;
}

// === impl Kind ===

impl Kind {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 10] = [
        Self::Grant,
        Self::Identity,
        Self::Holder,
        Self::Client,
        Self::Device,
        Self::UserCode,
        Self::Interaction,
        Self::State,
        Self::Mark,
        Self::Imported,
    ];

    /// For people.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Grant => "grants, ended ones included",
            Self::Identity => "identity sessions",
            Self::Holder => "grants by their holder",
            Self::Client => "registered clients",
            Self::Device => "devices that wait",
            Self::UserCode => "user codes",
            Self::Interaction => "logins under way",
            Self::State => "states of logins",
            Self::Mark => "marks of what counts once",
            Self::Imported => "tokens that were taken over",
        }
    }
}

// === impl Record ===

impl Record {
    /// What it is of.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Client { .. } => Kind::Client,
            Self::Grant(..) => Kind::Grant,
            Self::Identity(..) => Kind::Identity,
            Self::Holder(..) => Kind::Holder,
            Self::Device(..) => Kind::Device,
            Self::UserCode(..) => Kind::UserCode,
            Self::Interaction(..) => Kind::Interaction,
            Self::State(..) => Kind::State,
            Self::Mark(_) => Kind::Mark,
            Self::Imported(..) => Kind::Imported,
        }
    }
}

// === impl MoveMark ===

impl MoveMark {
    /// As an engine keeps it: words, so that it can be read with the server's own tools too.
    pub(crate) fn encode(&self) -> String {
        let state = match self.state {
            MoveState::Away => "away",
            MoveState::Arriving => "arriving",
        };
        let (id, at, place) = (self.id, self.at.as_unix(), &self.place);
        format!("{state} {id} {at} {place}")
    }

    pub(crate) fn decode(text: &str) -> Result<Self, StoreUnavailable> {
        Self::parse(text).ok_or_else(|| {
            StoreUnavailable("the mark of a move is none that this release can read".to_owned())
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let state = match words.next()? {
            "away" => MoveState::Away,
            "arriving" => MoveState::Arriving,
            _ => return None,
        };
        let id = u128::from_str_radix(words.next()?, 16).ok()?;
        Some(Self {
            id: MoveId(id.to_be_bytes()),
            state,
            at: Timestamp::from_unix(words.next()?.parse().ok()?),
            place: words.next()?.to_owned(),
        })
    }
}

// === impl MoveId ===

impl fmt::Display for MoveId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for MoveId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MoveId({self})")
    }
}
