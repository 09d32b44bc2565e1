//! `/healthz` and `/readyz`: for routers and supervisors, outside of every other rule.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::metadata::path;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use store::Store;
use tokio::time::timeout;

use super::EdgeBody;

/// How long the store may take to answer before this process counts as not ready.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// What is known of this process's health.
#[derive(Debug)]
pub(crate) struct Health {
    store: Arc<dyn Store>,
    draining: AtomicBool,
}

// === impl Health ===

impl Health {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on new work should go elsewhere.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The answer, if the request is for one of the two paths.
    pub(super) async fn answer<B>(
        &self,
        request: &Request<B>,
        prefix: &str,
    ) -> Option<Response<EdgeBody>> {
        let asked = request.uri().path();
        let is_live = match asked.strip_prefix(prefix).unwrap_or(asked) {
            path::LIVENESS => true,
            path::READINESS => false,
            _ => return None,
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        if is_live {
            return Some(text(StatusCode::OK, "ok\n"));
        }
        Some(match self.obstacle().await {
            None => text(StatusCode::OK, "ready\n"),
            Some(obstacle) => text(StatusCode::SERVICE_UNAVAILABLE, obstacle),
        })
    }

    async fn obstacle(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("draining\n");
        }
        // Any read tells whether the store answers; nobody has this id.
        match timeout(STORE_PATIENCE, self.store.load_interaction(&[0; 16])).await {
            Ok(Ok(_)) => None,
            Ok(Err(_)) | Err(_) => Some("the store does not answer\n"),
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::from(text.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
