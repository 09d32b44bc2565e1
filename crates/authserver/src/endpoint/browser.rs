//! The routes that browsers ask, and what is read of each such request.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRequestParts, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use domain::request::RequestContext;
use http::{StatusCode, header, request::Parts};

use super::{authorize, callback, device, interaction, session};
use crate::{AuthServer, cookie, flow::browser::BrowserId, server::Shared};

/// Bound of a form or of the parameters that come by POST: they become a query.
const MAX_FORM_BYTES: usize = 16 << 10;

/// Where each page is found.
pub(super) mod path {
    pub(crate) use domain::metadata::path::{
        AUTHORIZATION, AUTHORIZATION_ALIAS, DEVICE, END_SESSION, ICON,
    };

    use crate::{AuthServer, flow::interaction::InteractionId};

    pub(crate) const INTERACTION: &str = "/interaction/{uid}";
    pub(crate) const CONFIRM: &str = "/interaction/{uid}/confirm-login";
    pub(crate) const LOGIN: &str = "/interaction/{uid}/login";
    pub(crate) const ABORT: &str = "/interaction/{uid}/abort";
    pub(crate) const SESSION_END_CONFIRM: &str = "/session/end/confirm";
    pub(crate) const SESSION_END_SUCCESS: &str = "/session/end/success";
    pub(crate) const SESSION_RESET: &str = "/session/reset";
    pub(crate) const SESSION_RESET_DONE: &str = "/session/reset/done";
    /// The predecessor's inner hop; nothing leads there now, and it does no harm.
    pub(crate) const UNIQUE_CALLBACK: &str = "/interaction/{uid}/identity/callback";

    /// The address of an interaction's page.
    pub(crate) fn of(server: &AuthServer, path: &str, id: InteractionId) -> String {
        let path = path.replace("{uid}", &id.to_string());
        format!("{}{path}", server.settings.base_url.prefix())
    }
}

/// What is known of a browser's request.
pub(super) struct Visit {
    pub(super) context: RequestContext,
    /// The browser, if it bears our cookie.
    pub(super) browser: Option<BrowserId>,
    pub(super) user_agent: String,
    /// Whether a page of ours sent it.
    pub(super) is_sent_by_us: bool,
    /// Whether the request was counted against its address.
    pub(super) is_charged: bool,
}

/// The routes of pages, without our prefix: the router of the whole server puts them below it.
/// They bring no fallback of their own.
pub(crate) fn browser_routes(server: Arc<AuthServer>) -> Router {
    let callback = get(callback::arrive).post(callback::arrive_by_form);
    // Braces would be captures.
    let callback_path = server
        .settings
        .callback_path
        .replace('{', "{{")
        .replace('}', "}}");
    let device_flow = server.settings.device_flow;
    let authorize = get(authorize::begin).post(authorize::begin_by_form);
    let mut router = Router::new()
        // A segment of the callback path may begin with `:` or `*`.
        .without_v07_checks()
        .route(path::AUTHORIZATION, authorize.clone())
        .route(path::AUTHORIZATION_ALIAS, authorize)
        .route(path::INTERACTION, get(interaction::show))
        .route(path::CONFIRM, post(interaction::confirm))
        .route(path::LOGIN, post(interaction::log_in))
        .route(
            path::ABORT,
            get(interaction::abort).post(interaction::abort_by_form),
        )
        .route(path::UNIQUE_CALLBACK, callback.clone())
        .route(&callback_path, callback)
        .route(
            path::END_SESSION,
            get(session::end).post(session::end_by_form),
        )
        .route(path::SESSION_END_CONFIRM, post(session::confirm))
        .route(path::SESSION_END_SUCCESS, get(session::success))
        .route(path::SESSION_RESET, get(session::reset))
        .route(path::SESSION_RESET_DONE, get(session::reset_done))
        .route(path::ICON, get(icon));
    if device_flow {
        router = router.route(path::DEVICE, get(device::show).post(device::submit));
    }
    router
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(server)
}

async fn icon(State(server): State<Shared>) -> Response {
    match server.pages.icon() {
        Some(icon) => (
            [(header::CACHE_CONTROL, "public, max-age=86400")],
            Redirect::temporary(icon),
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

// === impl Visit ===

impl FromRequestParts<Shared> for Visit {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, server: &Shared) -> Result<Self, StatusCode> {
        let base = &server.settings.base_url;
        let context = parts
            .extensions
            .get::<RequestContext>()
            .cloned()
            .ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Self {
            context,
            browser: cookie::read(&parts.headers, base),
            user_agent: parts
                .headers
                .get(header::USER_AGENT)
                .and_then(|agent| agent.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            is_sent_by_us: cookie::is_sent_by_us(&parts.headers, base),
            is_charged: false,
        })
    }
}
