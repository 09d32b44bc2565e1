//! What MCP clients and browsers talk to: discovery, registration, authorization, login, tokens.
//!
//! `endpoint` parses and renders; `flow` decides and knows no web framework.

pub mod pages;

mod clients;
mod cookie;
mod endpoint;
mod flow;
mod limits;
mod per_keys;
mod server;
#[cfg(test)]
mod testing;

pub use clients::{
    documents::ClientDocumentSettings,
    predecessor::{ClientSuccession, ClientTakeOverError, ClientTakenOver},
};
pub use endpoint::JWKS_MAX_AGE;
pub use flow::introspection::MCP_SERVER_CLIENT_ID;
pub use server::{
    AuthServer, Limits, PreregisteredClient, ProtectedResource, Registration, ScopeDetail,
    Settings, router,
};
