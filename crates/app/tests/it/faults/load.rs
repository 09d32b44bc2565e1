//! Sessions that call and refresh over all machines.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use testkit::{
    browser::Browser,
    client::{OAuthClient, REDIRECT_URI, Tokens},
    http::Reply,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::fleet::Fleet;
use crate::harness::ping;

/// All sessions of a run.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) sessions: Vec<Arc<Session>>,
    pub(super) tally: Arc<Tally>,
    fleet: Arc<Fleet>,
}

/// One person's session at one client.
#[derive(Debug)]
pub(super) struct Session {
    number: usize,
    pub(super) user: String,
    /// By machine.
    clients: Vec<OAuthClient>,
    tokens: Mutex<Tokens>,
    /// Whether it has ended at the provider.
    ended: watch::Receiver<bool>,
}

/// What has happened to calls and refreshes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Answered, by client.
    pub(super) calls: AtomicUsize,
    /// Answered, of clients' own tokens.
    pub(super) refreshes: AtomicUsize,
    /// Answered 503 with `Retry-After` while the store or the provider was away.
    pub(super) put_off: AtomicUsize,
    /// Broken off by the end of a machine, and sent to the next.
    pub(super) repeated: AtomicUsize,
    longest: Mutex<Longest>,
    failures: Mutex<Vec<Failure>>,
}

/// The call or refresh that took longest, with all its repetitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Longest {
    pub(super) duration: Duration,
    pub(super) what: String,
}

/// A call or refresh that was not answered as it must be.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) user: String,
    pub(super) what: String,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
enum Request {
    Call,
    Refresh,
}

/// Calls of a session at each machine at once.
const AT_ONCE: usize = 2;
/// Pause between two rounds of a session where there are so many, at most; at least half of it.
/// With more of them it grows, so that the machine is not measured instead of the proxy.
const PAUSE: Duration = Duration::from_millis(600);
const SESSIONS_AT_PAUSE: usize = 48;
/// A client refreshes every so many rounds.
const ROUNDS_PER_REFRESH: usize = 4;
/// Pause before what was put off is sent again; shorter than is asked for, to be hard.
const PUT_OFF: Duration = Duration::from_millis(500);
/// Pause before the next machine is tried.
const NEXT_MACHINE: Duration = Duration::from_millis(20);
/// Nobody waits for longer.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Logins at once.
const LOGINS_AT_ONCE: usize = 8;

// === impl Load ===

impl Load {
    /// Logs people in, each with a client of their own and from an address of their own.
    pub(super) async fn log_in(fleet: &Arc<Fleet>, sessions: usize) -> Result<Self> {
        let mut logged_in = Vec::new();
        for first in (0..sessions).step_by(LOGINS_AT_ONCE) {
            let mut logins = JoinSet::new();
            for number in first..sessions.min(first + LOGINS_AT_ONCE) {
                let fleet = Arc::clone(fleet);
                logins.spawn(async move { Session::log_in(&fleet, number).await });
            }
            for session in logins.join_all().await {
                logged_in.push(Arc::new(session?));
            }
        }
        Ok(Self {
            sessions: logged_in,
            tally: Arc::default(),
            fleet: Arc::clone(fleet),
        })
    }

    /// All sessions go on until then.
    pub(super) fn call_until(&self, end: Instant) -> JoinSet<()> {
        let mut calling = JoinSet::new();
        for session in &self.sessions {
            let caller = self.caller(session);
            calling.spawn(async move { caller.go_on_until(end).await });
        }
        calling
    }

    /// Each session that lives is served by each machine.
    pub(super) async fn call_everywhere_once_more(&self) {
        let mut calling = JoinSet::new();
        for session in &self.sessions {
            let caller = self.caller(session);
            calling.spawn(async move { caller.round().await });
        }
        calling.join_all().await;
    }

    fn caller(&self, session: &Arc<Session>) -> Caller {
        let crowd = (self.sessions.len() / SESSIONS_AT_PAUSE).max(1);
        let half = PAUSE / 2 * u32::try_from(crowd).unwrap_or(u32::MAX);
        // Each number has another pause, so that sessions drift apart.
        let spread = u32::try_from(session.number % 16).unwrap_or_default();
        Caller {
            session: Arc::clone(session),
            tally: Arc::clone(&self.tally),
            fleet: Arc::clone(&self.fleet),
            pause: half + half * spread / 15,
        }
    }
}

// === impl Session ===

impl Session {
    async fn log_in(fleet: &Fleet, number: usize) -> Result<Self> {
        let user = format!("person-{number}");
        let [.., high, low] = u32::try_from(number)?.to_be_bytes();
        let address = IpAddr::from([198, 18, high, low]);
        let ways: Vec<_> = fleet
            .machines
            .iter()
            .map(|machine| machine.http.from(address))
            .collect();
        let way = &ways[number % ways.len()];
        let client = OAuthClient::register(way, &Fleet::mcp()?, &fleet.witness).await?;
        let mut browser = Browser::new(way.clone(), REDIRECT_URI, fleet.witness.clone());
        let tokens = client
            .log_in(&mut browser, &user)
            .await
            .with_context(|| format!("the login of {user}"))?;
        Ok(Self {
            number,
            ended: fleet.provider.ended(&user),
            user,
            clients: ways.iter().map(|way| client.at(way)).collect(),
            tokens: Mutex::new(tokens),
        })
    }

    /// Its client, at a machine.
    pub(super) fn at(&self, machine: usize) -> &OAuthClient {
        &self.clients[machine]
    }

    /// What its client holds.
    pub(super) fn tokens(&self) -> Tokens {
        self.held().clone()
    }

    /// Whether it has ended at the provider.
    pub(super) fn is_ended(&self) -> bool {
        *self.ended.borrow()
    }

    fn held(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who calls for a session.
#[derive(Clone)]
struct Caller {
    session: Arc<Session>,
    tally: Arc<Tally>,
    fleet: Arc<Fleet>,
    pause: Duration,
}

// === impl Caller ===

impl Caller {
    async fn go_on_until(&self, end: Instant) {
        for round in self.session.number.. {
            if Instant::now() >= end || self.session.is_ended() {
                break;
            }
            if round % ROUNDS_PER_REFRESH == 0 {
                let machine = round / ROUNDS_PER_REFRESH;
                tokio::join!(self.round(), self.send(Request::Refresh, machine));
            } else {
                self.round().await;
            }
            sleep(self.pause).await;
        }
    }

    /// Calls at all machines at once.
    async fn round(&self) {
        let mut calls = JoinSet::new();
        for machine in 0..self.fleet.machines.len() * AT_ONCE {
            let caller = self.clone();
            calls.spawn(async move { caller.send(Request::Call, machine).await });
        }
        calls.join_all().await;
    }

    /// Sends until it is answered; what ends at the provider meanwhile is left alone, and judged
    /// by the provider's log.
    async fn send(&self, request: Request, machine: usize) {
        let mut ended = self.session.ended.clone();
        let began = Instant::now();
        tokio::select! {
            () = self.send_until_answered(request, machine, began) => {}
            _ = ended.wait_for(|ended| *ended) => return,
        }
        let count = match request {
            Request::Call => &self.tally.calls,
            Request::Refresh => &self.tally.refreshes,
        };
        count.fetch_add(1, Ordering::SeqCst);
        let duration = began.elapsed();
        self.tally.note_duration(duration, || {
            format!(
                "{request:?} of {} from machine {machine} on",
                self.session.user
            )
        });
    }

    /// A router stands before the machines: what breaks because one ends goes to the next.
    async fn send_until_answered(&self, request: Request, machine: usize, began: Instant) {
        let machines = self.fleet.machines.len();
        let mut number = machine % machines;
        loop {
            let machine = &self.fleet.machines[number];
            let blows = machine.blows();
            match self.try_once(request, number).await {
                Ok(reply) if reply.status == 200 => return self.take(request, &reply),
                Ok(reply) if self.is_put_off(&reply) && began.elapsed() < GIVE_UP => {
                    self.tally.put_off.fetch_add(1, Ordering::SeqCst);
                    sleep(PUT_OFF).await;
                }
                Ok(reply) => {
                    let challenge = reply.header("www-authenticate");
                    let text = reply.text();
                    let what = format!("{request:?}: {} {challenge} {text}", reply.status);
                    return self.fail(&what);
                }
                Err(_) if machine.may_break(blows) && began.elapsed() < GIVE_UP => {
                    self.tally.repeated.fetch_add(1, Ordering::SeqCst);
                    number = (number + 1) % machines;
                    sleep(NEXT_MACHINE).await;
                }
                Err(error) => return self.fail(&format!("{request:?}: {error:#}")),
            }
        }
    }

    async fn try_once(&self, request: Request, machine: usize) -> Result<Reply> {
        let client = self.session.at(machine);
        let tokens = self.session.tokens();
        match request {
            Request::Call => client.call(&tokens.access, &ping()).await,
            Request::Refresh => client.refresh(&tokens.refresh).await,
        }
    }

    fn take(&self, request: Request, reply: &Reply) {
        match request {
            Request::Refresh => match Tokens::of(reply) {
                Ok(tokens) => *self.session.held() = tokens,
                Err(error) => self.fail(&format!("{error:#}")),
            },
            Request::Call if self.fleet.provider.is_asked_by_server() => {
                let answer = reply.json().unwrap_or_default();
                let subject = answer.pointer("/result/subject").and_then(Value::as_str);
                if subject != Some(&self.session.user) {
                    self.fail(&format!("a call was made for {subject:?}"));
                }
            }
            Request::Call => {}
        }
    }

    fn is_put_off(&self, reply: &Reply) -> bool {
        self.fleet.is_in_trouble()
            && reply.status == 503
            && reply.header("retry-after").parse::<u64>().is_ok()
    }

    fn fail(&self, what: &str) {
        self.tally.failures().push(Failure {
            user: self.session.user.clone(),
            what: what.to_owned(),
        });
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.user, self.what)
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn longest(&self) -> Longest {
        self.slot().clone()
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_duration(&self, duration: Duration, what: impl FnOnce() -> String) {
        let mut longest = self.slot();
        if duration > longest.duration {
            let what = what();
            *longest = Longest { duration, what };
        }
    }

    fn slot(&self) -> MutexGuard<'_, Longest> {
        self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
