//! Each bad request with its exact answer. Tests send every one of them to what answers it, and
//! `docs/reference/errors.md` is written from the same rows.
//!
//! Rows are plain data. What only a running server can give (a client's id, a code that was used
//! before) stands in them as `<a name>`, and whoever sends a row puts it in.

mod authorization;
mod clients;
mod edge;
mod mcp;
mod pages;
#[cfg(test)]
mod reference;
mod token;
mod tokens;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::html;

/// The rows of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its heading in the document.
    pub title: &'static str,
    /// What the document says before the rows.
    pub introduction: &'static str,
    /// Who answers.
    pub place: Place,
    /// The bad requests.
    pub rows: &'static [Row],
}

/// Who answers the rows of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What every request passes first.
    Edge,
    /// The authorization server, for programs.
    Machines,
    /// The authorization server, for people.
    Pages,
    /// The gateway.
    Gateway,
}

/// One bad request.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is wrong with it.
    pub what: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its path with query.
    pub path: &'static str,
    /// Its headers besides the content type.
    pub headers: &'static [(&'static str, &'static str)],
    /// Its body.
    pub body: Body,
    /// How the server is set up.
    pub setting: Setting,
    /// What comes back.
    pub answer: Answer,
    /// What a client's developer can do.
    pub cure: &'static str,
}

/// The body of a bad request.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// None.
    Absent,
    /// A form.
    Form(&'static str),
    /// JSON, or what should be.
    Json(&'static str),
    /// Anything else, with its content type.
    Text(&'static str, &'static str),
}

/// How the server that answers is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// One MCP server at `/mcp`, everything that is on unless somebody turns it off.
    Usual,
    /// Two MCP servers, at `/a` and `/b`.
    TwoServers,
    /// Registration management is on (`MCP_AUTH_PROXY_REGISTRATION_MANAGEMENT`).
    Management,
    /// Registering needs a token (`MCP_AUTH_PROXY_REGISTRATION_TOKEN`).
    ClosedRegistration,
    /// The device flow is off (`MCP_AUTH_PROXY_DEVICE`).
    NoDevices,
    /// Requests must be pushed (`MCP_AUTH_PROXY_REQUIRE_PUSHED_REQUESTS`).
    PushedOnly,
    /// Clients may redirect to `allowed.example` only (`MCP_AUTH_PROXY_ALLOWED_REDIRECT_HOSTS`).
    FewHosts,
    /// The asker's address has used up its budget (`MAX_REQUESTS`).
    Exhausted,
    /// The store does not answer.
    StoreAway,
    /// A router that ends TLS stands before the proxy.
    BehindRouter,
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The error object (RFC 6749 §5.2).
    Refused {
        /// HTTP status.
        status: u16,
        /// `error`.
        error: &'static str,
        /// `error_description`.
        description: &'static str,
        /// `WWW-Authenticate`.
        challenge: Challenge,
    },
    /// 401 without a body: nothing was shown, so nothing is wrong (RFC 6750 §3.1).
    Asked(Challenge),
    /// A page for the person.
    Page {
        /// HTTP status.
        status: u16,
        /// What stands on top of it.
        heading: &'static str,
    },
    /// 303 to the client's redirect URI (RFC 6749 §4.1.2.1).
    Redirected {
        /// `error`.
        error: &'static str,
        /// `error_description`.
        description: &'static str,
    },
}

/// `WWW-Authenticate` of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Challenge {
    /// None.
    Absent,
    /// Where clients prove themselves.
    Basic,
    /// Where bearer tokens are shown, by realm; with the scope that is lacking.
    Bearer(&'static str, Option<&'static str>),
    /// At the MCP endpoint, for the path asked.
    Resource(&'static str),
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, whole.
    pub body: Bytes,
}

/// All of them, in the order of the document.
pub const ALL: &[Section] = &[
    authorization::AUTHORIZATION,
    authorization::PUSHED,
    token::CLIENTS,
    token::ASSERTIONS,
    token::CODES,
    token::REFRESH,
    token::DEVICES,
    clients::REGISTRATION,
    clients::MANAGEMENT,
    tokens::DEVICE_AUTHORIZATION,
    tokens::REVOCATION,
    tokens::INTROSPECTION,
    tokens::USERINFO,
    mcp::ENDPOINT,
    pages::DEVICE,
    pages::INTERACTION,
    pages::CALLBACK,
    pages::SESSION,
    edge::METHODS,
    edge::EVERYWHERE,
    edge::TROUBLE,
];

/// The redirect URI of the clients in rows.
pub const REDIRECT_URI: &str = "http://127.0.0.1:4711/callback";
/// The `state` of authorization requests in rows.
pub const STATE: &str = "client-state";
/// The issuer of the authorization server that answers rows.
pub const ISSUER: &str = "https://proxy.example";

/// The names in angle brackets, in order.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .map(|(name, _)| name)
}

// === impl Row ===

impl Row {
    /// A request that differs from a good one in this.
    pub const fn new(what: &'static str) -> Self {
        Self {
            what,
            method: "GET",
            path: "/",
            headers: &[],
            body: Body::Absent,
            setting: Setting::Usual,
            answer: Answer::Asked(Challenge::Absent),
            cure: "",
        }
    }

    /// With this method, at this path.
    #[must_use]
    pub const fn send(self, method: &'static str, path: &'static str) -> Self {
        Self {
            method,
            path,
            ..self
        }
    }

    /// GET.
    #[must_use]
    pub const fn get(self, path: &'static str) -> Self {
        self.send("GET", path)
    }

    /// POST of a form.
    #[must_use]
    pub const fn form(self, path: &'static str, form: &'static str) -> Self {
        self.send("POST", path).body(Body::Form(form))
    }

    /// POST of JSON.
    #[must_use]
    pub const fn json(self, path: &'static str, json: &'static str) -> Self {
        self.send("POST", path).body(Body::Json(json))
    }

    /// With this body.
    #[must_use]
    pub const fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// With these headers.
    #[must_use]
    pub const fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    /// To a server that is set up so.
    #[must_use]
    pub const fn on(self, setting: Setting) -> Self {
        Self { setting, ..self }
    }

    /// Answered by the error object. A 401 names the way by which clients prove themselves.
    #[must_use]
    pub const fn refused(
        self,
        status: u16,
        error: &'static str,
        description: &'static str,
    ) -> Self {
        let challenge = if status == 401 {
            Challenge::Basic
        } else {
            Challenge::Absent
        };
        let answer = Answer::Refused {
            status,
            error,
            description,
            challenge,
        };
        Self { answer, ..self }
    }

    /// With this challenge beside the error object.
    #[must_use]
    pub const fn challenged(self, challenge: Challenge) -> Self {
        let answer = match self.answer {
            Answer::Refused {
                status,
                error,
                description,
                ..
            } => Answer::Refused {
                status,
                error,
                description,
                challenge,
            },
            Answer::Asked(_) | Answer::Page { .. } | Answer::Redirected { .. } => {
                Answer::Asked(challenge)
            }
        };
        Self { answer, ..self }
    }

    /// Answered by a page.
    #[must_use]
    pub const fn page(self, status: u16, heading: &'static str) -> Self {
        Self {
            answer: Answer::Page { status, heading },
            ..self
        }
    }

    /// Answered at the redirect URI.
    #[must_use]
    pub const fn redirected(self, error: &'static str, description: &'static str) -> Self {
        Self {
            answer: Answer::Redirected { error, description },
            ..self
        }
    }

    /// What to do.
    #[must_use]
    pub const fn cure(self, cure: &'static str) -> Self {
        Self { cure, ..self }
    }

    /// Compares what came with what must.
    ///
    /// # Errors
    /// With all that differs.
    pub fn check(&self, place: Place, seen: &Seen) -> Result<(), String> {
        let mut faults = Vec::new();
        let mut same = |name: &str, found: String, expected: String| {
            if found != expected {
                faults.push(format!("{name} is {found:?}, not {expected:?}"));
            }
        };
        let status = self.answer.status();
        same("the status", seen.status.to_string(), status.to_string());
        same(
            "Cache-Control",
            seen.header("cache-control"),
            "no-store".to_owned(),
        );
        let challenge = self.answer.challenge();
        same(
            "WWW-Authenticate",
            seen.header("www-authenticate"),
            challenge,
        );
        let is_later = matches!(status, 429 | 503);
        same(
            "Retry-After is there",
            seen.has("retry-after"),
            is_later.to_string(),
        );
        same(
            "Allow is there",
            seen.has("allow"),
            (status == 405).to_string(),
        );
        match self.answer {
            Answer::Refused {
                error, description, ..
            } => {
                same(
                    "Content-Type",
                    seen.header("content-type"),
                    "application/json".to_owned(),
                );
                let body = json!({ "error": error, "error_description": description });
                same("the body", seen.json().to_string(), body.to_string());
                if matches!(place, Place::Machines | Place::Edge) {
                    let origin = seen.header("access-control-allow-origin");
                    same("Access-Control-Allow-Origin", origin, "*".to_owned());
                }
            }
            Answer::Asked(_) => same("the body", seen.text(), String::new()),
            Answer::Page { heading, .. } => {
                same("the heading", seen.heading(), heading.to_owned());
                let kind = "text/html; charset=utf-8".to_owned();
                same("Content-Type", seen.header("content-type"), kind);
                same(
                    "Location is there",
                    seen.has("location"),
                    "false".to_owned(),
                );
                same(
                    "X-Frame-Options",
                    seen.header("x-frame-options"),
                    "DENY".to_owned(),
                );
                let policy = seen.header("content-security-policy");
                let is_strict = policy.starts_with("default-src 'none'");
                same(
                    "the policy is strict",
                    is_strict.to_string(),
                    "true".to_owned(),
                );
            }
            Answer::Redirected { error, description } => {
                let expected = [
                    ("error", error),
                    ("error_description", description),
                    ("state", STATE),
                    ("iss", ISSUER),
                ];
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(expected)
                    .finish();
                let location = format!("{REDIRECT_URI}?{query}");
                same("Location", seen.header("location"), location);
                same(
                    "Referrer-Policy",
                    seen.header("referrer-policy"),
                    "no-referrer".to_owned(),
                );
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "{} {} {}: {}",
                self.what,
                self.method,
                self.path,
                faults.join("; ")
            ))
        }
    }
}

// === impl Answer ===

impl Answer {
    /// HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } | Self::Page { status, .. } => *status,
            Self::Asked(_) => 401,
            Self::Redirected { .. } => 303,
        }
    }

    fn challenge(&self) -> String {
        let (challenge, wrong) = match self {
            Self::Refused {
                challenge,
                error,
                description,
                ..
            } => (
                *challenge,
                format!(", error=\"{error}\", error_description=\"{description}\""),
            ),
            Self::Asked(challenge) => (*challenge, String::new()),
            Self::Page { .. } | Self::Redirected { .. } => (Challenge::Absent, String::new()),
        };
        match challenge {
            Challenge::Absent => String::new(),
            Challenge::Basic => "Basic realm=\"token endpoint\", charset=\"UTF-8\"".to_owned(),
            Challenge::Bearer(realm, scope) => {
                let scope = scope.map(|scope| format!(", scope=\"{scope}\""));
                format!(
                    "Bearer realm=\"{realm}\"{wrong}{}",
                    scope.unwrap_or_default()
                )
            }
            Challenge::Resource(path) => {
                // Who showed nothing is told no error in the challenge.
                let wrong = if wrong.contains("\"invalid_token\"") {
                    wrong
                } else {
                    String::new()
                };
                format!(
                    "Bearer resource_metadata=\"{ISSUER}/.well-known/oauth-protected-resource{path}\", \
                     scope=\"openid\"{wrong}"
                )
            }
        }
    }
}

// === impl Seen ===

impl Seen {
    fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| value.to_str().unwrap_or("?")).collect();
        texts.join(" and ")
    }

    fn has(&self, name: &str) -> String {
        self.headers.contains_key(name).to_string()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn heading(&self) -> String {
        let text = self.text();
        let inner = text
            .split_once("<h1>")
            .and_then(|(_, rest)| rest.split_once("</h1>"));
        html::unescape(inner.map_or(text.as_str(), |(heading, _)| heading))
    }
}

/// The content type of a body.
impl Body {
    /// What the request says of it, and its text.
    pub const fn content(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Absent => None,
            Self::Form(text) => Some(("application/x-www-form-urlencoded", text)),
            Self::Json(text) => Some(("application/json", text)),
            Self::Text(kind, text) => Some((kind, text)),
        }
    }

    /// The name of the header that says it.
    pub const HEADER: http::HeaderName = header::CONTENT_TYPE;
}
