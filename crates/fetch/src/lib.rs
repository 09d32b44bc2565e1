//! The only way out to a URL that others may choose: client metadata documents and clients' keys.
//!
//! [`Fetcher`] is the fence: https only, public addresses only (checked on the address that is
//! connected to), no redirects, no proxies, no cookies, small bounds, short times. [`Documents`]
//! remembers what was fetched and read, by the rules of HTTP within bounds of its own.

mod connect;
mod documents;
mod error;
mod exchange;
mod fetcher;
mod guard;
mod limits;
mod target;
#[cfg(test)]
mod testing;

pub use documents::{Documents, Fetched};
pub use error::FetchError;
pub use fetcher::{FetchSettings, Fetcher, UnusableTrust};
pub use guard::is_public;
