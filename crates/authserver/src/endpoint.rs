//! The endpoints: each reads a request, asks `flow`, and renders the answer.

pub(crate) mod bearer;
pub(crate) mod cross_origin;
pub(crate) mod error;
pub(crate) mod parameters;

mod authorize;
#[cfg(test)]
mod bad_requests;
mod browser;
mod callback;
mod client_credentials;
mod device;
mod device_authorization;
mod discovery;
mod home;
mod interaction;
mod introspection;
mod jwks;
mod page;
mod pushed;
mod registration;
mod registration_management;
mod revocation;
mod session;
mod token;
mod userinfo;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, Path},
    http::{HeaderName, HeaderValue, header, request::Parts},
    middleware,
    routing::{get, post},
};
use domain::metadata::path;

pub(crate) use browser::browser_routes;
pub use jwks::JWKS_MAX_AGE;
pub(crate) use jwks::KeyDocument;

use crate::AuthServer;

/// Bound of every request body in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;

/// The one segment of a path that is not fixed, decoded. Empty where it is not UTF-8: no id is
/// that, so it is answered as one that nobody has.
pub(crate) struct Segment(pub(crate) String);

/// What MCP clients ask: discovery, registration, tokens, keys; open to scripts of any origin.
pub(crate) fn machine_routes(server: Arc<AuthServer>) -> Router {
    let prefix = server.settings.base_url.prefix();
    let below = |path: &str| format!("{prefix}{path}");
    let mut router = Router::new()
        .without_v07_checks()
        .route(&below(path::TOKEN), post(token::token))
        .route(&below(path::INTROSPECTION), post(introspection::introspect))
        .route(&below(path::REVOCATION), post(revocation::revoke))
        .route(&below(path::PUSHED_AUTHORIZATION), post(pushed::push))
        .route(&below(path::REGISTRATION), post(registration::register))
        .route(
            &below(path::REGISTRATION_ALIAS),
            post(registration::register),
        )
        .route(&below(path::JWKS), get(jwks::jwks));
    if server.settings.registration.management {
        let below = below(&format!("{}/{{client_id}}", path::REGISTRATION));
        router = router.route(&below, registration_management::methods());
    }
    // As in the metadata: without `openid` there is nobody whom it could answer.
    if server.settings.offered_scopes().contains("openid") {
        let userinfo = get(userinfo::userinfo).post(userinfo::userinfo);
        router = router.route(&below(path::USERINFO), userinfo);
    }
    if server.settings.device_flow {
        router = router.route(
            &below(path::DEVICE_AUTHORIZATION),
            post(device_authorization::authorize),
        );
    }
    if !prefix.is_empty() {
        router = router
            .route(path::TOKEN, post(token::token))
            .route(path::REGISTRATION_ALIAS, post(registration::register));
    }
    router
        .merge(discovery::routes(&server))
        .with_state(server)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(cross_origin::open_to_all))
}

/// What answers where nothing is served: readable for scripts too, since browser clients probe
/// for documents and would see a CORS error in place of the 404. People find a page at our own address.
pub(crate) fn fallback(server: Arc<AuthServer>) -> Router {
    Router::new()
        .fallback(error::not_found)
        .layer(middleware::from_fn(cross_origin::open_to_all))
        .layer(middleware::from_fn_with_state(server, home::or_else))
}

/// Headers of machine answers that nobody may keep (RFC 6749 §5.1).
fn never_stored() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ]
}

/// `Retry-After` in whole seconds; who comes back at once only finds the same.
fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().max(1))
}

// === impl Segment ===

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let decoded = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(decoded.map(|Path(text)| text).unwrap_or_default()))
    }
}
