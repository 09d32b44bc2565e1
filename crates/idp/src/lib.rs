//! Client of the upstream identity provider, and the local identity.

pub mod provider;
