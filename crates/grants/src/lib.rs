//! The life of a grant: opened by a completed login, its tokens issued, found, rotated and
//! revoked, its identity token kept fresh, once for all who wait.

mod heart;
mod messages;
mod session;

pub use heart::Grants;
pub use messages::{
    AuthenticateError, CompletedLogin, GrantSettings, IssuedTokens, Redemption, RevokeError,
    Rotation, TokenError,
};
pub use session::{IdentityError, IdentityToken, Session};
