//! The words and rules of the proxy: identifiers, secrets, scopes, resources, redirect URIs,
//! PKCE, client metadata, credentials and OAuth errors.
//!
//! Nothing here does I/O, awaits, or reads a clock: time and randomness enter as arguments.

pub mod address;
pub mod base_url;
pub mod bearer;
pub mod claims;
pub mod client;
pub mod credential;
pub mod id;
pub mod metadata;
pub mod oauth_error;
pub mod pkce;
pub mod random;
pub mod rate;
pub mod redirect_uri;
pub mod request;
pub mod resource;
pub mod scope;
pub mod secret;
pub mod time;
pub mod user_code;
