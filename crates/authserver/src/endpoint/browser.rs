//! The routes that browsers ask.

use std::sync::Arc;

use axum::Router;

use crate::AuthServer;

/// The routes of pages, without our prefix: the router of the whole server puts them below it.
/// They bring no fallback of their own.
pub(crate) fn browser_routes(_server: Arc<AuthServer>) -> Router {
    Router::new()
}
