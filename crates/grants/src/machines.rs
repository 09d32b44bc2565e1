//! What holds over several processes on one store: two sets of grants over one real server.

mod losses;

use std::{sync::Arc, time::Duration};

use domain::{random::Random, secret::SecretString};
use store::{
    GrantStore as _, Lease,
    redis::{RedisAddress, RedisSettings, RedisStore, RedisTls},
};
use testkit::{redis::Redis, wait};
use tokio_util::task::TaskTracker;

use crate::{
    AuthenticateError, GrantSettings, Grants, IdentityError, Session, TokenError,
    patience::Pace,
    testing::{
        Answer, Connected, CountedRandom, HOUR, MINUTE, ManualClock, ScriptedProvider, World,
        client, network, pace, redemption, resource, rotation, settings, verifier,
    },
};

const SOON: Duration = Duration::from_secs(20);

struct Machines {
    redis: Redis,
    clock: Arc<ManualClock>,
    random: Arc<CountedRandom>,
    provider: Arc<ScriptedProvider>,
    here: Grants,
    there: Grants,
}

impl Machines {
    async fn start() -> Self {
        Self::with(settings(), pace()).await
    }

    async fn with(settings: GrantSettings, pace: Pace) -> Self {
        Self::on(Redis::start().await.unwrap(), settings, pace).await
    }

    async fn on(redis: Redis, settings: GrantSettings, pace: Pace) -> Self {
        let clock = Arc::new(ManualClock::new());
        let random = Arc::new(CountedRandom::default());
        let provider = Arc::new(ScriptedProvider::new(clock.clone()));
        let [here, there] = Self::two(&redis, &settings, pace, &clock, &random, &provider).await;
        let machines = Self {
            redis,
            clock,
            random,
            provider,
            here,
            there,
        };
        machines.listening(0).await;
        machines
    }

    async fn two(
        redis: &Redis,
        settings: &GrantSettings,
        pace: Pace,
        clock: &Arc<ManualClock>,
        random: &Arc<CountedRandom>,
        provider: &Arc<ScriptedProvider>,
    ) -> [Grants; 2] {
        let machine = async || {
            Grants::with_pace(
                settings.clone(),
                Arc::new(connect(redis, random.clone()).await),
                vec![provider.clone()],
                clock.clone(),
                random.clone(),
                TaskTracker::new(),
                pace,
            )
        };
        [machine().await, machine().await]
    }

    /// Waits until both listen, for the next time after `generation`.
    async fn listening(&self, generation: u64) {
        wait::until_true("both to listen", SOON, || {
            [&self.here, &self.there]
                .iter()
                .all(|grants| grants.heart.registry.generation() > generation)
        })
        .await
        .unwrap();
    }

    /// A login through one machine, with identity tokens of this life.
    async fn connect(&self, grants: &Grants, life: u64) -> Connected {
        let login = World::login(self.provider.first_tokens(Some(life)));
        let code = grants.open(login).await.unwrap();
        Connected::of(self.redeem(grants, &code).await.unwrap())
    }

    async fn redeem(
        &self,
        grants: &Grants,
        code: &SecretString,
    ) -> Result<crate::IssuedTokens, TokenError> {
        let (client, verifier) = (client("client-a"), verifier());
        grants
            .redeem(redemption(code.expose(), &client, &verifier))
            .await
    }
}

pub(crate) async fn connect(redis: &Redis, random: Arc<dyn Random>) -> RedisStore {
    let settings = RedisSettings {
        address: RedisAddress::parse(&redis.url()).unwrap(),
        tls: RedisTls::default(),
        prefix: "oidc:".to_owned(),
    };
    let clock = ManualClock::new();
    let connected = RedisStore::connect(&settings, random, &clock).await;
    connected.unwrap()
}

async fn call(grants: &Grants, access: &str) -> Result<Session, AuthenticateError> {
    grants.authenticate(access, &resource(), network(1)).await
}

async fn rotate(grants: &Grants, refresh: &str, from: u8) -> Result<Connected, TokenError> {
    let client = client("client-a");
    let rotated = grants.rotate(rotation(refresh, &client, from)).await;
    rotated.map(Connected::of)
}

async fn token(session: &Session) -> String {
    let token = session.identity_token().await.unwrap();
    token.access_token.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opened_at_one_machine_is_served_and_rotated_by_the_other() {
    let machines = Machines::start().await;
    let (here, there) = (&machines.here, &machines.there);
    let login = World::login(machines.provider.first_tokens(Some(8 * HOUR)));
    let code = here.open(login).await.unwrap();
    let first = Connected::of(machines.redeem(there, &code).await.unwrap());
    let replayed = machines.redeem(here, &code).await.unwrap_err();
    assert!(matches!(replayed, TokenError::CodeReplayed), "{replayed}");
    let session = call(here, &first.access).await.unwrap();
    assert_eq!(token(&session).await, "identity-access-0");
    // Each machine rotates what the other issued.
    let second = rotate(there, &first.refresh, 1).await.unwrap();
    let third = rotate(here, &second.refresh, 1).await.unwrap();
    let fourth = rotate(there, &third.refresh, 1).await.unwrap();
    for access in [&first.access, &second.access, &fourth.access] {
        for grants in [here, there] {
            assert!(call(grants, access).await.is_ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_uses_of_a_refresh_token_over_two_machines_get_one_generation() {
    let machines = Arc::new(Machines::start().await);
    let first = machines.connect(&machines.here, 8 * HOUR).await;
    assert!(call(&machines.there, &first.access).await.is_ok());
    let users: Vec<_> = (0..16)
        .map(|index| {
            let (machines, refresh) = (Arc::clone(&machines), first.refresh.clone());
            tokio::spawn(async move {
                let grants = [&machines.here, &machines.there][index % 2];
                rotate(grants, &refresh, 1).await.unwrap().refresh
            })
        })
        .collect();
    let mut issued = Vec::new();
    for user in users {
        issued.push(user.await.unwrap());
    }
    issued.dedup();
    assert_eq!(issued.len(), 1);
}

/// A machine that looked only into its memory would take the sibling's token for stolen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_token_is_judged_by_what_the_other_machine_has_seen() {
    let machines = Machines::start().await;
    let (here, there) = (&machines.here, &machines.there);
    let first = machines.connect(here, 8 * HOUR).await;
    let second = rotate(here, &first.refresh, 1).await.unwrap();
    let third = rotate(here, &second.refresh, 1).await.unwrap();
    // `here` knows that the third was used, and so that no answer was lost.
    assert!(call(here, &third.access).await.is_ok());
    here.heart.tasks.close();
    here.heart.tasks.wait().await;
    // From network 7, whose address `here` has never seen.
    let fourth = rotate(there, &third.refresh, 7).await.unwrap();
    machines.clock.advance(3 * HOUR);
    let sibling = rotate(here, &second.refresh, 7).await.unwrap();
    assert_eq!(sibling.refresh, fourth.refresh);
    let stranger = rotate(here, &second.refresh, 9).await.unwrap_err();
    assert!(
        matches!(stranger, TokenError::RefreshReplayed),
        "{stranger}"
    );
    let ended = rotate(there, &fourth.refresh, 7).await.unwrap_err();
    assert!(matches!(ended, TokenError::Ended), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_issued_and_lives_prolonged_elsewhere_count_here() {
    let machines = Machines::start().await;
    let (here, there) = (&machines.here, &machines.there);
    let mut last = machines.connect(here, 80 * 24 * HOUR).await;
    assert!(call(here, &last.access).await.is_ok());
    // Far beyond the idle life that `here` knows of, over many moves of the pads.
    for _ in 0..8 {
        machines.clock.advance(5 * 24 * HOUR);
        last = rotate(there, &last.refresh, 1).await.unwrap();
    }
    assert!(call(here, &last.access).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_effective_on_the_other_machine_and_cuts_its_streams() {
    let machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 8 * HOUR).await;
    let session = call(&machines.there, &connected.access).await.unwrap();
    let stream = tokio::spawn(async move { session.ended().await });
    let owner = client("client-a");
    let revoked = machines.here.revoke(&connected.refresh, &owner).await;
    revoked.unwrap();
    tokio::time::timeout(SOON, stream).await.unwrap().unwrap();
    let refused = call(&machines.there, &connected.access).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_whose_announcement_was_lost_is_found_out() {
    let machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 8 * HOUR).await;
    let session = call(&machines.there, &connected.access).await.unwrap();
    let generation = machines.there.heart.registry.generation();
    // As an end looks in the store, with nobody told of it.
    let key = format!("oidc:v1:g:{{{}}}", session.grant());
    let script = "local g = redis.call('GET', KEYS[1])
        return redis.call('SET', KEYS[1], '\\1\\2' .. string.sub(g, 3, 18), 'KEEPTTL')";
    let answer = machines.redis.command(&["EVAL", script, "1", &key]).await;
    assert_eq!(answer.unwrap(), "+OK\r\n");
    assert!(call(&machines.there, &connected.access).await.is_ok());
    // What an announcement is lost by: the connection.
    let cut = ["CLIENT", "KILL", "TYPE", "pubsub"];
    machines.redis.command(&cut).await.unwrap();
    machines.listening(generation).await;
    let refused = call(&machines.there, &connected.access).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended), "{refused}");
    tokio::time::timeout(SOON, session.ended()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_sessions_cost_no_commands() {
    let machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 8 * HOUR).await;
    let commands = async || {
        let info = machines.redis.command(&["INFO", "stats"]).await.unwrap();
        let (_, rest) = info.split_once("total_commands_processed:").unwrap();
        rest.split_once('\r').unwrap().0.parse::<usize>().unwrap()
    };
    let session = call(&machines.here, &connected.access).await.unwrap();
    machines.here.heart.tasks.close();
    machines.here.heart.tasks.wait().await;
    let before = commands().await;
    for _ in 0..2000 {
        let session = call(&machines.here, &connected.access).await.unwrap();
        assert_eq!(token(&session).await, "identity-access-0");
    }
    drop(session);
    // The beats of two machines, and the question itself.
    let cost = commands().await - before;
    assert!(cost < 20, "{cost} commands for 2,000 calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_on_both_machines_at_expiry_make_one_refresh() {
    let machines = Arc::new(Machines::start().await);
    let connected = machines.connect(&machines.here, 600).await;
    let sessions = [
        call(&machines.here, &connected.access).await.unwrap(),
        call(&machines.there, &connected.access).await.unwrap(),
    ];
    for round in 1..=3 {
        machines.clock.advance(8 * HOUR);
        let callers: Vec<_> = (0..32)
            .map(|index| {
                let session = sessions[index % 2].clone();
                tokio::spawn(async move { token(&session).await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), format!("identity-access-{round}"));
        }
        assert_eq!(machines.provider.calls(), round);
    }
}

/// The other machine refreshed, and so long ago that its token is over as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_another_machine_stored_is_renewed_where_it_is_over_too() {
    let machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 600).await;
    let here = call(&machines.here, &connected.access).await.unwrap();
    let there = call(&machines.there, &connected.access).await.unwrap();
    machines.clock.advance(600);
    assert_eq!(token(&there).await, "identity-access-1");
    machines.clock.advance(8 * HOUR);
    assert_eq!(token(&here).await, "identity-access-2");
    assert_eq!(machines.provider.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_machine_that_refreshes_dies_the_next_one_goes_on() {
    let machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 600).await;
    let session = call(&machines.there, &connected.access).await.unwrap();
    let dead = connect(&machines.redis, machines.random.clone()).await;
    let life = Duration::from_millis(500);
    let lease = dead
        .lease_refresh(&session.grant(), 1, &[9; 16], life)
        .await;
    assert_eq!(lease.unwrap(), Lease::Taken { earlier: None });
    machines.clock.advance(600);
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(machines.provider.calls(), 1);
}

/// A machine was so slow that its lease lapsed; the next one used the same refresh token and was
/// refused by a strict provider. The answer that the slow one has must win.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_waits_for_the_answer_that_another_machine_may_have() {
    let machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 600).await;
    let session = call(&machines.here, &connected.access).await.unwrap();
    let slow = call(&machines.there, &connected.access).await.unwrap();
    machines.clock.advance(600);
    // `there` asks and does not hear the answer yet.
    machines.provider.hang();
    let answered = tokio::spawn(async move { token(&slow).await });
    machines.provider.asked(1).await;
    // Its lease is gone, as after a long sleep.
    let key = format!("oidc:v1:l:{{{}}}", session.grant());
    let lapse = ["HSET", &key, "e", "1"];
    machines.redis.command(&lapse).await.unwrap();
    machines
        .provider
        .will(&[Answer::Tokens(Some(8 * HOUR)), Answer::Refused]);
    let refused = tokio::spawn(async move { session.identity_token().await });
    machines.provider.asked(2).await;
    machines.provider.go_on();
    assert_eq!(answered.await.unwrap(), "identity-access-1");
    let adopted = refused.await.unwrap().unwrap();
    assert_eq!(adopted.access_token.expose(), "identity-access-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_stands_ends_the_grant_on_both_machines() {
    let pace = Pace {
        doubt: Duration::from_millis(100),
        ..pace()
    };
    let machines = Machines::with(settings(), pace).await;
    let connected = machines.connect(&machines.here, 600).await;
    let session = call(&machines.here, &connected.access).await.unwrap();
    let other = call(&machines.there, &connected.access).await.unwrap();
    machines.clock.advance(600);
    machines.provider.will(&[Answer::Refused]);
    let error = session.identity_token().await.unwrap_err();
    let IdentityError::Ended(reason) = &error else {
        panic!("{error}")
    };
    assert!(reason.contains("refused"), "{reason}");
    tokio::time::timeout(SOON, other.ended()).await.unwrap();
    let refused = call(&machines.there, &connected.access).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended), "{refused}");
    assert_eq!(machines.provider.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_sessions_in_memory_go_on_and_nothing_is_refreshed() {
    let mut machines = Machines::start().await;
    let connected = machines.connect(&machines.here, 600).await;
    let session = call(&machines.here, &connected.access).await.unwrap();
    let generation = machines.here.heart.registry.generation();
    machines.redis.process().kill().unwrap();
    assert_eq!(token(&session).await, "identity-access-0");
    assert!(call(&machines.here, &connected.access).await.is_ok());
    let refused = rotate(&machines.here, &connected.refresh, 1).await;
    assert!(matches!(refused, Err(TokenError::Unavailable(_))));
    let unknown = call(&machines.there, &connected.access).await;
    assert!(matches!(unknown, Err(AuthenticateError::Unavailable(_))));
    // No store, no refresh: two machines would use the same token.
    machines.clock.advance(600);
    let error = session.identity_token().await.unwrap_err();
    assert!(
        matches!(error, IdentityError::Unavailable { .. }),
        "{error}"
    );
    assert_eq!(machines.provider.calls(), 0);

    machines.redis.start_again().await.unwrap();
    machines.listening(generation).await;
    machines.clock.advance(MINUTE);
    assert_eq!(token(&session).await, "identity-access-1");
    assert!(call(&machines.there, &connected.access).await.is_ok());
    assert!(rotate(&machines.there, &connected.refresh, 1).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_grace_a_machine_that_is_cut_off_serves_nobody_and_cuts_its_streams() {
    let settings = GrantSettings {
        store_grace: Duration::from_secs(5),
        ..settings()
    };
    let mut machines = Machines::with(settings, pace()).await;
    let connected = machines.connect(&machines.here, 8 * HOUR).await;
    let session = call(&machines.here, &connected.access).await.unwrap();
    machines.redis.process().kill().unwrap();
    assert!(call(&machines.here, &connected.access).await.is_ok());
    tokio::time::timeout(SOON, session.ended()).await.unwrap();
    let refused = call(&machines.here, &connected.access).await;
    assert!(matches!(refused, Err(AuthenticateError::Unavailable(_))));
    machines.redis.start_again().await.unwrap();
    assert!(call(&machines.here, &connected.access).await.is_ok());
}
