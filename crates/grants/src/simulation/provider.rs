//! An identity provider that rotates strictly: a refresh token that is used twice ends all tokens
//! of its user, unless it is a repetition that nobody could avoid.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{id::Subject, secret::SecretString, time::Timestamp};
use idp::provider::{IdentityRefresher, IdentityTokens, RefreshError};
use serde_json::Map;
use tokio::time::{Instant, sleep};

use super::{
    dice::Dice,
    scene::{Life, Scene},
    shared_store::Trouble,
};
use crate::testing::PROVIDER;

#[derive(Debug)]
pub(super) struct StrictProvider {
    scene: Arc<Scene>,
    dice: Dice,
    families: Mutex<Vec<Family>>,
    /// Percent of requests that fail.
    faults: AtomicU64,
    /// How it takes the next requests, with the time until it decides.
    script: Mutex<VecDeque<(Fate, Duration)>>,
}

/// The tokens of one user.
#[derive(Debug, Default)]
struct Family {
    current: u64,
    is_dead: bool,
    ends: HashMap<u64, Timestamp>,
    /// Who used a refresh token.
    uses: HashMap<u64, Use>,
    /// Who asks right now, with what.
    under_way: Vec<(usize, u64, Arc<Life>, Arc<Trouble>)>,
}

#[derive(Clone)]
struct Use {
    process: usize,
    life: Arc<Life>,
    trouble: Arc<Trouble>,
    is_answer_lost: bool,
}

/// How one process reaches it.
#[derive(Debug)]
pub(super) struct ProviderLine {
    pub(super) provider: Arc<StrictProvider>,
    pub(super) process: usize,
    pub(super) life: Arc<Life>,
    pub(super) trouble: Arc<Trouble>,
}

/// How it takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answers,
    /// As 503, before anything was done.
    Fails,
    /// Nothing is done, and nothing said.
    Hangs,
    /// Done, and nothing said.
    LosesAnswer,
}

/// What a client of it waits for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
// === impl StrictProvider ===

impl StrictProvider {
    pub(super) fn new(scene: Arc<Scene>) -> Self {
        let dice = Dice::new(scene.seed, 1);
        Self {
            scene,
            dice,
            families: Mutex::default(),
            faults: AtomicU64::new(0),
            script: Mutex::default(),
        }
    }

    /// Takes the next request in this way, after this time.
    pub(super) fn will(&self, fate: Fate, after: Duration) {
        self.script.lock().unwrap().push_back((fate, after));
    }

    /// A new user with their first tokens.
    pub(super) fn enrol(&self) -> (usize, IdentityTokens) {
        let mut families = self.families.lock().unwrap();
        let user = families.len();
        families.push(Family::default());
        let tokens = self.tokens(user, &mut families[user]);
        (user, tokens)
    }

    pub(super) fn set_faults(&self, percent: u64) {
        self.faults.store(percent, Ordering::SeqCst);
    }

    /// An administrator takes all tokens back.
    pub(super) fn take_back(&self, user: usize) {
        self.families.lock().unwrap()[user].is_dead = true;
        self.scene.all_of(user, "taken back at the provider");
    }

    /// Says what is wrong with an access token that somebody was given for a user.
    pub(super) fn objection(&self, user: usize, token: &str, now: Timestamp) -> Option<String> {
        let number = token
            .strip_prefix(&format!("access-{user}-"))
            .and_then(|number| number.parse().ok());
        let Some(number) = number else {
            return Some(format!("user {user} got {token}"));
        };
        let families = self.families.lock().unwrap();
        let end = families[user].ends.get(&number).copied();
        // Clocks differ by two seconds at most.
        match end {
            Some(end) if end.plus(Duration::from_secs(2)) > now => None,
            _ => Some(format!("{token} was given after its end")),
        }
    }

    /// Whether nobody asks for a user, and what was answered last is of this version.
    pub(super) fn is_settled(&self, user: usize, version: u64) -> bool {
        let families = self.families.lock().unwrap();
        let family = &families[user];
        let asking = family
            .under_way
            .iter()
            .any(|(_, _, life, _)| !life.is_over());
        !asking && (family.is_dead || family.current + 1 == version)
    }

    fn tokens(&self, user: usize, family: &mut Family) -> IdentityTokens {
        let number = family.current;
        // In every other schedule refreshes come thick and fast.
        let longest = if self.scene.seed.is_multiple_of(2) {
            8
        } else {
            400
        };
        let life = Duration::from_secs(2 + self.dice.below(longest));
        let now = self.scene.now();
        family.ends.insert(number, now.plus(life));
        IdentityTokens {
            access_token: SecretString::new(format!("access-{user}-{number}")),
            refresh_token: Some(SecretString::new(format!("refresh-{user}-{number}"))),
            expires_at: Some(now.plus(life)),
            issued_at: now,
            scope: String::new(),
            id_token: None,
            extra: Map::new(),
        }
    }

    fn fate(&self) -> (Fate, Duration) {
        if let Some(scripted) = self.script.lock().unwrap().pop_front() {
            return scripted;
        }
        let slow = if self.dice.is_in(20) { 4500 } else { 60 };
        (self.fate_by_chance(), self.dice.millis(1, slow))
    }

    fn fate_by_chance(&self) -> Fate {
        if !self.dice.is_in(self.faults.load(Ordering::SeqCst)) {
            return Fate::Answers;
        }
        match self.dice.below(10) {
            0..=5 => Fate::Fails,
            6..=8 => Fate::Hangs,
            _ => Fate::LosesAnswer,
        }
    }

    /// The moment at which it decides.
    fn decide(
        &self,
        line: &ProviderLine,
        user: usize,
        shown: u64,
        is_answer_lost: bool,
        is_excused: bool,
    ) -> Result<IdentityTokens, RefreshError> {
        let mut families = self.families.lock().unwrap();
        let family = &mut families[user];
        if family.is_dead {
            return Err(RefreshError::Refused("revoked".to_owned()));
        }
        if shown != family.current {
            family.is_dead = true;
            let earlier = family.uses.get(&shown).cloned();
            drop(families);
            self.reused(line, user, shown, earlier.as_ref(), is_excused);
            return Err(RefreshError::Refused("used before".to_owned()));
        }
        family.current += 1;
        let used = Use {
            process: line.process,
            life: Arc::clone(&line.life),
            trouble: Arc::clone(&line.trouble),
            is_answer_lost,
        };
        family.uses.insert(shown, used);
        self.scene.counts.refreshes.fetch_add(1, Ordering::SeqCst);
        Ok(self.tokens(user, family))
    }

    /// A second use ends the session; nobody can save it where the first answer was lost, on the
    /// way or with the process that had it, or if that one is cut off from the store.
    fn reused(
        &self,
        line: &ProviderLine,
        user: usize,
        shown: u64,
        earlier: Option<&Use>,
        is_excused: bool,
    ) {
        let excuse = earlier.and_then(|used| {
            if used.is_answer_lost {
                Some("its answer was lost")
            } else if used.life.is_over() {
                Some("who had the answer was killed")
            } else if line.life.is_over() {
                Some("who asked was killed")
            } else if line.trouble.hinders(&used.trouble) {
                Some("who asked was cut off meanwhile")
            } else if is_excused || used.trouble.hinders(&line.trouble) {
                Some("who had the answer was cut off")
            } else {
                None
            }
        });
        let process = line.process;
        self.scene.note(&format!(
            "p{process} uses refresh-{user}-{shown} again: {excuse:?}"
        ));
        match excuse {
            Some(excuse) => self.scene.all_of(user, excuse),
            None => self.scene.violated(&format!(
                "p{process} used refresh-{user}-{shown} again, after p{:?}",
                earlier.map(|used| used.process)
            )),
        }
    }

    /// Says whether it is no fault that somebody else has used the token, or is about to.
    fn began(&self, line: &ProviderLine, user: usize, shown: u64) -> bool {
        let mut families = self.families.lock().unwrap();
        let family = &mut families[user];
        let asking = family.under_way.iter();
        let mut others = asking.filter(|(_, token, life, _)| *token == shown && !life.is_over());
        let mut is_excused = others
            .clone()
            .any(|(.., trouble)| trouble.hinders(&line.trouble));
        if let Some(used) = family.uses.get(&shown) {
            is_excused |= used.trouble.hinders(&line.trouble);
        }
        if let Some((other, ..)) = others.find(|(.., trouble)| !trouble.is_lately()) {
            self.scene.violated(&format!(
                "p{} asks with refresh-{user}-{shown} while p{other} does",
                line.process
            ));
        }
        let (life, trouble) = (Arc::clone(&line.life), Arc::clone(&line.trouble));
        family.under_way.push((line.process, shown, life, trouble));
        is_excused
    }

    fn is_over(&self, line: &ProviderLine, user: usize) {
        let mut families = self.families.lock().unwrap();
        let under_way = &mut families[user].under_way;
        under_way.retain(|(process, ..)| *process != line.process);
    }
}

#[async_trait]
impl IdentityRefresher for ProviderLine {
    fn issuer(&self) -> &str {
        PROVIDER
    }

    fn can_refresh(&self, tokens: &IdentityTokens) -> bool {
        tokens.refresh_token.is_some()
    }

    async fn refresh(
        &self,
        _: &Subject,
        current: &IdentityTokens,
    ) -> Result<IdentityTokens, RefreshError> {
        self.life.go_on().await;
        let token = current.refresh_token.as_ref().unwrap().expose();
        let mut parts = token.split('-').skip(1).map(str::parse::<u64>);
        let user = usize::try_from(parts.next().unwrap().unwrap()).unwrap();
        let shown = parts.next().unwrap().unwrap();
        let provider = &self.provider;
        let scene = &provider.scene;
        scene.note(&format!("p{} asks with {token}", self.process));
        let is_excused = provider.began(self, user, shown);
        let began = Instant::now();
        let (fate, travel) = provider.fate();
        sleep(travel).await;
        let answer = match fate {
            Fate::Answers => Some(provider.decide(self, user, shown, false, is_excused)),
            Fate::Fails => Some(Err(RefreshError::Unavailable("503".to_owned()))),
            Fate::Hangs => None,
            Fate::LosesAnswer => {
                drop(provider.decide(self, user, shown, true, is_excused));
                None
            }
        };
        sleep(travel).await;
        if answer.is_none() {
            sleep(PATIENCE.saturating_sub(began.elapsed())).await;
        }
        self.life.go_on().await;
        provider.is_over(self, user);
        let answer =
            answer.unwrap_or_else(|| Err(RefreshError::Unavailable("no answer".to_owned())));
        let said = match &answer {
            Ok(tokens) => tokens.access_token.expose().to_owned(),
            Err(error) => error.to_string(),
        };
        scene.note(&format!("p{} is answered: {said}", self.process));
        answer
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Use by p{}", self.process)
    }
}
