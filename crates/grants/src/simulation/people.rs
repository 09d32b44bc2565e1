//! Who holds the tokens of a grant, and what they do with them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{credential::Credential, id::GrantId, time::Timestamp};
use tokio::{sync::RwLock, time::Instant};

use super::{
    provider::StrictProvider,
    scene::{Life, Scene},
    shared_store::Connection,
};
use crate::{
    AuthenticateError, Grants, IdentityError, IssuedTokens, TokenError,
    testing::{client, network, resource, rotation},
};

/// One of the processes.
#[derive(Clone)]
pub(super) struct Process {
    pub(super) index: usize,
    pub(super) grants: Arc<Grants>,
    pub(super) connection: Arc<Connection>,
    pub(super) life: Arc<Life>,
}

/// A user with a grant, and the instances of their client on one machine.
pub(super) struct Person {
    pub(super) scene: Arc<Scene>,
    pub(super) provider: Arc<StrictProvider>,
    pub(super) user: usize,
    pub(super) grant: GrantId,
    pub(super) is_confidential: bool,
    hands: Vec<Mutex<Hand>>,
    /// All refresh tokens so far.
    past: Mutex<Vec<String>>,
    /// When a rotation last prolonged the grant.
    kept: AtomicU64,
    /// Held alone by who wants to be the only one that rotates.
    rotating: RwLock<()>,
}

/// What one instance holds.
#[derive(Clone)]
pub(super) struct Hand {
    pub(super) access: String,
    pub(super) refresh: String,
}

/// Where the client runs, and where thieves do.
const HOME: u8 = 1;
const ABROAD: u8 = 99;
/// A session that was not refreshed for so long may be over (our setting, and some slack).
pub(super) const IDLE: Duration = Duration::from_secs(14 * 24 * 3600 - 60);
/// What an operation has for the store.
const STORE_PATIENCE: Duration = Duration::from_millis(6100);
/// What a caller waits for a refresh, at most.
const REFRESH_PATIENCE: Duration = Duration::from_millis(15_500);
/// For how long an end may go unheard.
const CERTAIN: Duration = Duration::from_millis(5100);
/// The same, by a process that is cut off.
const GRACE: Duration = Duration::from_secs(61);

// === impl Process ===

impl Process {
    /// What a client hears of a request; nothing if the process is killed.
    async fn run<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.life.over() => None,
            answer = request => Some(answer),
        }
    }
}

// === impl Person ===

impl Person {
    pub(super) fn new(
        scene: &Arc<Scene>,
        provider: &Arc<StrictProvider>,
        user: usize,
        is_confidential: bool,
        issued: &IssuedTokens,
        instances: usize,
    ) -> Self {
        let hand = Hand::of(issued);
        Self {
            scene: Arc::clone(scene),
            provider: Arc::clone(provider),
            user,
            grant: issued.grant,
            is_confidential,
            past: Mutex::new(vec![hand.refresh.clone()]),
            hands: (0..instances).map(|_| Mutex::new(hand.clone())).collect(),
            kept: AtomicU64::new(scene.now().as_unix()),
            rotating: RwLock::new(()),
        }
    }

    pub(super) fn instances(&self) -> usize {
        self.hands.len()
    }

    pub(super) fn hand(&self, instance: usize) -> Hand {
        self.hands[instance].lock().unwrap().clone()
    }

    /// Whether the session is over, as far as anybody can know.
    pub(super) fn is_over(&self) -> bool {
        let kept = Timestamp::from_unix(self.kept.load(Ordering::SeqCst));
        self.scene.truth(&self.grant).ended.is_some() || self.scene.now().since(kept) > IDLE
    }

    /// A call with the access token; whether it got an identity token, `None` if it has to rotate.
    pub(super) async fn call(&self, process: &Process, instance: usize) -> Option<bool> {
        let access = self.hand(instance).access;
        let began = self.scene.now();
        let (resource, from) = (resource(), network(HOME));
        let asked = process.grants.authenticate(&access, &resource, from);
        let session = match process.run(Box::pin(asked)).await? {
            Ok(session) => session,
            Err(AuthenticateError::Expired) => {
                let end = Credential::parse(&access).unwrap().expires_at;
                if u64::from(end) > self.scene.now().as_unix() + 2 {
                    self.violated(process, "an access token is over before its end");
                }
                return None;
            }
            Err(AuthenticateError::Unavailable(_)) => return Some(false),
            Err(error) => {
                self.may_be_over(process, &error.to_string());
                return Some(false);
            }
        };
        self.may_open(process);
        let subject = session.subject().as_str().to_owned();
        if subject != subject_of(self.user) || session.grant() != self.grant {
            self.violated(process, &format!("it is {subject}"));
        }
        self.scene.counts.calls.fetch_add(1, Ordering::SeqCst);
        let asked = Instant::now();
        let token = process.run(Box::pin(session.identity_token())).await?;
        if asked.elapsed() > REFRESH_PATIENCE {
            self.violated(process, &format!("waits {:?}", asked.elapsed()));
        }
        match token {
            Ok(token) => {
                let token = token.access_token.expose();
                if let Some(objection) = self.provider.objection(self.user, token, began) {
                    self.violated(process, &objection);
                }
                Some(true)
            }
            Err(IdentityError::Ended(reason)) => {
                self.may_be_over(process, &reason);
                Some(false)
            }
            Err(IdentityError::Unavailable { .. } | IdentityError::FreshRefused) => Some(false),
        }
    }

    /// A refresh with the refresh token of one instance; whether it succeeded.
    pub(super) async fn rotate(&self, process: &Process, instance: usize, hears: bool) -> bool {
        let _others = self.rotating.read().await;
        let shown = self.hand(instance).refresh;
        let Some(issued) = self.show(process, &shown, HOME).await else {
            return false;
        };
        if hears {
            self.take(instance, &issued);
        }
        true
    }

    /// The same refresh token used by many at once: whatever succeeds gets the same.
    pub(super) async fn rotate_at_once(&self, processes: &[Process], times: usize) {
        let _alone = self.rotating.write().await;
        let shown = self.hand(0).refresh;
        let uses = (0..times).map(|index| {
            let process = &processes[index % processes.len()];
            self.show(process, &shown, HOME)
        });
        let all = uses.map(Box::pin).collect();
        let issued: Vec<IssuedTokens> = join_all(all).await.into_iter().flatten().collect();
        let tokens = issued.iter().map(|issued| Hand::of(issued).refresh);
        let mut tokens: Vec<String> = tokens.collect();
        tokens.sort();
        tokens.dedup();
        if tokens.len() > 1 {
            self.violated(
                &processes[0],
                &format!("{} uses got {tokens:?}", issued.len()),
            );
        }
        if let Some(issued) = issued.first() {
            self.take(0, issued);
        }
    }

    /// A thief shows a token that was replaced.
    pub(super) async fn steal(&self, process: &Process, which: usize) {
        let past = self.past.lock().unwrap().clone();
        let old = &past[which % past.len()];
        self.scene
            .note(&format!("a thief shows a token of {}", self.grant));
        self.scene.change(&self.grant, |truth| {
            truth.may_end.get_or_insert("a theft signal");
        });
        drop(self.show(process, old, ABROAD).await);
    }

    /// What is no use by its client ends nothing and opens nothing.
    pub(super) async fn show_wrongly(&self, process: &Process, which: usize) {
        let past = self.past.lock().unwrap().clone();
        let mut shown = past[which % past.len()].clone();
        if which.is_multiple_of(2) {
            let other = client("client-b");
            let asked = process.grants.rotate(rotation(&shown, &other, ABROAD));
            if let Some(Ok(_)) = process.run(Box::pin(asked)).await {
                self.violated(process, "another client refreshes");
            }
            let revoked = process.grants.revoke(&shown, &other);
            drop(process.run(Box::pin(revoked)).await);
        } else {
            let at = 60 + which % 40;
            let letter = if shown.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            shown.replace_range(at..=at, letter);
            let owner = client("client-a");
            let asked = process.grants.rotate(rotation(&shown, &owner, ABROAD));
            if let Some(Ok(_)) = process.run(Box::pin(asked)).await {
                self.violated(process, "a changed token refreshes");
            }
        }
    }

    /// The client, or an operator, ends it; until that is answered, if need be anew.
    pub(super) async fn end(&self, process: &Process, by_operator: bool) {
        self.scene
            .note(&format!("{} is to end at p{}", self.grant, process.index));
        self.scene.change(&self.grant, |truth| {
            truth.may_end.get_or_insert("it was revoked");
        });
        let token = self.hand(0).refresh;
        let owner = client("client-a");
        let is_done = if by_operator {
            let ended = process.grants.end(&self.grant);
            matches!(process.run(Box::pin(ended)).await, Some(Ok(())))
        } else {
            let revoked = process.grants.revoke(&token, &owner);
            matches!(process.run(Box::pin(revoked)).await, Some(Ok(())))
        };
        if is_done && !self.is_over() {
            self.violated(process, "an end was answered that did not happen");
        }
    }

    async fn show(&self, process: &Process, shown: &str, from: u8) -> Option<IssuedTokens> {
        let (owner, began) = (client("client-a"), Instant::now());
        let was_over = self.is_over();
        let mut request = rotation(shown, &owner, from);
        request.is_confidential = self.is_confidential;
        let now = self.scene.now().as_unix();
        let answer = process
            .run(Box::pin(process.grants.rotate(request)))
            .await?;
        if began.elapsed() > STORE_PATIENCE {
            self.violated(process, &format!("a refresh takes {:?}", began.elapsed()));
        }
        match answer {
            Ok(issued) => {
                if was_over && self.scene.truth(&self.grant).ended.is_some() {
                    self.violated(process, "an ended grant was refreshed");
                }
                if issued.subject.as_str() != subject_of(self.user) || issued.grant != self.grant {
                    self.violated(process, "tokens of another");
                }
                let hand = Hand::of(&issued);
                self.scene.note(&format!(
                    "p{} rotates {} for i{from} from {} to {}",
                    process.index,
                    self.grant,
                    generation(shown),
                    generation(&hand.refresh)
                ));
                self.past.lock().unwrap().push(hand.refresh);
                self.kept.fetch_max(now, Ordering::SeqCst);
                self.scene.counts.rotations.fetch_add(1, Ordering::SeqCst);
                Some(issued)
            }
            Err(TokenError::Unavailable(_)) => None,
            Err(error) => {
                self.may_be_over(process, &error.to_string());
                None
            }
        }
    }

    /// What is older than what it has it does not take.
    fn take(&self, instance: usize, issued: &IssuedTokens) {
        let new = Hand::of(issued);
        let mut hand = self.hands[instance].lock().unwrap();
        if generation(&new.refresh) >= generation(&hand.refresh) {
            *hand = new;
        }
    }

    /// It was refused for good.
    fn may_be_over(&self, process: &Process, reason: &str) {
        self.scene.note(&format!(
            "p{} refuses {}: {reason}",
            process.index, self.grant
        ));
        if !self.is_over() {
            self.violated(process, &format!("it lives, but: {reason}"));
        }
    }

    /// It was let in.
    fn may_open(&self, process: &Process) {
        let Some(ended) = self.scene.truth(&self.grant).ended else {
            return;
        };
        let bound = if process.connection.trouble.is_lately() {
            GRACE
        } else {
            CERTAIN
        };
        if process.connection.has_heard(&self.grant) {
            self.violated(process, "lets in after the end was announced");
        } else if ended.elapsed() > bound {
            self.violated(
                process,
                &format!("lets in {:?} after the end", ended.elapsed()),
            );
        }
    }

    fn violated(&self, process: &Process, what: &str) {
        let (grant, index) = (self.grant, process.index);
        self.scene.violated(&format!("{grant} at p{index}: {what}"));
    }
}

// === impl Hand ===

impl Hand {
    pub(super) fn of(issued: &IssuedTokens) -> Self {
        let refresh = issued.refresh_token.as_ref().unwrap();
        Self {
            access: issued.access_token.expose().to_owned(),
            refresh: refresh.expose().to_owned(),
        }
    }
}

pub(super) fn subject_of(user: usize) -> String {
    format!("user-{user}")
}

fn generation(token: &str) -> u32 {
    Credential::parse(token).unwrap().generation
}

/// All of them, side by side.
pub(super) async fn join_all<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outcomes: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, outcome) in futures.iter_mut().zip(&mut outcomes) {
            if outcome.is_none() {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(done) => *outcome = Some(done),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}
