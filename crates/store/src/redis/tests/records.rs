//! All records, from the embedded store to a server and back.

use std::path::Path;

use testkit::redis::Cluster;

use super::*;
use crate::{
    Replaced,
    embedded::EmbeddedStore,
    records::{Begun, LiveRecord, MoveId, Record, Records, Transfer, TransferOptions},
};

const HOUR: Duration = Duration::from_secs(3600);
const DEAD: GrantId = GrantId::from_bytes([2; 16]);
const DEVICE: GrantId = GrantId::from_bytes([3; 16]);

fn embedded(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, Arc::new(SystemClock)).unwrap()
}

/// One of each kind, and ends that differ.
async fn fill(store: &dyn Store) {
    for name in ["b", "c", "a"] {
        let registered = store
            .register_client(&client(name), name.into(), HOUR)
            .await;
        registered.unwrap();
    }
    store.extend_client(&client("c"), 2 * HOUR).await.unwrap();
    let opened = store.open_grant(&GRANT, vec![1], vec![2], [1; 8], HOUR);
    opened.await.unwrap();
    let replaced = store.replace_grant(&GRANT, 1, vec![3], [2; 8], HOUR).await;
    assert_eq!(replaced.unwrap(), Replaced::Done);
    store.settle_identity(&GRANT, 1, vec![4]).await.unwrap();
    let opened = store.open_grant(&DEAD, vec![1], vec![2], [1; 8], HOUR);
    opened.await.unwrap();
    store.end_grant(&DEAD, HOUR).await.unwrap();
    for grant in [&GRANT, &DEAD] {
        store.index_grant(&[5; 32], grant, HOUR).await.unwrap();
    }
    assert!(store.name_device(&[6; 16], &DEVICE, HOUR).await.unwrap());
    store
        .put_device(&DEVICE, vec![7], [3; 8], HOUR)
        .await
        .unwrap();
    store
        .put_interaction(&[8; 16], vec![8], HOUR)
        .await
        .unwrap();
    store.put_state(&[9; 32], &[8; 16], HOUR).await.unwrap();
    assert!(store.mark_once(&[10; 32], HOUR).await.unwrap());
    let put = store.put_imported(&[11; 32], vec![11], HOUR).await;
    assert_eq!(put.unwrap(), [11]);
}

async fn meets_what_was_filled_in(store: &dyn Store) {
    for name in ["a", "b", "c"] {
        let loaded = store.load_client(&client(name)).await.unwrap();
        assert_eq!(loaded, Some(name.into()));
    }
    let (version, body, identity) = live(store).await;
    assert_eq!((version, body), (2, vec![3]));
    let identity = identity.unwrap();
    assert_eq!((identity.version, identity.sealed), (2, vec![4]));
    let dead = store.load_grant(&DEAD).await.unwrap();
    assert_eq!(dead, Some(StoredGrant::Ended));
    let mut grants = store.grants_of(&[5; 32]).await.unwrap();
    grants.sort();
    assert_eq!(grants, [GRANT, DEAD]);
    let found = store.find_device(&[6; 16]).await.unwrap();
    assert_eq!(found, Some(DEVICE));
    let device = store.load_device(&DEVICE).await.unwrap().unwrap();
    assert_eq!((device.version, device.body), (1, vec![7]));
    let interaction = store.load_interaction(&[8; 16]).await.unwrap();
    assert_eq!(interaction, Some(vec![8]));
    assert!(!store.mark_once(&[10; 32], HOUR).await.unwrap());
    let imported = store.load_imported(&[11; 32]).await.unwrap();
    assert_eq!(imported, Some(vec![11]));
    assert!(store.holds_imported().await.unwrap());
    // The same write, sent again after the move, is still known.
    let again = store.replace_grant(&GRANT, 1, vec![3], [2; 8], HOUR).await;
    assert_eq!(again.unwrap(), Replaced::Done);
}

/// All records in one order, and what is left of their lives.
async fn all(store: &dyn Records) -> Vec<LiveRecord> {
    let (mut records, mut from) = (Vec::new(), None);
    loop {
        let page = store.read_page(from.as_ref()).await.unwrap();
        assert_eq!(page.unreadable, []);
        records.extend(page.records);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    records.sort_by_key(|living| format!("{:?}", living.record));
    records
}

/// The order of those that go first, whatever numbers say it.
fn unused(records: &[LiveRecord]) -> Vec<String> {
    let mut unused: Vec<_> = records
        .iter()
        .filter_map(|living| match &living.record {
            Record::Client {
                client,
                unused_order: order @ 1..,
                ..
            } => Some((*order, client.to_string())),
            _ => None,
        })
        .collect();
    unused.sort();
    unused.into_iter().map(|(_, name)| name).collect()
}

async fn moved(source: &dyn Records, target: &dyn Records) {
    let options = TransferOptions {
        id: MoveId([1; 16]),
        now: SystemClock.now(),
        overwrite: false,
    };
    let begun = Transfer::begin(source, target, options).await.unwrap();
    let Begun::Ready(transfer) = begun else {
        panic!("{begun:?}");
    };
    let counted = transfer.copy(|_| {}).await.unwrap();
    assert_eq!(counted.total(), 14);
    transfer.mark_source().await.unwrap();
    transfer.release_target().await.unwrap();
}

/// From a file to a server, and from there to another file.
async fn moves_there_and_back(server: &RedisStore) {
    let directory = tempfile::tempdir().unwrap();
    let first = embedded(&directory.path().join("first"));
    fill(&first).await;
    let before = all(&first).await;
    assert_eq!(unused(&before), ["b", "a"]);

    moved(&first, server).await;
    meets_what_was_filled_in(server).await;
    let there = all(server).await;
    assert!(server.estimate().await.unwrap() > 10);

    let second = embedded(&directory.path().join("second"));
    moved(server, &second).await;
    meets_what_was_filled_in(&second).await;
    let back = all(&second).await;

    for stage in [&there, &back] {
        assert_eq!(unused(stage), unused(&before));
        for (now, then) in stage.iter().zip(&before) {
            assert_eq!(now.record, then.record);
            let shift = now.life.abs_diff(then.life);
            assert!(shift < Duration::from_secs(60), "{now:?} {then:?}");
        }
        assert_eq!(stage.len(), before.len());
    }
}

#[tokio::test]
async fn every_record_moves_to_a_server_and_back_with_what_is_left_of_its_life() {
    let mut fixture = Fixture::new().await;
    // What stands beside our records is left alone, also where the prefix is a pattern.
    fixture.prefix = "o[a-z]*:".to_owned();
    let mut admin = fixture.admin().await;
    let beside: Result<(), _> = cmd("SET")
        .arg("oidc:v1:x:{00}")
        .arg(1)
        .query_async(&mut admin)
        .await;
    beside.unwrap();
    moves_there_and_back(&fixture.connect().await).await;
    let beside: Option<u8> = cmd("GET")
        .arg("oidc:v1:x:{00}")
        .query_async(&mut admin)
        .await
        .unwrap();
    assert_eq!(beside, Some(1));
}

#[tokio::test]
async fn every_record_moves_to_a_cluster_and_back() {
    let cluster = Cluster::start(3, 0).await.unwrap();
    let settings = settings(&cluster.url(), "oidc:");
    moves_there_and_back(&connect(&settings).await.unwrap()).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_the_rest_is_moved() {
    let fixture = Fixture::new().await;
    let server = fixture.connect().await;
    fill(&server).await;
    let junk = [
        (format!("oidc:v1:g:{{{DEVICE}}}"), "junk"),
        ("oidc:v1:zz:{1}".to_owned(), "of a later release"),
    ];
    for (name, value) in &junk {
        let mut command = cmd("SET");
        command.arg(name).arg(value).arg("EX").arg(60);
        let set: Result<(), _> = command.query_async(&mut fixture.admin().await).await;
        set.unwrap();
    }
    let counted = Transfer::count(&server, |_| {}).await.unwrap();
    assert_eq!(counted.total(), 14);
    let named: Vec<_> = counted
        .unreadable
        .iter()
        .map(|unreadable| (unreadable.kind.as_str(), unreadable.name.clone()))
        .collect();
    assert_eq!(
        named,
        [
            ("grant", DEVICE.to_string()),
            ("unknown kind `zz`", "1".to_owned())
        ]
    );
}

#[tokio::test]
async fn processes_are_known_by_what_is_heard_of_them() {
    #[derive(Debug)]
    struct Deaf;
    impl Ears for Deaf {
        fn ended(&self, _: &GrantId) {}
        fn began(&self) {}
        fn confirmed(&self, _: std::time::Instant) {}
        fn interrupted(&self, _: bool) {}
    }

    let fixture = Fixture::new().await;
    let (watcher, running) = (fixture.connect().await, fixture.connect().await);
    assert_eq!(watcher.processes().await.unwrap(), []);
    running.listen(Arc::new(Deaf));
    let found = testkit::wait::until("a beat", Duration::from_secs(10), || async {
        Ok(watcher.processes().await?.pop())
    })
    .await
    .unwrap();
    assert_eq!(found.release, env!("CARGO_PKG_VERSION"));
    assert!(found.life > Duration::from_secs(20));
    running.say_goodbye().await;
    assert_eq!(watcher.processes().await.unwrap(), []);
}
