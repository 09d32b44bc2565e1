//! Client of the upstream identity provider, and the local identity.
//!
//! The protocol messages are thin types of our own over reqwest: lenient where providers of real
//! life differ, strict where a signature, an issuer or an audience decides.

mod http;
pub mod local;
pub mod provider;
mod text;
pub mod upstream;

pub use http::{HttpClientError, http_client};
