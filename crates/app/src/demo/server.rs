//! The small MCP server behind the demo: shows what arrives behind the proxy, and streams.

use std::{io, net::Ipv4Addr, sync::Arc};

use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::tools::DemoTools;

mod seen;
mod tools;

#[cfg(test)]
mod tests;

/// Where it answers, as most MCP servers do.
pub(super) const PATH: &str = "/mcp";

/// The server, running in this process.
#[derive(Debug)]
pub(crate) struct DemoServer {
    /// Where it answers.
    pub(crate) url: Url,
    /// Ends some time after the token given to [`start`].
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests wait for its end"))]
    pub(crate) task: JoinHandle<()>,
}

/// Starts the server on a free loopback port, until `closing`.
///
/// It keeps no MCP sessions: a client that was connected before a restart of the demo goes on
/// without noticing. Its check of `Host` stays on; the proxy names the server there.
///
/// # Errors
/// If there is no free port.
pub(crate) async fn start(closing: CancellationToken) -> io::Result<DemoServer> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let url = Url::parse(&format!("http://{address}{PATH}")).map_err(io::Error::other)?;

    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_cancellation_token(closing.child_token());
    let service = StreamableHttpService::new(
        || Ok(DemoTools::new()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let router = axum::Router::new().nest_service(PATH, service);
    let task = tokio::spawn(async move {
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::error!(cause = %error, "the demo's MCP server has ended");
        }
    });
    Ok(DemoServer { url, task })
}
