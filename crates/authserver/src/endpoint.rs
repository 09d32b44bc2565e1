//! The endpoints: each reads a request, asks `flow`, and renders the answer.

pub(crate) mod cross_origin;
pub(crate) mod error;
pub(crate) mod parameters;

mod browser;

pub(crate) use browser::browser_routes;

/// Bound of every request body in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;
