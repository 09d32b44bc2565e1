//! The suite on a cluster, and what happens when its masters change.

use testkit::redis::Cluster;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{super::slot::slot_of, *};
use crate::{
    Replaced,
    records::{Record, Records as _},
};

/// Three masters.
struct Spread {
    cluster: Cluster,
}

#[async_trait]
impl Engine for Spread {
    async fn start() -> Self {
        Self {
            cluster: Cluster::start(3, 0).await.unwrap(),
        }
    }

    async fn open_bounded(&self, unused_clients: u64, interactions: u64) -> Arc<dyn Store> {
        let settings = settings(&self.cluster.url(), "oidc:");
        Arc::new(connect_bounded(&settings, unused_clients, interactions).await)
    }

    async fn pass(&self, seconds: u64) {
        for index in 0..3 {
            age(self.cluster.server(index).unwrap(), seconds).await;
        }
    }
}

contract!(Spread);

/// A grant whose records lie with that master of three.
fn grant_at(master: u16) -> GrantId {
    let grants = (0..u16::MAX).map(|number| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        GrantId::from_bytes(bytes)
    });
    let mut grants = grants.filter(|grant| {
        let slot = u32::from(slot_of_grant(grant));
        slot * 3 / 16384 == u32::from(master)
    });
    grants.next().unwrap()
}

fn slot_of_grant(grant: &GrantId) -> u16 {
    slot_of(format!("{{{grant}}}").as_bytes())
}

async fn open(store: &RedisStore, grant: &GrantId) {
    let opened = store.open_grant(grant, vec![1], vec![2], [7; 8], MINUTE * 10);
    opened.await.unwrap();
}

async fn is_live(store: &RedisStore, grant: &GrantId) -> bool {
    let stored = store.load_grant(grant).await.unwrap();
    matches!(stored, Some(StoredGrant::Live { .. }))
}

async fn listening(store: &RedisStore) -> UnboundedReceiver<Sound> {
    let (sender, mut sounds) = unbounded_channel();
    store.listen(Arc::new(Heard(sender)));
    assert_eq!(next(&mut sounds).await, Sound::Began);
    sounds
}

/// Waits for an end; those who hear it of several masters hear it more than once.
async fn hear_end(sounds: &mut UnboundedReceiver<Sound>, grant: GrantId) {
    while next(sounds).await != Sound::Ended(grant) {}
}

#[tokio::test]
async fn sessions_lie_with_all_masters_and_move_without_a_failure() {
    let mut cluster = Cluster::start(3, 0).await.unwrap();
    let settings = settings(&cluster.url(), "oidc:");
    let store = connect(&settings).await.unwrap();
    for master in 0..3 {
        let grant = grant_at(master);
        open(&store, &grant).await;
        assert!(is_live(&store, &grant).await);
        let server = &cluster.servers()[usize::from(master)];
        assert_eq!(server.command(&["DBSIZE"]).await.unwrap(), ":2\r\n");
    }
    // On its way from one to the other.
    let grant = grant_at(0);
    let slot = slot_of_grant(&grant);
    cluster.move_slot(slot, 0, 1, false).await.unwrap();
    assert!(is_live(&store, &grant).await, "asked of the next holder");
    let replaced = store.replace_grant(&grant, 1, vec![3], [8; 8], MINUTE);
    assert_eq!(replaced.await.unwrap(), Replaced::Done, "by a script");
    // Arrived; nobody has told us.
    cluster.settle_slot(slot, 1).await.unwrap();
    assert!(is_live(&store, &grant).await, "at the new holder");
    store.end_grant(&grant, MINUTE).await.unwrap();
    assert!(!is_live(&store, &grant).await);
}

#[tokio::test]
async fn ends_are_heard_of_all_masters_also_of_one_that_came_later() {
    let mut cluster = Cluster::start(3, 0).await.unwrap();
    let settings = settings(&cluster.url(), "oidc:");
    let (here, there) = (
        connect(&settings).await.unwrap(),
        connect(&settings).await.unwrap(),
    );
    let mut sounds = listening(&here).await;
    for master in 0..3 {
        let grant = grant_at(master);
        open(&there, &grant).await;
        there.end_grant(&grant, MINUTE).await.unwrap();
        hear_end(&mut sounds, grant).await;
    }
    // It beats at each.
    for server in cluster.servers() {
        let keys = server.command(&["KEYS", "oidc:v1:p:*"]).await.unwrap();
        assert!(keys.starts_with("*1\r\n"), "{keys}");
    }

    let grant = grant_at(0);
    let newcomer = cluster.add().await.unwrap();
    let slot = slot_of_grant(&grant);
    cluster.move_slot(slot, 0, newcomer, true).await.unwrap();
    while next(&mut sounds).await != Sound::Began {}
    let keys = ["KEYS", "oidc:v1:p:*"];
    let keys = cluster.servers()[newcomer].command(&keys).await.unwrap();
    assert!(keys.starts_with("*1\r\n"), "{keys}");
    there.end_grant(&grant, MINUTE).await.unwrap();
    hear_end(&mut sounds, grant).await;
}

#[tokio::test]
async fn all_that_lies_with_several_masters_is_found_and_processes_are_counted_once() {
    let cluster = Cluster::start(3, 0).await.unwrap();
    let settings = settings(&cluster.url(), "oidc:");
    let (here, there) = (
        connect(&settings).await.unwrap(),
        connect(&settings).await.unwrap(),
    );
    let mut grants: Vec<GrantId> = (0..60)
        .map(|number| GrantId::from_bytes([number; 16]))
        .collect();
    for grant in &grants {
        open(&here, grant).await;
    }
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let page = here.read_page(from.as_ref()).await.unwrap();
        assert!(page.unreadable.is_empty());
        found.extend(
            page.records
                .into_iter()
                .filter_map(|live| match live.record {
                    Record::Grant(grant, _) => Some(grant),
                    _ => None,
                }),
        );
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    grants.sort_by_key(|grant| *grant.as_bytes());
    found.sort_by_key(|grant| *grant.as_bytes());
    assert_eq!(found, grants);
    assert_eq!(here.estimate().await.unwrap(), 120);

    let _sounds = listening(&here).await;
    let processes = there.processes().await.unwrap();
    assert_eq!(processes.len(), 1, "{processes:?}");
    here.say_goodbye().await;
    assert_eq!(there.processes().await.unwrap(), []);
    here.erase().await.unwrap();
    assert_eq!(here.estimate().await.unwrap(), 0);
}

#[tokio::test]
async fn a_replica_takes_the_place_of_a_master_that_is_killed() {
    let mut cluster = Cluster::start(3, 1).await.unwrap();
    let settings = settings(&cluster.url(), "oidc:");
    let (here, there) = (
        connect(&settings).await.unwrap(),
        connect(&settings).await.unwrap(),
    );
    let mut sounds = listening(&here).await;
    let (lost, whole) = (grant_at(0), grant_at(1));
    open(&there, &lost).await;
    open(&there, &whole).await;
    let (master, replica) = (cluster.server(0).unwrap(), cluster.server(3).unwrap());
    replica.has_copied(master).await.unwrap();
    cluster.servers()[0].process().kill().unwrap();
    let away = Sound::Interrupted { is_reached: false };
    assert_eq!(next(&mut sounds).await, away);
    // Meanwhile the others are heard.
    there.end_grant(&whole, MINUTE).await.unwrap();
    hear_end(&mut sounds, whole).await;

    cluster.promoted(3).await.unwrap();
    while next(&mut sounds).await != Sound::Began {}
    assert!(is_live(&there, &lost).await);
    there.end_grant(&lost, MINUTE).await.unwrap();
    hear_end(&mut sounds, lost).await;
}

#[tokio::test]
async fn a_cluster_is_told_apart_from_a_single_server() {
    let cluster = Cluster::start(3, 0).await.unwrap();
    let single = Redis::start().await.unwrap();
    for (url, prefix, expected) in [
        (
            cluster.server(0).unwrap().url(),
            "oidc:",
            "part of a cluster; name it by `redis-cluster://`",
        ),
        (
            format!("redis-cluster://127.0.0.1:{}", single.port()),
            "oidc:",
            "no part of a cluster; name it by `redis://`",
        ),
        (cluster.url(), "{oidc}:", "MCP_AUTH_PROXY_REDIS_PREFIX"),
    ] {
        let error = connect(&settings(&url, prefix)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
