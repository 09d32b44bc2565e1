//! What is bounded, shown and logged.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::rate::Rate;
use url::Url;

use crate::{
    config::{
        LogConfig, LogLevel,
        explain::Origin,
        faults::shown,
        reader::Reader,
        values::{self, show_duration, show_size},
    },
    env::{Variable, table as variable},
};

/// Bounds.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) max_requests: Option<u32>,
    pub(super) max_requests_window: Duration,
    pub(super) max_body: usize,
    pub(super) sse_keepalive: Duration,
    pub(super) session_requests: Option<Rate>,
    pub(super) drain: Duration,
    pub(super) allowed_origins: Vec<String>,
    pub(super) ca_files: Vec<PathBuf>,
}

/// How pages look.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) views: Option<PathBuf>,
    pub(super) title: String,
    pub(super) favicon: Option<Url>,
}

const DEFAULT_TITLE: &str = "Login for Model Context Protocol";
const DEFAULT_APP: &str = "mcp-auth-proxy";
const DEFAULT_ENVIRONMENT: &str = "development";
const DEFAULT_REQUESTS: u32 = 60;
const DEFAULT_WINDOW: Duration = MINUTE;
const MINUTE: Duration = Duration::from_secs(60);

/// Whether this is a Heroku dyno.
pub(super) fn is_on_dyno(reader: &mut Reader<'_>) -> bool {
    reader.value(&variable::DYNO, |_| Ok(())).is_some()
}

/// A switch of the predecessor: `true` turns it on, anything else never did.
pub(super) fn old_switch(reader: &mut Reader<'_>, variable: &'static Variable) -> bool {
    let Some(given) = reader.given(variable) else {
        reader.explain(variable, None, "false", Origin::Default);
        return false;
    };
    let text = given.text.expose().trim();
    let is_on = text == "true";
    if !is_on && text != "false" {
        let text = format!(
            "holds `{}` and counts as `false`: only `true` turns it on",
            shown(text)
        );
        reader.warn(given.label.clone(), text);
    }
    reader.explain(variable, None, is_on.to_string(), given.origin);
    is_on
}

/// Whether to start everything, say so and exit.
pub(super) fn verify_release(reader: &mut Reader<'_>) -> bool {
    old_switch(reader, &variable::MCP_AUTH_PROXY_VERIFY_RELEASE)
}

// --- limits ---

/// Bounds of requests, bodies, streams and trust.
pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        max_requests: max_requests(reader),
        max_requests_window: max_requests_window(reader),
        session_requests: reader.value(&variable::MCP_AUTH_PROXY_MCP_REQUESTS, session_requests),
        max_body: reader.value_or(
            &variable::MCP_AUTH_PROXY_MAX_BODY,
            1 << 20,
            &show_size(1 << 20),
            values::size,
        ),
        sse_keepalive: reader.value_or(
            &variable::MCP_AUTH_PROXY_SSE_KEEPALIVE,
            seconds(25),
            &show_duration(seconds(25)),
            values::duration,
        ),
        drain: reader.value_or(
            &variable::MCP_AUTH_PROXY_DRAIN,
            seconds(25),
            &show_duration(seconds(25)),
            values::duration,
        ),
        allowed_origins: reader.value_or(
            &variable::MCP_AUTH_PROXY_ALLOWED_ORIGINS,
            Vec::new(),
            "none",
            |text| values::list(text).map(values::origin).collect(),
        ),
        ca_files: ca_files(reader),
    }
}

/// As the predecessor's limiter took it: a number as JavaScript reads it. Zero and less refuse
/// everything, what is no number bounds nothing.
fn max_requests(reader: &mut Reader<'_>) -> Option<u32> {
    let own = &variable::MAX_REQUESTS;
    let Some(given) = reader.given(own) else {
        reader.explain(own, None, DEFAULT_REQUESTS.to_string(), Origin::Default);
        return Some(DEFAULT_REQUESTS);
    };
    let text = given.text.expose().trim();
    let (limit, oddity) = match (text.parse::<u32>(), text.parse::<f64>()) {
        (Ok(limit), _) if limit > 0 => (Some(limit), None),
        (_, Ok(number)) if number < 1.0 => {
            let oddity = "refuses every login, registration and other counted request, as it did \
                          before; 60 is usual";
            (Some(0), Some(oddity))
        }
        (_, Ok(number)) if number < f64::from(u32::MAX) => (
            Some(whole_part(number)),
            Some("counts as the whole number below it"),
        ),
        (_, Ok(_)) => (None, Some("is so large that it bounds nothing")),
        (_, Err(_)) => (
            None,
            Some("is no number and bounds nothing, as before; 60 is usual"),
        ),
    };
    if let Some(oddity) = oddity {
        let text = format!("holds `{}`, which {oddity}", shown(text));
        reader.warn(given.label.clone(), text);
    }
    let meant = limit.map_or_else(|| "no bound".to_owned(), |limit| limit.to_string());
    reader.explain(own, None, meant, given.origin);
    limit
}

fn session_requests(text: &str) -> Result<Rate, String> {
    let requests = values::count(text, 1_000_000)?;
    u32::try_from(requests)
        .ok()
        .and_then(NonZeroU32::new)
        .and_then(|requests| Rate::in_window(requests, MINUTE))
        .ok_or_else(|| "it is too large".to_owned())
}

/// The whole part of a number between 0 and `u32::MAX`, of which there is always one.
fn whole_part(number: f64) -> u32 {
    let text = format!("{}", number.trunc());
    text.parse().unwrap_or(u32::MAX)
}

/// A window that was no number never worked as one; the default does.
fn max_requests_window(reader: &mut Reader<'_>) -> Duration {
    let own = &variable::MAX_REQUESTS_WINDOW;
    let default = DEFAULT_WINDOW.as_millis().to_string();
    let Some(given) = reader.given(own) else {
        reader.explain(own, None, default, Origin::Default);
        return DEFAULT_WINDOW;
    };
    let text = given.text.expose().trim();
    // The bound of the predecessor's limiter: the longest timer of its runtime.
    let window = text
        .parse::<f64>()
        .ok()
        .filter(|number| (1.0..=2_147_483_647.0).contains(number))
        .map(|number| Duration::from_millis(u64::from(whole_part(number))));
    if let Some(window) = window {
        reader.explain(own, None, window.as_millis().to_string(), given.origin);
        return window;
    }
    let text = format!(
        "holds `{}`, which is no number of milliseconds from 1 to 2147483647; {default} holds",
        shown(text)
    );
    reader.warn(given.label.clone(), text);
    reader.explain(own, None, default, Origin::Default);
    DEFAULT_WINDOW
}

/// Ours must be there; the platform's may name files that this machine does not have.
fn ca_files(reader: &mut Reader<'_>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    files.extend(reader.value(&variable::MCP_AUTH_PROXY_CA_FILE, values::file));
    for theirs in [&variable::SSL_CERT_FILE, &variable::NODE_EXTRA_CA_CERTS] {
        let Some(given) = reader.given(theirs) else {
            continue;
        };
        let path = given.text.expose().trim();
        match values::file(path) {
            Ok(file) => {
                reader.explain(theirs, None, path, given.origin);
                files.push(file);
            }
            Err(reason) => {
                let text = format!("holds `{}` and is passed over: {reason}", shown(path));
                reader.warn(given.label.clone(), text);
            }
        }
    }
    files
}

// --- pages ---

/// How pages look.
pub(super) fn pages(reader: &mut Reader<'_>) -> Pages {
    Pages {
        views: reader.value(&variable::OIDC_PROVIDER_VIEWS_PATH, views),
        title: reader.value_or(
            &variable::BRANDING_TITLE,
            DEFAULT_TITLE.to_owned(),
            DEFAULT_TITLE,
            |text| Ok(text.to_owned()),
        ),
        favicon: favicon(reader),
    }
}

fn views(text: &str) -> Result<PathBuf, String> {
    if !Path::new(text).is_absolute() {
        return Err("it is no absolute path".to_owned());
    }
    let directory = values::directory(text)?;
    let entries = std::fs::read_dir(&directory).map_err(|error| {
        format!(
            "the directory cannot be read: {}",
            values::io_reason(&error)
        )
    })?;
    let extensions: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.path().extension().map(ToOwned::to_owned))
        .collect();
    let has = |wanted: &str| extensions.iter().any(|extension| extension == wanted);
    if has("ejs") && !has("html") {
        return Err(
            "it holds the predecessor's EJS templates only, which must be ported to \
                    Jinja's syntax; docs/guides/page-templates.md shows old beside new"
                .to_owned(),
        );
    }
    Ok(directory)
}

/// The predecessor wrote anything into the page; what is no web address could never be shown.
fn favicon(reader: &mut Reader<'_>) -> Option<Url> {
    let own = &variable::BRANDING_FAVICON;
    let given = reader.given(own)?;
    let text = given.text.expose().trim();
    match values::web_url(text) {
        Ok(url) => {
            reader.explain(own, None, url.as_str(), given.origin);
            Some(url)
        }
        Err(reason) => {
            let text = format!("holds `{}` and is not shown: {reason}", shown(text));
            reader.warn(given.label.clone(), text);
            None
        }
    }
}

// --- log ---

/// What is logged, and how.
pub(super) fn log(reader: &mut Reader<'_>) -> LogConfig {
    let text = |text: &str| Ok(text.to_owned());
    let level = log_level(reader);
    let debug_targets = reader
        .value(&variable::DEBUG, |text| Ok(debug_targets(text)))
        .unwrap_or_default();
    let app_name = reader.value_or(
        &variable::APP_NAME,
        DEFAULT_APP.to_owned(),
        DEFAULT_APP,
        text,
    );
    let environment = reader
        .value(&variable::NODE_ENV, text)
        .or_else(|| reader.value(&variable::ENVIRONMENT, text))
        .unwrap_or_else(|| DEFAULT_ENVIRONMENT.to_owned());
    let json = reader.value_or(
        &variable::MCP_AUTH_PROXY_LOG_FORMAT,
        false,
        "text",
        |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("it is neither `text` nor `json`".to_owned()),
        },
    );
    LogConfig {
        level,
        debug_targets,
        app_name,
        environment,
        json,
    }
}

fn log_level(reader: &mut Reader<'_>) -> LogLevel {
    let own = &variable::LOG_LEVEL;
    let Some(given) = reader.given(own) else {
        reader.explain(own, None, "info", Origin::Default);
        return LogLevel::Info;
    };
    let text = given.text.expose().trim();
    let level = LogLevel::parse(text).unwrap_or_else(|| {
        let text = format!(
            "holds `{}` and counts as `info`: {} are known",
            shown(text),
            own.allowed
        );
        reader.warn(given.label.clone(), text);
        LogLevel::Info
    });
    let meant = if LogLevel::parse(text).is_some() {
        text
    } else {
        "info"
    };
    reader.explain(own, None, meant, given.origin);
    level
}

/// The parts of ours that the predecessor's words mean; others are the MCP server's own.
fn debug_targets(text: &str) -> Vec<&'static str> {
    const WORDS: [(&str, &[&str]); 4] = [
        ("express-http-proxy", &["gateway"]),
        ("oidc-provider", &["authserver", "grants", "idp", "jose"]),
        ("express", &["mcp_auth_proxy"]),
        ("ioredis", &["store"]),
    ];
    let mut targets: Vec<&'static str> = values::list(text)
        .flat_map(|item| {
            WORDS.iter().filter(move |(word, _)| {
                item == "*"
                    || item
                        .strip_prefix(word)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':') || rest == "*")
            })
        })
        .flat_map(|(_, targets)| targets.iter().copied())
        .collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}
