//! One event per call, at its end, however it ends.

use std::{fmt, sync::Arc};

use domain::request::RequestContext;
use grants::Session;
use http::{Method, StatusCode, uri::PathAndQuery};
use tokio::time::Instant;

/// The target that the log maps to its level `http`, but for failures.
const TARGET: &str = "mcp_auth_proxy::http";

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer was given in full.
    Complete,
    /// The MCP server broke off its answer.
    CutByServer,
    /// The grant ended while the answer was under way.
    GrantEnded,
    /// This process is about to end.
    Drained,
    /// The client went away.
    Cancelled,
}

/// What is known of a call; written when it ends, or when it is dropped.
#[derive(Debug)]
pub(crate) struct CallLog {
    request: Arc<str>,
    method: Method,
    /// Written without its query, which may hold anything.
    path: PathAndQuery,
    session: Option<Session>,
    status: Option<StatusCode>,
    cause: Option<String>,
    bytes: u64,
    started: Instant,
    is_written: bool,
}

// === impl Ending ===

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CutByServer => "cut by the MCP server",
            Self::GrantEnded => "cut: the session was ended",
            Self::Drained => "ended: the proxy stops",
            Self::Cancelled => "cancelled by the client",
        }
    }
}

// === impl CallLog ===

impl CallLog {
    /// A call that begins now.
    pub(crate) fn new(context: &RequestContext, method: &Method, path: PathAndQuery) -> Self {
        Self {
            request: Arc::clone(&context.id),
            method: method.clone(),
            path,
            session: None,
            status: None,
            cause: None,
            bytes: 0,
            started: Instant::now(),
            is_written: false,
        }
    }

    /// Whose call it is.
    pub(crate) fn set_session(&mut self, session: Session) {
        self.session = Some(session);
    }

    /// The status that the client gets.
    pub(crate) const fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Why it fails, for the operator.
    pub(crate) fn set_cause(&mut self, cause: impl fmt::Display) {
        self.cause = Some(cause.to_string());
    }

    /// What the log calls it by.
    pub(crate) fn request(&self) -> &str {
        &self.request
    }

    /// Bytes of the answer's body that went out.
    pub(crate) const fn add_bytes(&mut self, count: u64) {
        self.bytes += count;
    }

    /// Writes the event; only the first ending counts.
    pub(crate) fn end(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.is_written, true) {
            return;
        }
        let is_fault = ending == Ending::CutByServer
            || self.status.is_some_and(|status| status.is_server_error());
        if is_fault {
            self.write_fault(ending);
        } else {
            self.write(ending);
        }
    }

    fn write(&self, ending: Ending) {
        tracing::debug!(
            target: TARGET,
            {
            request.id = %self.request,
            method = %self.method,
            path = self.path.path(),
            status = self.status.map(|status| status.as_u16()),
            duration_ms = self.milliseconds(),
            bytes = self.bytes,
            client.id = self.session.as_ref().map(|session| tracing::field::display(session.client())),
            grant.id = self.session.as_ref().map(|session| tracing::field::display(session.grant())),
            ending = ending.as_str(),
            },
            "MCP call"
        );
    }

    fn write_fault(&self, ending: Ending) {
        tracing::warn!(
            target: TARGET,
            {
            request.id = %self.request,
            method = %self.method,
            path = self.path.path(),
            status = self.status.map(|status| status.as_u16()),
            duration_ms = self.milliseconds(),
            bytes = self.bytes,
            client.id = self.session.as_ref().map(|session| tracing::field::display(session.client())),
            grant.id = self.session.as_ref().map(|session| tracing::field::display(session.grant())),
            ending = ending.as_str(),
            cause = self.cause.as_deref(),
            },
            "MCP call failed"
        );
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        self.end(Ending::Cancelled);
    }
}
