//! Client of the upstream identity provider, and the local identity.

pub mod local;
pub mod provider;
pub mod upstream;
