//! The life of a grant: opened by a completed login, its tokens issued, found, rotated and
//! revoked, its identity token kept fresh, once for all who wait.
//!
//! [`Grants`] is the front door; each operation has a file of its own. What a grant remembers is
//! in `record`, the pure rules over it in `line` and `rules`; `live` is a grant in memory, `cache`
//! finds it again; `refresh` asks the identity provider. Where other processes write to the store
//! too, `hearing` says how certain memory is, and `lease` who refreshes. `predecessor` judges what the
//! Node.js predecessor left, `import` takes it over, and `imported` finds its tokens again.

mod audit;
mod authenticate;
mod cache;
mod calls;
mod device;
mod hearing;
mod heart;
mod held;
mod identity;
mod import;
mod imported;
mod inspect;
mod keys;
mod lease;
mod line;
mod live;
mod lookup;
#[cfg(test)]
mod machines;
mod messages;
mod open;
mod patience;
mod predecessor;
mod record;
mod redeem;
mod refresh;
mod revoke;
mod rotate;
mod rules;
mod session;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;

pub use device::{
    DecideError, DeviceAuthorization, DevicePoll, DevicePollError, DeviceRequest, WaitingDevice,
};
pub use heart::Grants;
pub use inspect::{InspectError, Inspection, TokenKind};
pub use messages::{
    AuthenticateError, CompletedLogin, GrantSettings, IssuedTokens, Redemption, RevokeError,
    Rotation, TokenError,
};
pub use predecessor::{
    OldSession, PredecessorSource, TakeOverError, TakenClient, TakenOver, Unfit, UnfitClient,
    client_of,
};
pub use session::{IdentityError, IdentityToken, Session};
