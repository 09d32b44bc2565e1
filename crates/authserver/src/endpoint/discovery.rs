//! The discovery documents: authorization server (RFC 8414, and under OpenID Connect's name) and
//! protected resource (RFC 9728).

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::metadata::{AuthorizationServerMetadata, ProtectedResourceMetadata, path};
use url::Url;

use super::error;
use crate::{AuthServer, Settings, flow::resource, server::Shared};

/// Long enough to spare repeated logins the round trip, short enough that a change of the
/// configuration is seen soon.
pub(super) const MAX_AGE: Duration = Duration::from_secs(300);
pub(super) const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");
/// Longer queries are no part of a resource that anybody asks for.
const MAX_QUERY_BYTES: usize = 2048;

/// The documents' routes. An issuer with a path has them in the inserted form (RFC 8414 §3.1), in
/// the appended form (OpenID Connect Discovery §4), and at the root, since clients ask for each.
pub(super) fn routes(server: &AuthServer) -> Router<Shared> {
    let prefix = server.settings.base_url.prefix();
    let mut router = Router::new().without_v07_checks();
    for name in [path::AUTHORIZATION_SERVER, path::OPENID_CONFIGURATION] {
        let mut paths = vec![name.to_owned()];
        if !prefix.is_empty() {
            paths.extend([format!("{name}{prefix}"), format!("{prefix}{name}")]);
        }
        for path in paths {
            router = router.route(&path, get(authorization_server));
        }
    }
    let name = path::PROTECTED_RESOURCE;
    router = resource_routes(router, name);
    if !prefix.is_empty() {
        router = resource_routes(router, &format!("{prefix}{name}"));
    }
    router
}

fn resource_routes(router: Router<Shared>, path: &str) -> Router<Shared> {
    router
        .route(path, get(protected_resource))
        .route(&format!("{path}/"), get(protected_resource))
        .route(&format!("{path}/{{*below}}"), get(protected_resource))
}

async fn authorization_server(State(server): State<Shared>) -> Response {
    let metadata = &server.metadata_document;
    document(metadata.of(&server.keys.current(), |keys| {
        authorization_server_metadata(&server.settings, keys.algorithms())
    }))
}

fn authorization_server_metadata(settings: &Settings, algorithms: Vec<String>) -> Bytes {
    let mut metadata = AuthorizationServerMetadata::new(
        &settings.base_url,
        &settings.offered_scopes(),
        algorithms,
    )
    .with_pushed_requests_required(settings.require_pushed_requests)
    .with_assertion_algorithms(jose::verifying::algorithms())
    .with_client_documents(settings.takes_client_documents());
    if settings.device_flow {
        metadata = metadata.with_device_flow(&settings.base_url);
    }
    serde_json::to_vec(&metadata).unwrap_or_default().into()
}

async fn protected_resource(State(server): State<Shared>, uri: Uri) -> Response {
    let settings = &server.settings;
    let Some(resource) = asked_resource(settings, uri.path(), uri.query()) else {
        return error::not_served("no MCP server of this proxy has that path");
    };
    let metadata = ProtectedResourceMetadata::new(&settings.base_url, resource, &settings.scopes);
    document(serde_json::to_vec(&metadata).unwrap_or_default().into())
}

/// The resource whose document is asked, exactly as it was asked for (RFC 9728 §3.3): the part
/// of the path behind the well-known name stands behind the origin, or behind our prefix where
/// the name was appended to that.
fn asked_resource(settings: &Settings, path: &str, query: Option<&str>) -> Option<String> {
    let base = &settings.base_url;
    let (root, below) = if let Some(below) = path.strip_prefix(path::PROTECTED_RESOURCE) {
        (base.origin(), below)
    } else {
        let below = path.strip_prefix(base.prefix())?;
        let below = below.strip_prefix(path::PROTECTED_RESOURCE)?;
        (base.issuer().to_owned(), below)
    };
    if matches!(below, "" | "/") {
        return root_resource(settings, &root, below);
    }
    let asked = format!("{root}{below}");
    // A path that a URL parser would read as another one names nothing.
    let is_plain = Url::parse(&asked).is_ok_and(|url| url.as_str() == asked);
    resource::named(&settings.resources, &asked).filter(|_| is_plain)?;
    Some(with_query(asked, query))
}

/// What the document without a path names: the MCP server at that very place, else the only one.
fn root_resource(settings: &Settings, root: &str, below: &str) -> Option<String> {
    let is_there = |protected: &&crate::ProtectedResource| protected.resource.as_str() == root;
    if settings
        .resources
        .iter()
        .any(|protected| is_there(&protected))
    {
        // `https://host` and `https://host/` are one (RFC 3986 §6.2.3), and programs that read
        // URLs write the latter.
        let is_origin = root == settings.base_url.origin();
        let slash = if is_origin { "/" } else { below };
        return Some(format!("{root}{slash}"));
    }
    match settings.resources.as_slice() {
        [only] => Some(only.resource.as_str().to_owned()),
        _ => None,
    }
}

fn with_query(asked: String, query: Option<&str>) -> String {
    match query {
        Some(query) if (1..=MAX_QUERY_BYTES).contains(&query.len()) => {
            format!("{asked}?{query}")
        }
        _ => asked,
    }
}

/// A JSON document that may be kept for a while.
pub(super) fn document(json: Bytes) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, CACHE_CONTROL),
    ];
    (headers, json).into_response()
}
