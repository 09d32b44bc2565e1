//! The counterparts of the end-to-end tests: things that others wrote (an OpenID provider, MCP
//! servers, MCP clients, a browser), started as processes, and a few of our own that record what
//! reaches them. Nothing here knows the product, but for [`bad_requests`], which says what it answers.

pub mod bad_requests;
pub mod browser;
pub mod certificate;
pub mod chromium;
pub mod client;
pub mod document;
pub mod html;
pub mod http;
pub mod inspector;
pub mod mcp_remote;
pub mod oauth_library;
pub mod plain_oauth;
pub mod port;
pub mod predecessor;
pub mod process;
pub mod provider;
pub mod recorder;
pub mod redis;
pub mod rotating;
pub mod sdk_client;
pub mod terminal;
pub mod tls_router;
pub mod tools;
pub mod wait;
pub mod witness;
