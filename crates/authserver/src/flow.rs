//! The decisions, without a word of HTTP.

pub(crate) mod answer;
pub(crate) mod authorize;
pub(crate) mod browser;
pub(crate) mod client_assertion;
pub(crate) mod client_authentication;
pub(crate) mod device;
pub(crate) mod guesses;
pub(crate) mod interaction;
pub(crate) mod introspection;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod patience;
pub(crate) mod pushed;
pub(crate) mod registration;
pub(crate) mod registration_management;
pub(crate) mod resource;
pub(crate) mod revocation;
pub(crate) mod token;
pub(crate) mod userinfo;

mod id_token;
