//! What stands at our own address: a page for people who look there; everybody else finds nothing, as
//! at any path that is not served.

#[cfg(test)]
mod tests;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::page::address;
use crate::{
    AuthServer,
    pages::view::{Home, HomeServer},
    server::Shared,
};

/// The page, where a person's browser asks for it; else what stands behind.
pub(super) async fn or_else(
    State(server): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let asked = request.uri().path();
    let below = asked.strip_prefix(server.settings.base_url.prefix());
    let is_home = matches!(below, Some("" | "/"));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !(is_home && reads && accepts_html(request.headers())) {
        return next.run(request).await;
    }
    let mut response = server.show(StatusCode::OK, &home(&server));
    let vary = HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

fn home(server: &AuthServer) -> Home {
    let resources = server.settings.resources.iter();
    let servers = resources.map(|known| HomeServer {
        url: known.resource.as_str().to_owned(),
        link: address(known.resource.as_str()),
    });
    Home {
        title: Home::TITLE,
        servers: servers.collect(),
    }
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/html"))
}
