use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

mod backup;
mod crash;
mod damage;
mod model;
mod moving;

use async_trait::async_trait;
use domain::id::GrantId;

use super::*;
use crate::{
    ClientStore as _, GrantStore as _, InteractionStore as _, StoredGrant, StoredIdentity,
    contract::{Engine, GRANT, MINUTE, client, contract, live},
};

#[derive(Debug)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_000_000)))
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Relaxed))
    }
}

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
        self.open_bounded(1000, 1000)
    }

    fn open_bounded(&self, unused_clients: u64, interactions: u64) -> EmbeddedStore {
        let bounds = Bounds {
            unused_clients,
            interactions,
        };
        EmbeddedStore::open_bounded(&self.path(), self.clock.clone(), bounds).unwrap()
    }
}

#[async_trait]
impl Engine for Fixture {
    async fn start() -> Self {
        Self::new()
    }

    async fn open_bounded(&self, unused_clients: u64, interactions: u64) -> Arc<dyn Store> {
        Arc::new(Self::open_bounded(self, unused_clients, interactions))
    }

    async fn pass(&self, seconds: u64) {
        self.clock.advance(seconds);
    }
}

contract!(Fixture);

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
async fn an_end_erases_the_identity_session() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(store.read_one(Key::identity(&GRANT)).await.unwrap(), None);
}
