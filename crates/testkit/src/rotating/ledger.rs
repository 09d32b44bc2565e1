//! What a rotating provider knows: sessions, their tokens, and what it was asked.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::client::random_text;

/// Sessions by number, one a login.
#[derive(Debug)]
pub(super) struct Ledger {
    access_ttl: Duration,
    reuse_window: Duration,
    sessions: Vec<Session>,
    /// By subject: the last login.
    last: HashMap<String, usize>,
    codes: HashMap<String, usize>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, RefreshToken>,
    log: Vec<Refresh>,
}

/// A refresh that the provider was asked for.
#[derive(Clone, Debug)]
pub struct Refresh {
    /// Whose.
    pub subject: String,
    /// Which machine asked.
    pub machine: usize,
    /// When it was judged.
    pub asked: Instant,
    /// When the answer left; `None` where whoever asked had gone by then.
    pub answered: Option<Instant>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// New tokens; the present access token was that old.
    Rotated {
        /// Age of the access token that was replaced.
        age: Duration,
    },
    /// New tokens again, within the window.
    Again,
    /// The token had been used already: the session ended.
    Reused {
        /// By which refresh of the log.
        first: usize,
    },
    /// Its session had ended before, or there is no such token.
    Unknown,
}

#[derive(Debug)]
struct Session {
    subject: String,
    ended: watch::Sender<bool>,
}

#[derive(Debug)]
struct Access {
    session: usize,
    until: Instant,
}

#[derive(Debug)]
struct RefreshToken {
    session: usize,
    issued: Instant,
    /// By which refresh of the log.
    used: Option<usize>,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(access_ttl: Duration, reuse_window: Duration) -> Self {
        Self {
            access_ttl,
            reuse_window,
            sessions: Vec::new(),
            last: HashMap::new(),
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            log: Vec::new(),
        }
    }

    /// A new session; returns its code.
    pub(super) fn log_in(&mut self, subject: &str) -> String {
        let session = self.sessions.len();
        self.sessions.push(Session {
            subject: subject.to_owned(),
            ended: watch::Sender::new(false),
        });
        self.last.insert(subject.to_owned(), session);
        let code = secret();
        self.codes.insert(code.clone(), session);
        code
    }

    /// The token answer for a code, once.
    pub(super) fn redeem(&mut self, code: &str) -> Option<Value> {
        let session = self.codes.remove(code)?;
        Some(self.issue(session))
    }

    /// The token answer for a refresh token, and its place in the log.
    pub(super) fn refresh(&mut self, token: &str, machine: usize) -> (Option<Value>, usize) {
        let (asked, logged) = (Instant::now(), self.log.len());
        let (session, outcome) = match self.refresh.get_mut(token) {
            None => (None, Outcome::Unknown),
            Some(shown) => {
                let outcome = match shown.used {
                    None => Outcome::Rotated {
                        age: asked - shown.issued,
                    },
                    Some(first) => Outcome::Reused { first },
                };
                shown.used.get_or_insert(logged);
                (Some(shown.session), outcome)
            }
        };
        let outcome = self.judge(session, outcome, asked);
        let subject = session.and_then(|session| self.sessions.get(session));
        self.log.push(Refresh {
            subject: subject.map_or_else(String::new, |session| session.subject.clone()),
            machine,
            asked,
            answered: None,
            outcome,
        });
        let answer = match (outcome, session) {
            (Outcome::Rotated { .. } | Outcome::Again, Some(session)) => Some(self.issue(session)),
            _ => None,
        };
        (answer, logged)
    }

    pub(super) fn note_answered(&mut self, logged: usize) {
        if let Some(refresh) = self.log.get_mut(logged) {
            refresh.answered = Some(Instant::now());
        }
    }

    /// Resource servers allow for clocks that differ a little, and for calls under way.
    const LEEWAY: Duration = Duration::from_secs(1);

    pub(super) fn holder(&self, access_token: &str) -> Option<String> {
        let access = self.access.get(access_token)?;
        let session = self.sessions.get(access.session)?;
        let is_usable = Instant::now() < access.until + Self::LEEWAY && !*session.ended.borrow();
        is_usable.then(|| session.subject.clone())
    }

    pub(super) fn ended(&self, subject: &str) -> watch::Receiver<bool> {
        let session = self
            .last
            .get(subject)
            .and_then(|session| self.sessions.get(*session));
        match session {
            Some(session) => session.ended.subscribe(),
            None => watch::Sender::new(true).subscribe(),
        }
    }

    pub(super) fn refreshes(&self) -> &[Refresh] {
        &self.log
    }

    fn judge(&self, session: Option<usize>, outcome: Outcome, asked: Instant) -> Outcome {
        let session = session.and_then(|session| self.sessions.get(session));
        match session {
            Some(session) if !*session.ended.borrow() => {}
            _ => return Outcome::Unknown,
        }
        match (outcome, session) {
            (Outcome::Reused { first }, Some(session)) => {
                let used = self.log.get(first).map_or(asked, |refresh| refresh.asked);
                if asked - used < self.reuse_window {
                    return Outcome::Again;
                }
                session.ended.send_replace(true);
                outcome
            }
            _ => outcome,
        }
    }

    fn issue(&mut self, session: usize) -> Value {
        let (issued, access, refresh) = (Instant::now(), secret(), secret());
        let until = issued + self.access_ttl;
        self.access
            .insert(access.clone(), Access { session, until });
        self.refresh.insert(
            refresh.clone(),
            RefreshToken {
                session,
                issued,
                used: None,
            },
        );
        let subject = self.sessions.get(session).map(|session| &session.subject);
        json!({
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": self.access_ttl.as_secs(),
            "id": subject,
        })
    }
}

/// A test without randomness is none.
#[expect(
    clippy::expect_used,
    reason = "a counterpart of tests; the system has randomness"
)]
fn secret() -> String {
    random_text().expect("the system has randomness")
}
