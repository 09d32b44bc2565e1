mod budgets;
mod cluster;
mod losses;
mod model;
mod records;
mod replicas;
mod sentinel;

use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::aio::MultiplexedConnection;
use async_trait::async_trait;
use domain::{
    secret::SecretString,
    time::{Clock, Timestamp},
};
use testkit::{certificate::Certificate, redis::Redis};

use super::*;
use crate::{
    ClientStore as _, DeviceStore as _, Ears, GrantStore as _, InteractionStore as _, Lease,
    Settled, StoredGrant,
    contract::{Engine, GRANT, MINUTE, client, contract, live},
};

#[derive(Debug)]
struct CountedRandom(AtomicU64);

impl Random for CountedRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            *byte = count.to_le_bytes()[0] ^ count.to_le_bytes()[1];
        }
    }
}

struct Fixture {
    redis: Redis,
    prefix: String,
}

impl Fixture {
    async fn new() -> Self {
        Self {
            redis: Redis::start().await.unwrap(),
            prefix: "oidc:".to_owned(),
        }
    }

    fn settings(&self) -> RedisSettings {
        settings(&self.redis.url(), &self.prefix)
    }

    async fn connect(&self) -> RedisStore {
        connect(&self.settings()).await.unwrap()
    }

    /// A connection beside the store's.
    async fn admin(&self) -> MultiplexedConnection {
        let client = ::redis::Client::open(self.redis.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn forget_all(&self) {
        let forgotten: Result<(), _> = cmd("FLUSHALL").query_async(&mut self.admin().await).await;
        forgotten.unwrap();
    }

    async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = cmd("KEYS")
            .arg("*")
            .query_async(&mut self.admin().await)
            .await
            .unwrap();
        keys.sort();
        keys
    }
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "real servers live in real time")]
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_unix(since.as_secs())
    }
}

fn random() -> Arc<dyn Random> {
    Arc::new(CountedRandom(AtomicU64::new(0)))
}

fn settings(url: &str, prefix: &str) -> RedisSettings {
    RedisSettings {
        address: RedisAddress::parse(url).unwrap(),
        tls: RedisTls::default(),
        prefix: prefix.to_owned(),
    }
}

async fn connect(settings: &RedisSettings) -> Result<RedisStore, ConnectError> {
    RedisStore::connect(settings, random(), &SystemClock).await
}

/// Ages every record and every entry of a list, as if time had passed.
const AGE: &str = r"
local by = tonumber(ARGV[1]) * 1000
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'zset' then
    local step = key == 'oidc:v1:unused' and by * 1000 or by
    for _, name in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, string.format('%.0f', -step), name)
    end
  end
  if redis.call('TYPE', key).ok == 'hash' then
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if name == 'e' or string.sub(name, 1, 1) == 't' then
        redis.call('HINCRBY', key, name, string.format('%.0f', -by))
      end
    end
  end
  local left = redis.call('PTTL', key)
  assert(left > 0, key .. ' has no end')
  redis.call('PEXPIRE', key, math.max(0, left - by))
end
";

async fn age(server: &Redis, seconds: u64) {
    let client = ::redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = cmd("EVAL");
    command.arg(AGE).arg(0).arg(seconds);
    let aged: Result<(), _> = command.query_async(&mut connection).await;
    aged.unwrap();
}

async fn connect_bounded(
    settings: &RedisSettings,
    unused_clients: u64,
    interactions: u64,
) -> RedisStore {
    let bounds = Bounds {
        unused_clients,
        interactions,
    };
    let store = RedisStore::connect_bounded(settings, random(), &SystemClock, bounds);
    store.await.unwrap()
}

#[async_trait]
impl Engine for Fixture {
    async fn start() -> Self {
        Self::new().await
    }

    async fn open_bounded(&self, unused_clients: u64, interactions: u64) -> Arc<dyn Store> {
        Arc::new(connect_bounded(&self.settings(), unused_clients, interactions).await)
    }

    async fn pass(&self, seconds: u64) {
        age(&self.redis, seconds).await;
    }
}

contract!(Fixture);

#[tokio::test]
async fn records_stand_under_the_prefix_and_those_of_a_grant_in_one_slot() {
    let mut fixture = Fixture::new().await;
    fixture.prefix = "other:".to_owned();
    let store = fixture.connect().await;
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store
        .put_device(&GRANT, vec![1], [0; 8], MINUTE)
        .await
        .unwrap();
    let keys = fixture.keys().await;
    let grant = GRANT.to_string();
    let expected = ["d", "g", "i"].map(|kind| format!("other:v1:{kind}:{{{grant}}}"));
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn an_end_erases_the_identity_session_and_everything_but_the_fact() {
    let fixture = Fixture::new().await;
    let store = fixture.connect().await;
    store
        .open_grant(&GRANT, vec![77; 100], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    let key = format!("oidc:v1:g:{{{GRANT}}}");
    assert_eq!(fixture.keys().await, [key.as_str()]);
    let length: usize = cmd("STRLEN")
        .arg(key)
        .query_async(&mut fixture.admin().await)
        .await
        .unwrap();
    assert_eq!(length, 18, "format, state, version, operation");
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_again() {
    let fixture = Fixture::new().await;
    let store = fixture.connect().await;
    let open = async |operation: u8| {
        store
            .name_device(&[operation; 16], &GRANT, MINUTE)
            .await
            .unwrap()
    };
    assert!(open(1).await);
    let flushed: Result<(), _> = cmd("SCRIPT")
        .arg("FLUSH")
        .query_async(&mut fixture.admin().await)
        .await;
    flushed.unwrap();
    assert!(open(2).await);
}

#[tokio::test]
async fn what_was_answered_outlives_a_server_that_is_killed() {
    let mut fixture = Fixture::new().await;
    let store = fixture.connect().await;
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE * 10)
        .await
        .unwrap();
    fixture.redis.process().kill().unwrap();
    let away = store.load_grant(&GRANT).await.unwrap_err().to_string();
    assert!(away.contains("not available"), "{away}");
    fixture.redis.start_again().await.unwrap();
    let identity = StoredIdentity {
        version: 1,
        sealed: vec![2],
    };
    assert_eq!(live(&store).await, (1, vec![1], Some(identity)));
}

#[tokio::test]
async fn a_connection_that_is_cut_while_idle_is_not_noticed() {
    let fixture = Fixture::new().await;
    let store = fixture.connect().await;
    for round in 0..20_u8 {
        let killed: Result<(), _> = cmd("CLIENT")
            .arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .query_async(&mut fixture.admin().await)
            .await;
        drop(killed);
        store
            .register_client(&client("a"), vec![round], MINUTE)
            .await
            .unwrap();
        let loaded = store.load_client(&client("a")).await.unwrap();
        assert_eq!(loaded, Some(vec![round]));
    }
}

/// What a connection that broke between the step and its answer leaves: the step, sent again.
#[tokio::test]
async fn a_step_that_is_sent_twice_is_done_once() {
    let fixture = Fixture::new().await;
    let store = fixture.connect().await;
    let (key, memo) = (store.keys.state(&[1; 32]), store.keys.taken(&[1; 32]));
    store.put_state(&[1; 32], &[2; 16], MINUTE).await.unwrap();
    let take = async |operation: [u8; 8]| {
        let arguments: [&[u8]; 2] = [&operation, b"10000"];
        let (_, value, _): Answer = store
            .link
            .run(&store.scripts.take, &[&key, &memo], &arguments)
            .await
            .unwrap();
        value
    };
    assert_eq!(take([1; 8]).await, Some(vec![2; 16]));
    assert_eq!(take([1; 8]).await, Some(vec![2; 16]), "its own repetition");
    assert_eq!(take([2; 8]).await, None, "somebody else");

    let open = |body: u8| store.open_grant(&GRANT, vec![body], vec![2], [0; 8], MINUTE);
    open(1).await.unwrap();
    store
        .replace_grant(&GRANT, 1, vec![5], [1; 8], MINUTE)
        .await
        .unwrap();
    open(1).await.unwrap();
    assert_eq!(live(&store).await.1, [5], "an opening that came late");
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    open(1).await.unwrap();
    let stored = store.load_grant(&GRANT).await.unwrap();
    assert_eq!(stored, Some(StoredGrant::Ended));
}

const LIFE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn one_refreshes_at_a_time_and_what_others_tried_is_remembered() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    here.open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE * 10)
        .await
        .unwrap();
    let ask = async |store: &RedisStore, version, holder: u8| {
        store
            .lease_refresh(&GRANT, version, &[holder; 16], LIFE)
            .await
            .unwrap()
    };
    let alone = Lease::Taken { earlier: None };
    assert_eq!(ask(&here, 1, 1).await, alone);
    assert_eq!(ask(&here, 1, 1).await, alone, "renewed");
    assert_eq!(ask(&there, 1, 2).await, Lease::Busy);
    // Its holder died.
    age_lease(&fixture, 5).await;
    let Lease::Taken {
        earlier: Some(earlier),
    } = ask(&there, 1, 2).await
    else {
        panic!("the try of the first is forgotten")
    };
    assert!(earlier >= Duration::from_secs(5), "{earlier:?}");
    assert_eq!(ask(&here, 1, 1).await, Lease::Busy);
    // Given back it is free at once.
    there.release_refresh(&GRANT, &[2; 16]).await.unwrap();
    assert!(matches!(ask(&here, 1, 1).await, Lease::Taken { .. }));
    // What nobody holds any more is given back in vain.
    there.release_refresh(&GRANT, &[2; 16]).await.unwrap();
    assert_eq!(ask(&there, 1, 2).await, Lease::Busy);

    // Settled by one whose lease has lapsed: the version decides.
    let settled = there.settle_identity(&GRANT, 1, vec![3]).await.unwrap();
    assert_eq!(settled, Settled::Done);
    let newer = Lease::Newer(StoredIdentity {
        version: 2,
        sealed: vec![3],
    });
    assert_eq!(ask(&here, 1, 1).await, newer);
    assert_eq!(ask(&here, 2, 1).await, alone, "a version is tried anew");
    here.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(ask(&there, 2, 2).await, Lease::Ended);
}

/// Sets the times in the lease of [`GRANT`] back.
async fn age_lease(fixture: &Fixture, seconds: u64) {
    let script = r"
        for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
          if name == 'e' or string.sub(name, 1, 1) == 't' then
            redis.call('HINCRBY', KEYS[1], name, -1000 * ARGV[1])
          end
        end";
    let mut command = cmd("EVAL");
    command.arg(script).arg(1);
    command.arg(format!("oidc:v1:l:{{{GRANT}}}")).arg(seconds);
    let aged: Result<(), _> = command.query_async(&mut fixture.admin().await).await;
    aged.unwrap();
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sound {
    Ended(GrantId),
    Began,
    Confirmed,
    Interrupted { is_reached: bool },
}

#[derive(Debug)]
struct Heard(tokio::sync::mpsc::UnboundedSender<Sound>);

impl Ears for Heard {
    fn ended(&self, grant: &GrantId) {
        drop(self.0.send(Sound::Ended(*grant)));
    }

    fn began(&self) {
        drop(self.0.send(Sound::Began));
    }

    fn confirmed(&self, _: std::time::Instant) {
        drop(self.0.send(Sound::Confirmed));
    }

    fn interrupted(&self, is_reached: bool) {
        drop(self.0.send(Sound::Interrupted { is_reached }));
    }
}

/// The next sound that is no beat.
async fn next(sounds: &mut tokio::sync::mpsc::UnboundedReceiver<Sound>) -> Sound {
    loop {
        match sounds.recv().await.unwrap() {
            Sound::Confirmed => {}
            sound => return sound,
        }
    }
}

#[tokio::test]
async fn an_end_is_heard_by_all_and_so_is_that_hearing_was_interrupted() {
    let mut fixture = Fixture::new().await;
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    let (sender, mut sounds) = tokio::sync::mpsc::unbounded_channel();
    here.listen(Arc::new(Heard(sender)));
    assert_eq!(next(&mut sounds).await, Sound::Began);
    assert_eq!(sounds.recv().await, Some(Sound::Confirmed));
    there
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    there.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(next(&mut sounds).await, Sound::Ended(GRANT));

    fixture.redis.process().kill().unwrap();
    let away = Sound::Interrupted { is_reached: false };
    assert_eq!(next(&mut sounds).await, away);
    fixture.redis.start_again().await.unwrap();
    while next(&mut sounds).await != Sound::Began {}
    there.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(next(&mut sounds).await, Sound::Ended(GRANT));
    // One that hangs is noticed too.
    fixture.redis.process().freeze().unwrap();
    assert_eq!(next(&mut sounds).await, away);
    fixture.redis.process().thaw().unwrap();
}

#[tokio::test]
async fn who_may_not_listen_is_told_apart_from_a_store_that_is_away() {
    let redis = Redis::start().await.unwrap();
    let words = "ACL SETUSER proxy on >its-own-password ~* resetchannels +@all";
    let words: Vec<&str> = words.split(' ').collect();
    assert_eq!(redis.command(&words).await.unwrap(), "+OK\r\n");
    let url = format!("redis://proxy:its-own-password@127.0.0.1:{}", redis.port());
    let store = connect(&settings(&url, "oidc:")).await.unwrap();
    let (sender, mut sounds) = tokio::sync::mpsc::unbounded_channel();
    store.listen(Arc::new(Heard(sender)));
    let interrupted = |is_reached| Sound::Interrupted { is_reached };
    assert_eq!(next(&mut sounds).await, interrupted(false));
    assert_eq!(next(&mut sounds).await, interrupted(true));
}

#[tokio::test]
async fn of_two_who_share_keys_one_is_first() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.connect().await, fixture.connect().await);
    assert_eq!(here.shared_keys().await.unwrap(), None);
    let shared = async |store: &RedisStore, keys: u8, replaces: Option<&[u8]>| {
        store.share_keys(&[keys], replaces).await.unwrap()
    };
    assert_eq!(shared(&here, 1, None).await, [1]);
    assert_eq!(shared(&there, 2, None).await, [1]);
    assert_eq!(shared(&there, 2, Some(&[1])).await, [2]);
    assert_eq!(here.shared_keys().await.unwrap(), Some(vec![2]));
}

#[tokio::test]
async fn a_password_opens_and_is_shown_to_nobody() {
    let password = "hunter2-hunter2";
    let redis = Redis::start_with(&["--requirepass", password])
        .await
        .unwrap();
    let url = |secret: &str| format!("redis://:{secret}@127.0.0.1:{}/3", redis.port());
    let right = settings(&url(password), "oidc:");
    let store = connect(&right).await.unwrap();
    store
        .register_client(&client("a"), vec![1], MINUTE)
        .await
        .unwrap();
    let keyspace = {
        let client = ::redis::Client::open(url(password)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let info: String = cmd("INFO")
            .arg("keyspace")
            .query_async(&mut connection)
            .await
            .unwrap();
        info
    };
    assert!(keyspace.contains("db3:"), "{keyspace}");

    let wrong = settings(&url("not-hunter-2"), "oidc:");
    let refused = connect(&wrong).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    let none = settings(&redis.url(), "oidc:");
    let unnamed = connect(&none).await.unwrap_err();
    assert!(matches!(unnamed, ConnectError::Refused { .. }), "{unnamed}");
    for shown in [
        format!("{store:?} {right:?}"),
        format!("{refused} {refused:?} {wrong:?}"),
    ] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

#[tokio::test]
async fn a_named_user_with_the_rights_of_its_prefix_is_enough() {
    let rules = "on >its-own-password ~oidc:* &oidc:* +@all -@dangerous +info";
    let redis = Redis::start().await.unwrap();
    let mut words = vec!["ACL", "SETUSER", "proxy"];
    words.extend(rules.split(' '));
    assert_eq!(redis.command(&words).await.unwrap(), "+OK\r\n");
    let url = format!("redis://proxy:its-own-password@127.0.0.1:{}", redis.port());
    let store = connect(&settings(&url, "oidc:")).await.unwrap();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    // Elsewhere it may do nothing.
    let foreign = connect(&settings(&url, "foreign:")).await.unwrap();
    assert!(foreign.load_grant(&GRANT).await.is_err());
}

#[tokio::test]
async fn a_self_signed_certificate_counts_only_where_it_is_named_or_nothing_is_verified() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let server = Certificate::for_localhost().unwrap();
    let ours = Certificate::for_localhost().unwrap();
    let tls_port = testkit::port::Port::reserve().unwrap();
    let number = tls_port.number().to_string();
    let redis = Redis::start_with(&[
        "--tls-port",
        &number,
        "--tls-cert-file",
        &server.path().display().to_string(),
        "--tls-key-file",
        &server.key_path().display().to_string(),
        "--tls-ca-cert-file",
        &ours.path().display().to_string(),
        "--tls-auth-clients",
        "optional",
    ])
    .await
    .unwrap();
    let connect = async |verifies, ca: Option<&str>, with_identity: bool| {
        let mut settings = settings(&format!("rediss://localhost:{number}"), "oidc:");
        settings.tls = RedisTls {
            verifies,
            ca_certificates: ca.map(|pem| pem.as_bytes().to_vec()).into_iter().collect(),
            identity: with_identity.then(|| {
                (
                    ours.pem.as_bytes().to_vec(),
                    SecretString::new(ours.key.clone()),
                )
            }),
        };
        connect(&settings).await
    };
    let unknown = connect(true, None, false).await.unwrap_err();
    assert!(
        matches!(unknown, ConnectError::Untrusted { .. }),
        "{unknown}"
    );
    for (verifies, ca) in [(false, None), (true, Some(server.pem.as_str()))] {
        let store = connect(verifies, ca, false).await.unwrap();
        assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
    }

    let strict = ["CONFIG", "SET", "tls-auth-clients", "yes"];
    assert_eq!(redis.command(&strict).await.unwrap(), "+OK\r\n");
    let unproven = connect(true, Some(&server.pem), false).await.unwrap_err();
    assert!(
        matches!(unproven, ConnectError::Untrusted { .. }),
        "{unproven}"
    );
    let store = connect(true, Some(&server.pem), true).await.unwrap();
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
}

#[tokio::test]
async fn nobody_there_is_said_with_the_variable_to_look_at() {
    let port = testkit::port::Port::reserve().unwrap();
    let url = format!("redis://:secret-of-ours@127.0.0.1:{}", port.number());
    let error = connect(&settings(&url, "oidc:")).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("MCP_AUTH_PROXY_REDIS_URL"), "{text}");
    assert!(text.contains(&port.number().to_string()), "{text}");
    assert!(!text.contains("secret-of-ours"), "{text}");
}
