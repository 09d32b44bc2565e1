//! Backups of a store in use, and their way back.

use super::{damage::damage, *};

impl Fixture {
    fn backup(&self) -> PathBuf {
        self.directory.path().join("backup.redb")
    }
}

async fn filled(fixture: &Fixture) -> EmbeddedStore {
    let store = fixture.open();
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store
        .register_client(&client("a"), vec![3], MINUTE)
        .await
        .unwrap();
    store
}

#[tokio::test]
async fn a_backup_holds_what_was_there_when_it_was_asked_for() {
    let fixture = Fixture::new();
    let store = filled(&fixture).await;
    store
        .mark_once(&[1; 32], Duration::from_secs(1))
        .await
        .unwrap();
    fixture.clock.advance(2);
    let backup = store.backup(&fixture.backup()).unwrap();
    // Grant, identity and client; the mark has expired.
    assert_eq!((backup.records, backup.damaged), (3, 0));
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    store.forget_client(&client("a")).await.unwrap();
    drop(store);

    assert_eq!(read_backup(&fixture.backup()).unwrap(), backup);
    let kept = restore(&fixture.backup(), &fixture.path(), fixture.clock.now()).unwrap();
    let store = fixture.open();
    assert_eq!(live(&store).await.0, 1);
    assert_eq!(
        store.load_client(&client("a")).await.unwrap(),
        Some(vec![3])
    );
    // What it replaced is still to be had.
    let kept = EmbeddedStore::open(&kept.unwrap(), fixture.clock.clone()).unwrap();
    assert_eq!(
        kept.load_grant(&GRANT).await.unwrap(),
        Some(StoredGrant::Ended)
    );
}

#[tokio::test]
async fn what_strangers_can_make_stays_bounded_after_the_way_back() {
    let fixture = Fixture::new();
    let store = fixture.open_bounded(3, 2);
    for name in ["a", "b", "c"] {
        let registered = store.register_client(&client(name), vec![0], MINUTE).await;
        registered.unwrap();
    }
    for index in [1, 2] {
        store
            .put_interaction(&[index; 16], vec![index], MINUTE)
            .await
            .unwrap();
    }
    store.backup(&fixture.backup()).unwrap();
    drop(store);
    restore(&fixture.backup(), &fixture.path(), fixture.clock.now()).unwrap();
    let store = fixture.open_bounded(3, 2);
    store
        .register_client(&client("d"), vec![0], MINUTE)
        .await
        .unwrap();
    assert_eq!(store.load_client(&client("a")).await.unwrap(), None);
    assert!(store.load_client(&client("b")).await.unwrap().is_some());
    store
        .put_interaction(&[3; 16], vec![3], MINUTE)
        .await
        .unwrap();
    assert_eq!(store.load_interaction(&[1; 16]).await.unwrap(), None);
    assert!(store.load_interaction(&[2; 16]).await.unwrap().is_some());
}

#[tokio::test]
async fn a_backup_leaves_out_what_is_damaged_and_says_so() {
    let fixture = Fixture::new();
    damage::fill(&fixture).await;
    damage(&fixture.path(), 9);
    let store = fixture.open();
    let backup = store.backup(&fixture.backup()).unwrap();
    assert_eq!(backup.damaged, 1);
    drop(store);
    restore(&fixture.backup(), &fixture.path(), fixture.clock.now()).unwrap();
    let store = fixture.open();
    let nine = GrantId::from_bytes([9; 16]);
    assert_eq!(store.load_grant(&nine).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_overwritten_by_a_backup() {
    let fixture = Fixture::new();
    let store = filled(&fixture).await;
    fs::write(fixture.backup(), "letters").unwrap();
    let refused = store.backup(&fixture.backup()).unwrap_err();
    assert!(matches!(refused, BackupError::Exists { .. }), "{refused}");
    assert_eq!(fs::read(fixture.backup()).unwrap(), b"letters");
}

#[tokio::test]
async fn a_store_in_use_is_not_replaced() {
    let fixture = Fixture::new();
    let store = filled(&fixture).await;
    store.backup(&fixture.backup()).unwrap();
    let refused = restore(&fixture.backup(), &fixture.path(), fixture.clock.now()).unwrap_err();
    assert!(
        matches!(refused, RestoreError::Open(OpenError::InUse { .. })),
        "{refused}"
    );
    assert_eq!(live(&store).await.0, 1);
}

#[tokio::test]
async fn only_a_sound_backup_takes_the_place_of_a_store() {
    let fixture = Fixture::new();
    let other = Fixture::new();
    damage::fill(&other).await;
    let store = other.open();
    store.backup(&fixture.backup()).unwrap();
    drop(store);
    let plain_copy = fixture.directory.path().join("copy.redb");
    fs::copy(other.path(), &plain_copy).unwrap();
    let now = fixture.clock.now();
    let refused = restore(&plain_copy, &fixture.path(), now).unwrap_err();
    assert!(
        matches!(refused, RestoreError::NoBackup { .. }),
        "{refused}"
    );
    damage(&fixture.backup(), 9);
    let refused = restore(&fixture.backup(), &fixture.path(), now).unwrap_err();
    assert!(
        matches!(refused, RestoreError::Unusable { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("backup.redb"), "{refused}");
    let absent = fixture.directory.path().join("absent");
    let refused = restore(&absent, &fixture.path(), now).unwrap_err();
    assert!(
        refused.to_string().contains("absent cannot be used"),
        "{refused}"
    );
    assert!(!fixture.path().exists());
    assert!(!fixture.path().with_extension("restoring").exists());
}

#[tokio::test]
async fn a_backup_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let store = filled(&fixture).await;
    store.backup(&fixture.backup()).unwrap();
    let mode = fs::metadata(fixture.backup()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
