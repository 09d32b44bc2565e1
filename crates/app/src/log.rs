//! The log: one line per event on standard output, as `key=value` pairs or as JSON.
//!
//! ```text
//! 2026-11-25T09:21:49.123456Z app=mcp-auth-proxy environment=production proxy=true level=info message="mcp-server stdout" output=listening
//! ```
//!
//! An event is one line whatever it says: control characters are escaped, so that nobody whose
//! words are logged can make up lines. Other people's crates are heard from `warn` on only, at any
//! level: what they would say below it may hold tokens. A log that cannot be written (a closed
//! pipe) is no reason to stop serving.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::SetGlobalDefaultError,
};
use tracing_subscriber::{
    Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, Registry},
};

use crate::config::{LogConfig, LogLevel};

mod fields;
mod line;

use fields::Fields;

/// Target of the line about an answered request: the predecessor's level `http`, between info and
/// debug.
pub(crate) const HTTP: &str = "mcp_auth_proxy::http";

/// Crates whose events are ours.
const OURS: [&str; 8] = [
    "mcp_auth_proxy",
    "authserver",
    "domain",
    "gateway",
    "grants",
    "idp",
    "jose",
    "store",
];

/// Writes events as lines.
#[derive(Debug)]
struct Lines<W, T> {
    config: LogConfig,
    timer: T,
    writer: Mutex<W>,
}

/// Standard output, found anew at each line.
#[derive(Debug)]
struct StandardOutput;

/// Logs to standard output from now on.
///
/// # Errors
/// If something logs already.
pub(crate) fn init(config: &LogConfig) -> Result<(), SetGlobalDefaultError> {
    let subscriber = subscriber(config.clone(), StandardOutput, SystemTime);
    tracing::subscriber::set_global_default(subscriber)
}

/// What [`init`] installs, with another writer and clock.
pub(crate) fn subscriber<W, T>(
    config: LogConfig,
    writer: W,
    timer: T,
) -> impl Subscriber + Send + Sync
where
    W: Write + Send + 'static,
    T: FormatTime + Send + Sync + 'static,
{
    Registry::default().with(Lines {
        config,
        timer,
        writer: Mutex::new(writer),
    })
}

// === impl Lines ===

impl<W, T: FormatTime> Lines<W, T> {
    fn timestamp(&self) -> String {
        let mut text = String::new();
        // A clock that cannot be read leaves the line without its time.
        let _ = self.timer.format_time(&mut Writer::new(&mut text));
        text
    }
}

impl<S, W, T> Layer<S> for Lines<W, T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + Send + 'static,
    T: FormatTime + Send + Sync + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_enabled(&self.config, metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let raised = !self.config.debug_targets.is_empty();
        Some(match self.config.level {
            LogLevel::Trace => LevelFilter::TRACE,
            // The line about a request is a debug event with a level of its own.
            LogLevel::Debug | LogLevel::Http => LevelFilter::DEBUG,
            _ if raised => LevelFilter::DEBUG,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.put_below(outer);
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        own.put_below(&fields);
        let metadata = event.metadata();
        let head = line::Head {
            timestamp: self.timestamp(),
            config: &self.config,
            level: level_name(metadata.target(), *metadata.level()),
        };
        let line = if self.config.json {
            line::json(&head, &own)
        } else {
            line::text(&head, &own)
        };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody reads any more: that is the reader's affair.
        let _ = writer.write_all(line.as_bytes());
        let _ = writer.flush();
    }
}

fn is_enabled(config: &LogConfig, target: &str, level: Level) -> bool {
    let source = target.split("::").next().unwrap_or_default();
    if !OURS.contains(&source) {
        let bound = if config.level == LogLevel::Error {
            Level::ERROR
        } else {
            Level::WARN
        };
        return level <= bound;
    }
    let is_raised = config.debug_targets.contains(&source);
    let most = if is_raised {
        config.level.max(LogLevel::Debug)
    } else {
        config.level
    };
    if is_request(target, level) {
        return most >= LogLevel::Http;
    }
    let bound = match most {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info | LogLevel::Http => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    level <= bound
}

/// Whether an event is the line about a request that went well: one that failed keeps its level.
fn is_request(target: &str, level: Level) -> bool {
    target == HTTP && level == Level::DEBUG
}

fn level_name(target: &str, level: Level) -> &'static str {
    match level {
        _ if is_request(target, level) => "http",
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        _ => "trace",
    }
}

// === impl StandardOutput ===

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

#[cfg(test)]
mod tests;
