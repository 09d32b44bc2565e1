//! The processes, the people, and what happens to them.

mod stories;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::{credential::Credential, id::Subject, secret::SecretString};
use store::StoredGrant;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::{
    dice::Dice,
    people::{Person, Process, join_all, subject_of},
    provider::{ProviderLine, StrictProvider},
    scene::{Life, Scene, SceneClock},
    shared_store::{Connected, SharedStore, Trouble},
};
use crate::{
    GrantSettings, Grants, IssuedTokens,
    patience::Pace,
    testing::{CountedRandom, HOUR, World as Stage, client, redemption, settings, verifier},
};

pub(super) struct World {
    scene: Arc<Scene>,
    dice: Dice,
    store: Arc<SharedStore>,
    provider: Arc<StrictProvider>,
    random: Arc<CountedRandom>,
    settings: GrantSettings,
    processes: Vec<Process>,
    /// How many processes there were.
    started: usize,
    people: Vec<Arc<Person>>,
    under_way: JoinSet<()>,
    /// What this schedule is about: percent of store faults, provider faults, and kills.
    storms: [u64; 3],
}

const PROCESSES: usize = 3;
/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(120);

// === impl World ===

impl World {
    pub(super) fn new(scene: &Arc<Scene>) -> Self {
        let dice = Dice::new(scene.seed, 0);
        let access_life = [60, 600, HOUR][dice.pick(3)];
        let settings = GrantSettings {
            access_life: Duration::from_secs(access_life),
            refresh_window: Duration::from_secs(access_life + 15 * 60),
            ..settings()
        };
        let storm = |most: u64| if dice.is_in(60) { dice.below(most) } else { 0 };
        let storms = [storm(25), storm(40), storm(8)];
        Self {
            scene: Arc::clone(scene),
            store: Arc::new(SharedStore::new(Arc::clone(scene))),
            provider: Arc::new(StrictProvider::new(Arc::clone(scene))),
            random: Arc::default(),
            settings,
            processes: Vec::new(),
            started: 0,
            people: Vec::new(),
            under_way: JoinSet::new(),
            storms,
            dice,
        }
    }

    pub(super) async fn begin(&mut self) {
        self.processes = (0..PROCESSES).map(|_| self.start()).collect();
        sleep(Duration::from_millis(100)).await;
        for _ in 0..2 {
            self.log_in().await;
        }
    }

    pub(super) async fn step(&mut self) {
        match self.dice.below(100) {
            0..=39 => self.call(),
            40..=56 => self.rotate(),
            57..=60 => self.rotate_at_once(),
            61..=63 => self.show_wrongly(),
            64..=73 => sleep(self.dice.millis(0, 3000)).await,
            74..=78 => self.weather(),
            79..=83 => self.cut_off(),
            84 => self.store.cut_lines(),
            85..=87 => self.kill(),
            88..=89 => self.store.replicate(),
            90..=91 => self.fail_over(),
            92..=95 => self.skip().await,
            96 => self.end(),
            97 => self.steal(),
            98 if self.dice.is_in(30) => {
                let person = self.person();
                self.scene
                    .note(&format!("user {} is taken back", person.user));
                self.provider.take_back(person.user);
            }
            _ if self.people.len() < 5 => self.log_in().await,
            _ => {}
        }
        if self.dice.is_in(50) {
            sleep(self.dice.millis(0, 300)).await;
        }
    }

    /// Everything is well again: who is not ended goes on, who is ended is refused.
    pub(super) async fn calm_down(&mut self) {
        self.scene.note("calm");
        self.store.set_weather(0, 0);
        self.provider.set_faults(0);
        self.finish().await;
        sleep(Duration::from_secs(40)).await;
        for person in self.people.clone() {
            for process in self.processes.clone() {
                for instance in 0..person.instances() {
                    self.judge(&person, &process, instance).await;
                }
            }
        }
    }

    async fn judge(&self, person: &Person, process: &Process, instance: usize) {
        let mut goes_on = false;
        // A sibling's refresh may have failed just now.
        for _ in 0..3 {
            goes_on = match person.call(process, instance).await {
                Some(goes_on) => goes_on,
                None => {
                    person.rotate(process, instance, true).await
                        && person.call(process, instance).await == Some(true)
                }
            };
            if goes_on || person.is_over() {
                break;
            }
            sleep(Duration::from_secs(31)).await;
        }
        let is_live = matches!(
            self.store.look(&person.grant),
            Some(StoredGrant::Live { .. })
        );
        if goes_on != is_live {
            let (grant, index) = (person.grant, process.index);
            self.scene.violated(&format!(
                "in the calm {grant} at p{index} goes on: {goes_on}, but lives: {is_live}"
            ));
        }
    }

    fn start(&mut self) -> Process {
        let index = self.started;
        self.started += 1;
        let (life, trouble) = (Arc::<Life>::default(), Arc::<Trouble>::default());
        let connection = Arc::new(self.store.connect(
            index,
            Arc::clone(&life),
            Arc::clone(&trouble),
        ));
        let line = ProviderLine {
            provider: Arc::clone(&self.provider),
            process: index,
            life: Arc::clone(&life),
            trouble,
        };
        let clock = SceneClock {
            scene: Arc::clone(&self.scene),
            ahead: self.dice.below(3),
        };
        let grants = Grants::with_pace(
            self.settings.clone(),
            Arc::new(Connected(Arc::clone(&connection))),
            vec![Arc::new(line)],
            Arc::new(clock),
            self.random.clone(),
            TaskTracker::new(),
            Pace::default(),
        );
        Process {
            index,
            grants: Arc::new(grants),
            connection,
            life,
        }
    }

    fn process(&self) -> Process {
        self.processes[self.dice.pick(self.processes.len())].clone()
    }

    fn person(&self) -> Arc<Person> {
        Arc::clone(&self.people[self.dice.pick(self.people.len())])
    }

    /// Until one succeeds: a login is not what is tested here.
    async fn log_in(&mut self) {
        for _ in 0..20 {
            let (user, tokens) = self.provider.enrol();
            let mut login = Stage::login(tokens);
            login.identity.subject = Subject::parse(subject_of(user)).unwrap();
            let process = self.process();
            let Ok(Ok(code)) = timeout(LONG, process.grants.open(login)).await else {
                continue;
            };
            let grant = Credential::parse(code.expose()).unwrap().grant;
            self.scene.change(&grant, |truth| truth.user = user);
            let Some(issued) = self.redeem(&code).await else {
                continue;
            };
            self.scene.note(&format!("user {user} has {grant}"));
            let person = Person::new(
                &self.scene,
                &self.provider,
                user,
                self.dice.is_in(15),
                &issued,
                1 + self.dice.pick(3),
            );
            self.people.push(Arc::new(person));
            return;
        }
    }

    /// Some clients call twice.
    async fn redeem(&self, code: &SecretString) -> Option<IssuedTokens> {
        let times = 1 + self.dice.pick(2);
        let calls = (0..times).map(|_| {
            let process = self.process();
            Box::pin(async move {
                let (client, verifier) = (client("client-a"), verifier());
                let redemption = redemption(code.expose(), &client, &verifier);
                process.grants.redeem(redemption).await.ok()
            })
        });
        let answers = timeout(LONG, join_all(calls.collect())).await.ok()?;
        let mut issued: Vec<IssuedTokens> = answers.into_iter().flatten().collect();
        if issued.len() > 1 {
            self.scene.violated("a code was redeemed twice");
        }
        issued.pop()
    }

    fn call(&mut self) {
        for _ in 0..=self.dice.pick(4) {
            let (person, process) = (self.person(), self.process());
            let instance = self.dice.pick(person.instances());
            self.under_way.spawn(async move {
                if person.call(&process, instance).await.is_none() && !process.life.is_over() {
                    person.rotate(&process, instance, true).await;
                }
            });
        }
    }

    fn rotate(&mut self) {
        let (person, process) = (self.person(), self.process());
        let instance = self.dice.pick(person.instances());
        let hears = self.dice.is_in(85);
        self.under_way.spawn(async move {
            person.rotate(&process, instance, hears).await;
        });
    }

    fn rotate_at_once(&mut self) {
        let (person, processes) = (self.person(), self.processes.clone());
        let times = 2 + self.dice.pick(7);
        self.under_way.spawn(async move {
            person.rotate_at_once(&processes, times).await;
        });
    }

    fn show_wrongly(&mut self) {
        let (person, process) = (self.person(), self.process());
        let which = self.dice.pick(1000);
        self.under_way.spawn(async move {
            person.show_wrongly(&process, which).await;
        });
    }

    fn steal(&mut self) {
        let (person, process) = (self.person(), self.process());
        let which = self.dice.pick(1000);
        self.under_way.spawn(async move {
            person.steal(&process, which).await;
        });
    }

    fn end(&mut self) {
        let (person, process) = (self.person(), self.process());
        let by_operator = self.dice.is_in(30);
        self.under_way.spawn(async move {
            person.end(&process, by_operator).await;
        });
    }

    fn weather(&self) {
        let [store, provider, _] = self.storms;
        let or_none = |percent| if self.dice.is_in(50) { percent } else { 0 };
        let (faults, slow, provider) = (or_none(store), or_none(store), or_none(provider));
        self.store.set_weather(faults, slow);
        self.provider.set_faults(provider);
        self.scene.note(&format!(
            "faults: store {faults} % and {slow} % slow, provider {provider} %"
        ));
    }

    /// One process, or all, cannot reach the store for a while.
    fn cut_off(&mut self) {
        if self.storms[0] == 0 {
            return;
        }
        let all = self.dice.is_in(40);
        let one = self.dice.pick(self.processes.len());
        let cut = self.processes.iter().enumerate();
        let cut = cut.filter(|(index, _)| all || *index == one);
        let connections: Vec<_> = cut.map(|(_, it)| Arc::clone(&it.connection)).collect();
        let longest = if self.dice.is_in(10) { 90_000 } else { 12_000 };
        let time = self.dice.millis(50, longest);
        self.scene
            .note(&format!("{connections:?} cut for {time:?}"));
        if all {
            self.store.cut_lines();
        }
        for connection in &connections {
            connection.cut();
        }
        self.under_way.spawn(async move {
            sleep(time).await;
            for connection in connections {
                connection.mend();
            }
        });
    }

    /// Nobody reaches the store for a moment, and then a replica.
    fn fail_over(&mut self) {
        let processes = self.processes.iter();
        let connections: Vec<_> = processes.map(|it| Arc::clone(&it.connection)).collect();
        let time = self.dice.millis(500, 3000);
        let (store, scene) = (Arc::clone(&self.store), Arc::clone(&self.scene));
        for connection in &connections {
            connection.cut();
        }
        store.cut_lines();
        self.under_way.spawn(async move {
            sleep(time).await;
            if store.fail_over() {
                scene.note("a replica takes over");
            }
            for connection in connections {
                connection.mend();
            }
        });
    }

    fn kill(&mut self) {
        if self.storms[2] == 0 {
            return;
        }
        let which = self.dice.pick(self.processes.len());
        self.processes[which].life.end();
        let killed = self.processes[which].index;
        self.scene.counts.kills.fetch_add(1, Ordering::SeqCst);
        self.processes[which] = self.start();
        let next = self.processes[which].index;
        self.scene
            .note(&format!("p{killed} is killed, p{next} starts"));
    }

    /// Time passes in which nothing is done; afterwards all instances refresh, since one that is
    /// idle for two weeks while others are not is taken for a thief.
    async fn skip(&mut self) {
        let seconds = match self.dice.below(10) {
            0..=5 => 1 + self.dice.below(300),
            6..=8 => self.dice.below(9 * HOUR),
            _ => self.dice.below(6 * 24 * HOUR),
        };
        self.finish().await;
        if !self.is_settled().await {
            return;
        }
        self.scene.note(&format!("{seconds} s are skipped"));
        self.scene.skip(seconds);
        if seconds < HOUR {
            return;
        }
        for person in self.people.clone() {
            for instance in 0..person.instances() {
                for _ in 0..60 {
                    let process = self.process();
                    if person.is_over() || person.rotate(&process, instance, true).await {
                        break;
                    }
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Waits a while until all that the provider has answered is stored: a machine that sleeps loses
    /// its leases, which is not what a skip is about.
    async fn is_settled(&self) -> bool {
        // For a while, so that nobody is between two tries either.
        let mut times = 0;
        for _ in 0..40 {
            let mut people = self.people.iter();
            let is_settled = people.all(|person| {
                let stored = self.store.look(&person.grant);
                match stored {
                    Some(StoredGrant::Live {
                        identity: Some(identity),
                        ..
                    }) => self.provider.is_settled(person.user, identity.version),
                    _ => true,
                }
            });
            times = if is_settled { times + 1 } else { 0 };
            if times > 5 {
                return true;
            }
            sleep(Duration::from_millis(500)).await;
        }
        false
    }

    /// Waits for all that people do; nothing of that may hang.
    async fn finish(&mut self) {
        let began = Instant::now();
        while self.under_way.join_next().await.is_some() {}
        if began.elapsed() > LONG {
            self.scene.violated("a request hangs");
        }
    }
}
