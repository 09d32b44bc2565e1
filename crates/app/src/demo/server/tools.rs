//! The tools.

use std::time::Duration;

use http::request::Parts;
use rmcp::{
    Peer, RoleServer, ServerHandler,
    handler::server::{tool::Extension, wrapper::Parameters},
    model::{
        CallToolResult, ContentBlock, Implementation, ProgressNotificationParam, RequestMetaObject,
        ServerCapabilities, ServerConfig,
    },
    tool, tool_handler, tool_router,
};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::seen;

const LARGEST_COUNT: u32 = 1_000;
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_INTERVAL_MS: u64 = 300;

const INSTRUCTIONS: &str = "The built-in MCP server of the demo of MCP Auth Proxy. `whoami` shows \
                            what reaches a server behind the proxy.";

/// The demo's tools. They know nothing but the request at hand.
#[derive(Clone, Debug)]
pub(super) struct DemoTools;

#[derive(Debug, Deserialize, JsonSchema)]
struct EchoArguments {
    /// What comes back.
    message: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct AddArguments {
    /// One number.
    a: f64,
    /// The other number.
    b: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct CountArguments {
    /// Where to stop, from 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    to: u32,
    /// Pause before each number, in milliseconds, at most 10000.
    #[schemars(range(max = 10_000))]
    #[serde(default = "default_interval")]
    interval_ms: u64,
}

fn default_interval() -> u64 {
    DEFAULT_INTERVAL_MS
}

// === impl DemoTools ===

impl DemoTools {
    pub(super) fn new() -> Self {
        Self
    }
}

#[tool_router]
impl DemoTools {
    #[tool(
        description = "Shows who is calling, as the proxy tells it, and the headers that arrived.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn whoami(Extension(request): Extension<Parts>) -> CallToolResult {
        CallToolResult::structured(seen::describe(&request.headers))
    }

    #[tool(
        description = "Returns the message.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn echo(Parameters(arguments): Parameters<EchoArguments>) -> String {
        arguments.message
    }

    #[tool(
        description = "Adds two numbers.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    fn add(Parameters(arguments): Parameters<AddArguments>) -> String {
        (arguments.a + arguments.b).to_string()
    }

    #[tool(
        description = "Counts, and streams a progress notification for each number.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn count(
        Parameters(arguments): Parameters<CountArguments>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
        cancelled: CancellationToken,
    ) -> CallToolResult {
        let CountArguments { to, interval_ms } = arguments;
        let interval = Duration::from_millis(interval_ms);
        if to == 0 || to > LARGEST_COUNT || interval > LONGEST_INTERVAL {
            return CallToolResult::error(vec![ContentBlock::text(
                "`to` is from 1 to 1000, `interval_ms` is at most 10000",
            )]);
        }
        let token = meta.get_progress_token();
        for number in 1..=to {
            tokio::select! {
                () = sleep(interval) => {}
                () = cancelled.cancelled() => {
                    return CallToolResult::error(vec![ContentBlock::text("cancelled")]);
                }
            }
            // Without a token the client has asked for no progress (MCP, "Progress").
            if let Some(token) = token.clone() {
                let progress = ProgressNotificationParam::new(token, f64::from(number))
                    .with_total(f64::from(to))
                    .with_message(format!("{number} of {to}"));
                if client.notify_progress(progress).await.is_err() {
                    break;
                }
            }
        }
        CallToolResult::success(vec![ContentBlock::text(format!("counted to {to}"))])
    }
}

#[tool_handler]
impl ServerHandler for DemoTools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(
                "mcp-auth-proxy-demo",
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions(INSTRUCTIONS)
    }
}
