//! The edge: what every request passes, in this order, before anybody answers it.
//!
//! 1. [`context`]: who asks (an id for the log, the address that counts).
//! 2. [`strict`]: requests that two programs could read differently are refused.
//! 3. [`health`]: answers without any rule, for routers and supervisors.
//! 4. [`scheme`]: plain HTTP is sent to HTTPS where a router stands before us.
//! 5. The MCP endpoint goes to the gateway, before any router looks at it; everything else to the
//!    authorization server's routes.
//!
//! On the way back each answer gets its `X-Request-Id`, and HSTS where people come by HTTPS.

mod body;
mod context;
mod health;
mod scheme;
mod strict;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use authserver::AuthServer;
use axum::Router;
use domain::{base_url::BaseUrl, random::Random, request::RequestContext};
use gateway::Gateway;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tower::ServiceExt as _;

pub(crate) use self::{body::EdgeBody, health::Health};
use crate::config::TrustedProxies;

/// One year, as browsers ask of a lasting promise (RFC 6797 §6.1.1).
const STRICT_TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");
const X_REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// How long the body of a request to our own endpoints may take to arrive: some kilobytes.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// What every request passes.
#[derive(Debug)]
pub(crate) struct Edge {
    base_url: BaseUrl,
    local_insecure: bool,
    trusted_proxies: TrustedProxies,
    health: Arc<Health>,
    gateway: Gateway,
    routes: Router,
    random: Arc<dyn Random>,
}

/// How the edge treats a request.
#[derive(Debug)]
pub(crate) struct EdgeSettings {
    /// Our public URL.
    pub(crate) base_url: BaseUrl,
    /// Plain HTTP on loopback is fine.
    pub(crate) local_insecure: bool,
    /// Whose `X-Forwarded-*` count.
    pub(crate) trusted_proxies: TrustedProxies,
}

// === impl Edge ===

impl Edge {
    pub(crate) fn new(
        settings: EdgeSettings,
        health: Arc<Health>,
        gateway: Gateway,
        authserver: Arc<AuthServer>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            base_url: settings.base_url,
            local_insecure: settings.local_insecure,
            trusted_proxies: settings.trusted_proxies,
            health,
            gateway,
            routes: authserver::router(authserver),
            random,
        }
    }

    /// Answers one request of a peer.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<EdgeBody> {
        let forwarded =
            context::Forwarded::read(request.headers(), peer.ip(), &self.trusted_proxies);
        let context = RequestContext::new(
            context::request_id(request.headers(), &forwarded, self.random.as_ref()),
            forwarded.address(),
        );
        let id = HeaderValue::from_str(&context.id);
        let mut response = self.dispatch(request, context, &forwarded).await;
        let headers = response.headers_mut();
        if let Ok(id) = id {
            headers.insert(X_REQUEST_ID, id);
        }
        if !self.local_insecure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        }
        response
    }

    async fn dispatch(
        &self,
        mut request: Request<Incoming>,
        context: RequestContext,
        forwarded: &context::Forwarded,
    ) -> Response<EdgeBody> {
        if let Err(refusal) = strict::check(&request) {
            tracing::info!(
                request.id = %context.id,
                reason = %refusal,
                "refused a malformed request"
            );
            return refusal.into_response();
        }
        if let Some(response) = self.health.answer(&request, self.base_url.prefix()).await {
            return response;
        }
        if !self.local_insecure && !forwarded.is_https() {
            return scheme::to_https(&request, &self.base_url);
        }
        if self.gateway.serves(request.uri().path()) {
            return self
                .gateway
                .handle(request, &context)
                .await
                .map(EdgeBody::from);
        }
        request.extensions_mut().insert(context.clone());
        self.route(request, &context).await
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        context: &RequestContext,
    ) -> Response<EdgeBody> {
        let start = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let request =
            request.map(|body| axum::body::Body::new(body::TimelyBody::new(body, BODY_WITHIN)));
        let response = match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The query stays out: it may hold a code or state.
        tracing::debug!(
            target: "mcp_auth_proxy::http",
            {
                request.id = %context.id,
                client.address = %context.address,
                status,
                duration_ms,
            },
            "answered {method} {path} with {status}"
        );
        response.map(EdgeBody::from)
    }
}
