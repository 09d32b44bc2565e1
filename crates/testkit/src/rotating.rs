//! An OAuth server within this process that rotates refresh tokens strictly: quick enough for
//! heavy runs, with a log of each refresh it was asked for, and by whom.
//!
//! It is a plain OAuth server, described by a metadata file per machine: each machine has a token
//! endpoint of its own, so that the log tells them apart. A refresh token rotates before the answer
//! leaves; one that is shown again ends its session at once, with its access tokens (RFC 9700
//! §4.14.2), but within the reuse window, where it has one.

mod ledger;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, header::LOCATION};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, time::sleep};
use url::{Url, form_urlencoded};

use self::ledger::Ledger;
use crate::{
    provider::{CLIENT_ID, CLIENT_SECRET},
    recorder::{Answer, Recorded, Recorder},
    witness::Witness,
};

pub use self::ledger::{Outcome, Refresh};

/// How it is started.
#[derive(Clone, Debug)]
pub struct RotatingOptions {
    /// The proxy's callback.
    pub redirect_uri: String,
    /// Life of an access token, in whole seconds.
    pub access_ttl: Duration,
    /// How long a replaced refresh token still gives tokens; zero: its use ends the session.
    pub reuse_window: Duration,
}

/// How its token endpoint fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Not at all.
    None,
    /// It takes requests, does nothing and answers nothing.
    Hangs,
    /// It does nothing and answers this status.
    Answers(u16),
}

/// A running server.
#[derive(Debug)]
pub struct Rotating {
    recorder: Recorder,
    shared: Arc<Shared>,
    directory: TempDir,
}

#[derive(Debug)]
struct Shared {
    options: RotatingOptions,
    witness: Witness,
    ledger: Mutex<Ledger>,
    fault: watch::Sender<TokenFault>,
}

/// How long an answer is under way: a process may be killed meanwhile.
const LATENCY: Duration = Duration::from_millis(5);

// === impl Rotating ===

impl Rotating {
    /// Starts it; the secrets it issues go to `witness`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(options: RotatingOptions, witness: &Witness) -> Result<Self> {
        witness.remember(CLIENT_SECRET);
        let shared = Arc::new(Shared {
            ledger: Mutex::new(Ledger::new(options.access_ttl, options.reuse_window)),
            options,
            witness: witness.clone(),
            fault: watch::Sender::new(TokenFault::None),
        });
        let recorder = Recorder::start().await?;
        let serving = Arc::clone(&shared);
        recorder.react(move |request| {
            let (shared, request) = (Arc::clone(&serving), request.clone());
            Box::pin(async move { shared.answer(&request).await })
        });
        Ok(Self {
            recorder,
            shared,
            directory: tempfile::tempdir()?,
        })
    }

    /// Writes the metadata file that describes it to a machine.
    ///
    /// # Errors
    /// If that fails.
    pub fn metadata_file(&self, machine: usize) -> Result<PathBuf> {
        let issuer = self.recorder.url().join("/")?;
        let issuer = issuer.as_str().trim_end_matches('/');
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}{}{machine}", Shared::TOKEN),
            "scopes_supported": ["global"],
        });
        let path = self
            .directory
            .path()
            .join(format!("machine-{machine}.json"));
        std::fs::write(&path, metadata.to_string())?;
        Ok(path)
    }

    /// From now on its token endpoint fails so.
    pub fn fail(&self, fault: TokenFault) {
        self.shared.fault.send_replace(fault);
    }

    /// For a resource server: whose access token it is, if it can be used now.
    pub fn holders(&self) -> impl Fn(&str) -> Option<String> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move |access_token| shared.ledger().holder(access_token)
    }

    /// Whether a person's session has ended here, and word of it when it does.
    pub fn ended(&self, subject: &str) -> watch::Receiver<bool> {
        self.shared.ledger().ended(subject)
    }

    /// Each refresh it was asked for while it did not fail, in the order in which it judged them.
    pub fn refreshes(&self) -> Vec<Refresh> {
        self.shared.ledger().refreshes().to_vec()
    }
}

// === impl Shared ===

impl Shared {
    /// Where a machine asks for tokens; its number follows.
    const TOKEN: &str = "/token/";

    async fn answer(&self, request: &Recorded) -> Answer {
        match (&request.method, request.uri.path()) {
            (&Method::GET, "/authorize") => Self::login_page(request),
            (&Method::POST, "/authorize") => self.logged_in(request),
            (&Method::POST, path) => match path.strip_prefix(Self::TOKEN).map(str::parse) {
                Some(Ok(machine)) => self.token(request, machine).await,
                _ => Answer::status(404),
            },
            _ => Answer::status(404),
        }
    }

    /// The person's name is asked on a page of its own, as everywhere.
    fn login_page(request: &Recorded) -> Answer {
        let asked = parameters(request.uri.query().unwrap_or_default().as_bytes());
        let hidden = ["redirect_uri", "state"].map(|name| {
            let value = asked.get(name).map_or("", String::as_str);
            // Both are made of characters that need no escape.
            format!(r#"<input type="hidden" name="{name}" value="{value}">"#)
        });
        let page = format!(
            r#"<form method="post" action="/authorize">{}
            <input name="login" type="text"><input name="password" type="password">
            <button type="submit">Sign in</button></form>"#,
            hidden.concat()
        );
        Answer::whole(200, &[("content-type", "text/html")], Bytes::from(page))
    }

    fn logged_in(&self, request: &Recorded) -> Answer {
        let form = parameters(&request.body);
        let given = |name: &str| form.get(name).cloned().unwrap_or_default();
        let redirect_uri = given("redirect_uri");
        let Some(mut location) = Url::parse(&redirect_uri)
            .ok()
            .filter(|_| redirect_uri == self.options.redirect_uri)
        else {
            return Answer::status(400);
        };
        let code = self.ledger().log_in(&given("login"));
        self.witness.remember(&code);
        location
            .query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &given("state"));
        let mut answer = Answer::status(302);
        if let Ok(location) = location.as_str().parse() {
            answer.head.headers.insert(LOCATION, location);
        }
        answer
    }

    async fn token(&self, request: &Recorded, machine: usize) -> Answer {
        let fault = *self.fault.borrow();
        match fault {
            TokenFault::None => {}
            // Dropped when its client hangs up.
            TokenFault::Hangs => std::future::pending().await,
            TokenFault::Answers(status) => return Answer::status(status),
        }
        if !is_our_client(request) {
            return refusal(401, "invalid_client");
        }
        let form = parameters(&request.body);
        let given = |name: &str| form.get(name).map_or("", String::as_str);
        let (answer, logged) = if given("grant_type") == "authorization_code" {
            (self.ledger().redeem(given("code")), None)
        } else {
            let (answer, logged) = self.ledger().refresh(given("refresh_token"), machine);
            (answer, Some(logged))
        };
        if let Some(tokens) = &answer {
            self.witness.remember_members(tokens);
        }
        sleep(LATENCY).await;
        if let Some(logged) = logged {
            self.ledger().note_answered(logged);
        }
        answer.map_or_else(
            || refusal(400, "invalid_grant"),
            |tokens| Answer::json(&tokens),
        )
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parameters(encoded: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn refusal(status: u16, error: &str) -> Answer {
    let body = Value::from_iter([("error", error)]).to_string();
    let headers = [("content-type", "application/json")];
    Answer::whole(status, &headers, Bytes::from(body))
}

/// By `Basic`; both halves are form-encoded first (RFC 6749 §2.3.1).
fn is_our_client(request: &Recorded) -> bool {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    request
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "))
        .is_some_and(|shown| shown == STANDARD.encode(pair))
}

#[cfg(test)]
mod tests;
