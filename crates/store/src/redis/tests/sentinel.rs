//! The suite behind a sentinel, and what happens when the master fails.

use std::sync::atomic::AtomicBool;

use testkit::{redis::Watched, wait};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// A master that one sentinel watches over.
struct Behind {
    watched: Watched,
}

#[async_trait]
impl Engine for Behind {
    async fn start() -> Self {
        Self {
            watched: Watched::start(0, 1, &[], "").await.unwrap(),
        }
    }

    async fn open_bounded(&self, unused_clients: u64, interactions: u64) -> Arc<dyn Store> {
        let settings = settings(&self.watched.url(), "oidc:");
        Arc::new(connect_bounded(&settings, unused_clients, interactions).await)
    }

    async fn pass(&self, seconds: u64) {
        let master = self.watched.master().await.unwrap();
        age(self.watched.server(master).unwrap(), seconds).await;
    }
}

contract!(Behind);

/// Waits for what a server says of itself.
async fn says(server: &Redis, name: &str, value: &str) {
    wait::until("a server to say so", Duration::from_secs(60), || async {
        let said = server.info(name).await.ok();
        Ok(said.filter(|said| said == value))
    })
    .await
    .unwrap();
}

/// A master that takes no write without a replica, two of those, three sentinels.
async fn guarded() -> Watched {
    let arguments = [
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        "10",
        "--repl-ping-replica-period",
        "1",
    ];
    Watched::start(2, 3, &arguments, "").await.unwrap()
}

fn grant(number: u32) -> GrantId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    GrantId::from_bytes(bytes)
}

/// Opens a grant, as often as it takes.
async fn open(store: &RedisStore, number: u32) {
    let id = grant(number);
    let opened = || store.open_grant(&id, vec![1], vec![2], [7; 8], MINUTE * 10);
    while opened().await.is_err() {}
}

/// Whether a replica has what was written at a server until now.
async fn is_copied(server: &Redis) -> bool {
    // The connection waits for its own writes, so it needs one.
    let url = server.url();
    let client = ::redis::Client::open(url).unwrap();
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
        return false;
    };
    let mut written = ::redis::pipe();
    written.cmd("SET").arg("written").arg(1).ignore();
    written.cmd("WAIT").arg(1).arg(400);
    let replicas: Result<(i64,), _> = written.query_async(&mut connection).await;
    replicas.is_ok_and(|(replicas,)| replicas > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_when_the_master_is_killed_and_none_that_a_replica_had_is_lost() {
    let mut watched = guarded().await;
    let settings = settings(&watched.url(), "oidc:");
    let store = Arc::new(connect(&settings).await.unwrap());
    let mut copied = Vec::new();
    for number in 0..50 {
        open(&store, number).await;
        if is_copied(&watched.servers()[0]).await {
            copied.push(number);
        }
    }
    assert!(copied.len() > 10, "{copied:?}");

    // Others write while it dies.
    let is_over = Arc::new(AtomicBool::new(false));
    let writers = (0..4).map(|writer| {
        let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut count = 0;
            while !is_over.load(Ordering::SeqCst) {
                open(&store, 1_000_000 * (writer + 1) + count).await;
                count += 1;
            }
            count
        })
    });
    let writers: Vec<_> = writers.collect();
    watched.servers()[0].process().kill().unwrap();
    let successor = watched.other_master(0).await.unwrap();
    for number in 100..150 {
        open(&store, number).await;
        if is_copied(&watched.servers()[successor]).await {
            copied.push(number);
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }

    // The old master comes back and takes itself for one, until the sentinels tell it.
    watched.servers()[0].start_again().await.unwrap();
    for number in 200..300 {
        open(&store, number).await;
        let stored = store.load_grant(&grant(number)).await.unwrap();
        assert!(stored.is_some(), "{number}");
    }
    says(&watched.servers()[0], "role", "slave").await;
    for number in copied {
        let stored = store.load_grant(&grant(number)).await.unwrap();
        assert!(stored.is_some(), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_exchanged_in_good_health_costs_no_write() {
    let watched = guarded().await;
    let settings = settings(&watched.url(), "oidc:");
    let store = connect(&settings).await.unwrap();
    let write = async |number| {
        let id = grant(number);
        let opened = store.open_grant(&id, vec![1], vec![2], [7; 8], MINUTE * 10);
        opened.await.unwrap();
        assert!(store.load_grant(&id).await.unwrap().is_some());
    };
    write(0).await;
    watched.exchange_master().await.unwrap();
    let mut number = 1;
    wait::until("another master", Duration::from_secs(60), || {
        number += 1;
        let (write, watched) = (&write, &watched);
        async move {
            write(number).await;
            Ok(watched.master().await.ok().filter(|&master| master != 0))
        }
    })
    .await
    .unwrap();
    for more in 0..20 {
        write(number + 1 + more).await;
    }
}

fn listening(store: &RedisStore) -> UnboundedReceiver<Sound> {
    let (sender, sounds) = unbounded_channel();
    store.listen(Arc::new(Heard(sender)));
    sounds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listening_follows_the_master() {
    let mut watched = guarded().await;
    let settings = settings(&watched.url(), "oidc:");
    let (here, there) = (
        connect(&settings).await.unwrap(),
        connect(&settings).await.unwrap(),
    );
    let mut sounds = listening(&here);
    assert_eq!(next(&mut sounds).await, Sound::Began);
    watched.servers()[0].process().kill().unwrap();
    let away = Sound::Interrupted { is_reached: false };
    assert_eq!(next(&mut sounds).await, away);
    while next(&mut sounds).await != Sound::Began {}
    open(&there, 1).await;
    while there.end_grant(&grant(1), MINUTE).await.is_err() {}
    while next(&mut sounds).await != Sound::Ended(grant(1)) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_hangs_is_left_and_misleads_nobody_when_it_goes_on() {
    let mut watched = guarded().await;
    let settings = settings(&watched.url(), "oidc:");
    let store = connect(&settings).await.unwrap();
    open(&store, 0).await;
    watched.servers()[0].process().freeze().unwrap();
    let successor = watched.other_master(0).await.unwrap();
    open(&store, 1).await;
    watched.servers()[0].process().thaw().unwrap();
    for number in 2..50 {
        open(&store, number).await;
        let stored = store.load_grant(&grant(number)).await.unwrap();
        assert!(stored.is_some(), "{number}");
    }
    says(&watched.servers()[0], "role", "slave").await;
    assert_eq!(watched.master().await.unwrap(), successor);
    let stored = store.load_grant(&grant(1)).await.unwrap();
    assert!(stored.is_some());
}

#[tokio::test]
async fn a_sentinel_that_is_cut_off_or_gone_misleads_nobody() {
    let mut watched = guarded().await;
    let settings = settings(&watched.url(), "oidc:");
    let store = connect(&settings).await.unwrap();
    // It sees nothing of the failover, and then is the only one that answers at once.
    watched.sentinel(0).unwrap().freeze().unwrap();
    watched.servers()[0].process().kill().unwrap();
    open(&store, 1).await;
    watched.servers()[0].start_again().await.unwrap();
    watched.sentinel(0).unwrap().thaw().unwrap();
    for number in 2..50 {
        open(&store, number).await;
        let stored = store.load_grant(&grant(number)).await.unwrap();
        assert!(stored.is_some(), "{number}");
    }
    // Without any sentinel the master that is known goes on being used.
    says(&watched.servers()[0], "role", "slave").await;
    for index in 0..3 {
        watched.sentinel(index).unwrap().kill().unwrap();
    }
    open(&store, 51).await;
    assert!(store.load_grant(&grant(51)).await.unwrap().is_some());
}

#[tokio::test]
async fn of_sentinels_that_disagree_the_one_that_knows_of_more_failovers_is_believed() {
    let behind = Watched::start(0, 1, &[], "").await.unwrap();
    let ahead = Watched::start(1, 1, &[], "").await.unwrap();
    ahead.exchange_master().await.unwrap();
    let master = ahead.other_master(0).await.unwrap();
    let ports = [&behind, &ahead].map(|watched| watched.sentinel_port(0).unwrap());
    for (number, [one, other]) in [(0, ports), (1, [ports[1], ports[0]])] {
        let url = format!("redis-sentinel://127.0.0.1:{one},127.0.0.1:{other}/?master=main");
        let store = connect(&settings(&url, "oidc:")).await.unwrap();
        open(&store, number).await;
    }
    let count = async |server: &Redis| server.command(&["DBSIZE"]).await.unwrap();
    assert_eq!(count(ahead.server(master).unwrap()).await, ":4\r\n");
    assert_eq!(count(behind.server(0).unwrap()).await, ":0\r\n");
}

#[tokio::test]
async fn sentinels_have_a_login_of_their_own() {
    // No more than is needed.
    let lines = "requirepass watchers-word\n\
        user proxy on >proxys-own-word -@all +hello +client \
        +sentinel|get-master-addr-by-name +sentinel|master";
    let watched = Watched::start(0, 1, &[], lines).await.unwrap();
    let mut settings = settings(&watched.url(), "oidc:");
    let refused = connect(&settings).await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::SentinelRefused { .. }),
        "{refused}"
    );
    let with = |password| Some(SecretString::new(password));
    settings.address = settings
        .address
        .with_sentinel_login(None, with("not-the-word"));
    let refused = connect(&settings).await.unwrap_err();
    let text = format!("{refused} {refused:?} {settings:?}");
    assert!(text.contains("MCP_AUTH_PROXY_SENTINEL_PASSWORD"), "{text}");
    assert!(!text.contains("not-the-word"), "{text}");
    for (username, password) in [
        (None, "watchers-word"),
        (Some("proxy".to_owned()), "proxys-own-word"),
    ] {
        settings.address = settings
            .address
            .with_sentinel_login(username, with(password));
        let store = connect(&settings).await.unwrap();
        assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_no_sentinel_or_knows_no_such_master_is_told_apart() {
    let mut watched = Watched::start(0, 1, &[], "").await.unwrap();
    let (sentinel, server) = (
        watched.sentinel_port(0).unwrap(),
        watched.servers()[0].port(),
    );
    for (url, expected) in [
        (
            format!("redis-sentinel://127.0.0.1:{sentinel}/?master=other"),
            "know no master of that name",
        ),
        (
            format!("redis-sentinel://127.0.0.1:{server}/?master=main"),
            "is no sentinel; name the sentinels",
        ),
        (
            format!("redis://127.0.0.1:{sentinel}"),
            "is a sentinel; name it by `redis-sentinel://`",
        ),
    ] {
        let error = connect(&settings(&url, "oidc:")).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    watched.sentinel(0).unwrap().kill().unwrap();
    let error = connect(&settings(&watched.url(), "oidc:")).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}
