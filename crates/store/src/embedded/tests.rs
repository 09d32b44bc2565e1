use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::StoredIdentity;

#[derive(Debug)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_000_000)))
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::Relaxed))
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const GRANT: GrantId = GrantId::from_bytes([1; 16]);

struct Fixture {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    fn open(&self) -> EmbeddedStore {
        self.open_bounded(MAX_UNUSED_CLIENTS, MAX_INTERACTIONS)
    }

    fn open_bounded(&self, unused_clients: u64, interactions: u64) -> EmbeddedStore {
        let bounds = Bounds {
            unused_clients,
            interactions,
        };
        EmbeddedStore::open_bounded(&self.path(), self.clock.clone(), bounds).unwrap()
    }
}

fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

async fn live(store: &EmbeddedStore) -> (u64, Vec<u8>, Option<StoredIdentity>) {
    match store.load_grant(&GRANT).await.unwrap().unwrap() {
        StoredGrant::Live {
            version,
            body,
            identity,
        } => (version, body, identity),
        StoredGrant::Ended => panic!("the grant is ended"),
    }
}

#[tokio::test]
async fn answered_writes_are_there_after_reopening() {
    let fixture = Fixture::new();
    {
        let store = fixture.open();
        store
            .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
            .await
            .unwrap();
        store
            .register_client(&client("a"), vec![3], MINUTE)
            .await
            .unwrap();
    }
    let store = fixture.open();
    let identity = Some(StoredIdentity {
        version: 1,
        sealed: vec![2],
    });
    assert_eq!(live(&store).await, (1, vec![1], identity));
    assert_eq!(
        store.load_client(&client("a")).await.unwrap(),
        Some(vec![3])
    );
}

#[tokio::test]
async fn a_second_holder_is_refused_and_told_of_the_first() {
    let fixture = Fixture::new();
    let _store = fixture.open();
    let refused = EmbeddedStore::open(&fixture.path(), fixture.clock.clone()).unwrap_err();
    let OpenError::InUse { holder, .. } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(*holder, Some(std::process::id()));
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_as_it_is() {
    let fixture = Fixture::new();
    drop(fixture.open());
    {
        let database = Database::open(fixture.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = redb::TableDefinition::<&str, u64>::new("meta");
        transaction
            .open_table(table)
            .unwrap()
            .insert("format", FORMAT + 1)
            .unwrap();
        transaction.commit().unwrap();
    }
    for _ in 0..2 {
        let refused = EmbeddedStore::open(&fixture.path(), fixture.clock.clone()).unwrap_err();
        assert!(matches!(refused, OpenError::Newer { found, .. } if found == FORMAT + 1));
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let fixture = Fixture::new();
    fs::write(fixture.path(), "shopping list ".repeat(4096)).unwrap();
    let refused = EmbeddedStore::open(&fixture.path(), fixture.clock.clone()).unwrap_err();
    assert!(matches!(refused, OpenError::Unusable { .. }), "{refused}");
    assert_eq!(
        fs::read(fixture.path()).unwrap(),
        "shopping list ".repeat(4096).as_bytes()
    );
}

#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let _store = fixture.open();
    let mode = fs::metadata(fixture.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_has_expired_is_absent_then_forgotten() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for index in 0..600_u32 {
        let mut state = [0; 32];
        state[..4].copy_from_slice(&index.to_be_bytes());
        store.put_state(&state, &[7; 16], MINUTE).await.unwrap();
    }
    store
        .register_client(&client("short"), vec![1], MINUTE)
        .await
        .unwrap();
    store
        .register_client(&client("long"), vec![1], MINUTE * 60)
        .await
        .unwrap();
    fixture.clock.advance(60);
    assert_eq!(store.take_state(&[0; 32]).await.unwrap(), None);
    assert_eq!(store.load_client(&client("short")).await.unwrap(), None);
    // Each commit sweeps a step; three are enough for all.
    for _ in 0..3 {
        store.drop_state(&[9; 32]).await.unwrap();
    }
    let transaction = store.database.begin_read().unwrap();
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("records");
    let left = redb::ReadableTableMetadata::len(&transaction.open_table(table).unwrap()).unwrap();
    assert_eq!(left, 1, "only the registration that lives is left");
}

#[tokio::test]
async fn a_flood_of_registrations_pushes_out_only_unused_ones() {
    let fixture = Fixture::new();
    let store = fixture.open_bounded(3, MAX_INTERACTIONS);
    store
        .register_client(&client("used"), vec![1], MINUTE)
        .await
        .unwrap();
    assert!(
        store
            .extend_client(&client("used"), MINUTE * 60)
            .await
            .unwrap()
    );
    for index in 0..10 {
        store
            .register_client(&client(&format!("c{index}")), vec![2], MINUTE)
            .await
            .unwrap();
    }
    assert_eq!(
        store.load_client(&client("used")).await.unwrap(),
        Some(vec![1])
    );
    let mut kept = Vec::new();
    for index in 0..10 {
        if store
            .load_client(&client(&format!("c{index}")))
            .await
            .unwrap()
            .is_some()
        {
            kept.push(index);
        }
    }
    assert_eq!(kept, [7, 8, 9], "the oldest went first");
    assert!(!store.extend_client(&client("c0"), MINUTE).await.unwrap());
}

#[tokio::test]
async fn a_registration_is_never_shortened() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store
        .register_client(&client("a"), vec![1], MINUTE)
        .await
        .unwrap();
    assert!(store.extend_client(&client("a"), MINUTE * 9).await.unwrap());
    assert!(store.extend_client(&client("a"), MINUTE).await.unwrap());
    fixture.clock.advance(8 * 60);
    let kept = store.load_client(&client("a")).await.unwrap();
    assert_eq!(kept, Some(vec![1]));
}

#[tokio::test]
async fn a_registration_is_replaced_in_its_place_and_forgotten_for_good() {
    let fixture = Fixture::new();
    let store = fixture.open_bounded(2, MAX_INTERACTIONS);
    for name in ["a", "b"] {
        let registered = store.register_client(&client(name), vec![1], MINUTE).await;
        registered.unwrap();
    }
    let load = async |name| store.load_client(&client(name)).await.unwrap();
    assert!(store.replace_client(&client("a"), vec![2]).await.unwrap());
    assert_eq!(load("a").await, Some(vec![2]));
    assert!(!store.replace_client(&client("c"), vec![2]).await.unwrap());
    assert_eq!(load("c").await, None);

    store.forget_client(&client("b")).await.unwrap();
    store.forget_client(&client("b")).await.unwrap();
    assert_eq!(load("b").await, None);
    // A forgotten one takes no place, and a replaced one keeps its own as the oldest.
    for name in ["d", "e"] {
        let registered = store.register_client(&client(name), vec![1], MINUTE).await;
        registered.unwrap();
    }
    assert_eq!(load("a").await, None);
    assert_eq!(load("d").await, Some(vec![1]));

    assert!(store.replace_client(&client("d"), vec![3]).await.unwrap());
    fixture.clock.advance(60);
    assert_eq!(load("d").await, None, "its life did not change");
    assert!(!store.replace_client(&client("d"), vec![4]).await.unwrap());
}

#[tokio::test]
async fn a_flood_of_interactions_pushes_out_the_oldest() {
    let fixture = Fixture::new();
    let store = fixture.open_bounded(MAX_UNUSED_CLIENTS, 3);
    let begin = async |uid: u8, ttl| {
        store
            .put_interaction(&[uid; 16], vec![uid], ttl)
            .await
            .unwrap();
    };
    let kept = async || {
        let mut kept = Vec::new();
        for uid in 0..20 {
            let interaction = store.load_interaction(&[uid; 16]).await.unwrap();
            kept.extend(interaction.map(|_| uid));
        }
        kept
    };
    for uid in 0..10 {
        begin(uid, MINUTE * 60).await;
        fixture.clock.advance(1);
    }
    assert_eq!(kept().await, [7, 8, 9]);
    // Going on with one pushes out nobody, and neither does what is done or has expired.
    begin(8, Duration::from_secs(60 * 60 - 2)).await;
    assert_eq!(kept().await, [7, 8, 9]);
    assert_eq!(
        store.take_interaction(&[9; 16]).await.unwrap(),
        Some(vec![9])
    );
    begin(10, MINUTE * 60).await;
    assert_eq!(kept().await, [7, 8, 10]);
    fixture.clock.advance(2 * 60 * 60);
    for uid in 11..14 {
        begin(uid, MINUTE * 60).await;
    }
    assert_eq!(kept().await, [11, 12, 13]);
}

#[tokio::test]
async fn only_one_caller_takes() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.open());
    store.put_state(&[1; 32], &[2; 16], MINUTE).await.unwrap();
    store
        .put_interaction(&[2; 16], vec![5], MINUTE)
        .await
        .unwrap();
    let takers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.take_state(&[1; 32]).await.unwrap() })
        })
        .collect();
    let mut taken = 0;
    for taker in takers {
        taken += usize::from(taker.await.unwrap() == Some([2; 16]));
    }
    assert_eq!(taken, 1);
    assert_eq!(
        store.load_interaction(&[2; 16]).await.unwrap(),
        Some(vec![5])
    );
    assert_eq!(
        store.take_interaction(&[2; 16]).await.unwrap(),
        Some(vec![5])
    );
    assert_eq!(store.take_interaction(&[2; 16]).await.unwrap(), None);
}

#[tokio::test]
async fn a_grant_is_replaced_only_over_the_version_that_was_read() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    let replace = |expected, body: u8, operation| {
        store.replace_grant(&GRANT, expected, vec![body], [operation; 8], MINUTE)
    };
    assert_eq!(replace(1, 10, 1).await.unwrap(), Replaced::Done);
    assert_eq!(
        replace(1, 10, 1).await.unwrap(),
        Replaced::Done,
        "the same write, sent twice"
    );
    let Replaced::Conflict(StoredGrant::Live { version, body, .. }) =
        replace(1, 11, 2).await.unwrap()
    else {
        panic!("a stale write went through")
    };
    assert_eq!((version, body), (2, vec![10]));
    let absent = GrantId::from_bytes([9; 16]);
    let outcome = store
        .replace_grant(&absent, 1, vec![], [0; 8], MINUTE)
        .await
        .unwrap();
    assert_eq!(outcome, Replaced::Absent);
}

#[tokio::test]
async fn rotation_and_refresh_do_not_collide_and_share_a_life() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    let replaced = store
        .replace_grant(&GRANT, 1, vec![3], [1; 8], MINUTE * 60)
        .await
        .unwrap();
    assert_eq!(replaced, Replaced::Done);
    assert_eq!(
        store.settle_identity(&GRANT, 1, vec![4]).await.unwrap(),
        Settled::Done
    );
    let newer = store.settle_identity(&GRANT, 1, vec![5]).await.unwrap();
    assert_eq!(
        newer,
        Settled::Newer(StoredIdentity {
            version: 2,
            sealed: vec![4]
        })
    );
    fixture.clock.advance(30 * 60);
    let (version, body, identity) = live(&store).await;
    assert_eq!((version, body), (2, vec![3]));
    assert_eq!(
        identity,
        Some(StoredIdentity {
            version: 2,
            sealed: vec![4]
        })
    );
    fixture.clock.advance(30 * 60);
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
}

#[tokio::test]
async fn an_end_wins_over_any_version_and_erases_the_identity() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(
        store.load_grant(&GRANT).await.unwrap(),
        Some(StoredGrant::Ended)
    );
    let replaced = store
        .replace_grant(&GRANT, 1, vec![3], [1; 8], MINUTE)
        .await
        .unwrap();
    assert_eq!(replaced, Replaced::Conflict(StoredGrant::Ended));
    assert_eq!(
        store.settle_identity(&GRANT, 1, vec![4]).await.unwrap(),
        Settled::Ended
    );
    assert_eq!(store.read_one(Key::identity(&GRANT)).await.unwrap(), None);
}

#[tokio::test]
async fn a_holder_s_grants_are_listed_while_they_last() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let other = GrantId::from_bytes([2; 16]);
    store.index_grant(&[5; 32], &GRANT, MINUTE).await.unwrap();
    store
        .index_grant(&[5; 32], &other, MINUTE * 60)
        .await
        .unwrap();
    store
        .index_grant(&[6; 32], &other, MINUTE * 60)
        .await
        .unwrap();
    assert_eq!(store.grants_of(&[5; 32]).await.unwrap(), [GRANT, other]);
    fixture.clock.advance(60);
    assert_eq!(store.grants_of(&[5; 32]).await.unwrap(), [other]);
}

#[tokio::test]
async fn concurrent_writers_share_commits_and_lose_nothing() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.open());
    let writers: Vec<_> = (0..200_u8)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store
                    .put_interaction(&[index; 16], vec![index], MINUTE)
                    .await
                    .unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for index in 0..200_u8 {
        assert_eq!(
            store.load_interaction(&[index; 16]).await.unwrap(),
            Some(vec![index])
        );
    }
}

mod devices;

#[tokio::test]
async fn a_mark_counts_once_until_it_is_forgotten() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.open());
    let markers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.mark_once(&[1; 32], MINUTE).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for marker in markers {
        first += usize::from(marker.await.unwrap());
    }
    assert_eq!(first, 1);
    assert!(store.mark_once(&[2; 32], MINUTE).await.unwrap());
    fixture.clock.advance(59);
    assert!(!store.mark_once(&[1; 32], MINUTE).await.unwrap());
    fixture.clock.advance(1);
    assert!(store.mark_once(&[1; 32], MINUTE).await.unwrap());
}
