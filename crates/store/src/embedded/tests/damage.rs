//! What a damaged file does: each record is as written, or its damage is named.

use std::{
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::*;

const GRANTS: u8 = 60;

fn grant(index: u8) -> GrantId {
    GrantId::from_bytes([index; 16])
}

/// No two share bytes, so that one can be found in the file.
fn body(index: u8) -> Vec<u8> {
    (0..=255_u8)
        .map(|byte| byte.wrapping_mul(index) ^ index)
        .collect()
}

pub(super) async fn fill(fixture: &Fixture) {
    let store = fixture.open();
    for index in 1..=GRANTS {
        let grant = grant(index);
        let opened = store.open_grant(&grant, body(index), vec![index], [0; 8], MINUTE);
        opened.await.unwrap();
    }
}

/// Turns one bit of a byte of the file.
fn flip(path: &Path, offset: u64) {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 0x10]).unwrap();
}

/// Turns a bit of the body of a grant, wherever a version of it stands.
pub(super) fn damage(path: &Path, index: u8) {
    let file = fs::read(path).unwrap();
    let body = body(index);
    let windows = file.windows(body.len()).enumerate();
    let places: Vec<_> = windows.filter(|(_, bytes)| *bytes == body).collect();
    assert!(!places.is_empty());
    for (offset, _) in places {
        flip(path, u64::try_from(offset).unwrap() + 7);
    }
}

/// Whether looking at all records finds damage.
fn walk_finds_damage(store: &EmbeddedStore) -> bool {
    let walked = catch_unwind(AssertUnwindSafe(|| {
        let transaction = store.database.begin_read()?;
        tables::Snapshot::open(&transaction)?.walk(None, usize::MAX)
    }));
    !matches!(walked, Ok(Ok(walked)) if walked.damaged.is_empty())
}

#[tokio::test]
async fn a_damaged_record_is_neither_given_nor_taken_for_absent() {
    let fixture = Fixture::new();
    fill(&fixture).await;
    damage(&fixture.path(), 9);
    let store = fixture.open();
    let refused = store.load_grant(&grant(9)).await.unwrap_err();
    assert!(
        refused.to_string().contains("a record (grant) is damaged"),
        "{refused}"
    );
    assert!(walk_finds_damage(&store));
    for index in (1..=GRANTS).filter(|index| *index != 9) {
        let found = store.load_grant(&grant(index)).await.unwrap();
        assert!(
            matches!(found, Some(StoredGrant::Live { body: found, .. }) if found == body(index))
        );
    }
}

#[tokio::test]
async fn a_write_that_meets_damage_spoils_no_other() {
    let fixture = Fixture::new();
    fill(&fixture).await;
    damage(&fixture.path(), 9);
    let store = fixture.open();
    let (bad, good) = (grant(9), grant(10));
    let (ended, refused, other) = tokio::join!(
        store.end_grant(&good, MINUTE),
        store.end_grant(&bad, MINUTE),
        store.mark_once(&[1; 32], MINUTE),
    );
    ended.unwrap();
    refused.unwrap_err();
    assert!(other.unwrap());
    assert_eq!(
        store.load_grant(&good).await.unwrap(),
        Some(StoredGrant::Ended)
    );
}

/// A bit turned anywhere: what cannot be read is an error, what can is as written, and a record
/// that is out of reach is found by looking at all.
#[tokio::test]
async fn a_bit_that_turns_anywhere_is_never_believed() {
    let fixture = Fixture::new();
    fill(&fixture).await;
    let original = fs::read(fixture.path()).unwrap();
    let length = u64::try_from(original.len()).unwrap();
    let mut met = 0;
    for round in 0..40_u64 {
        fs::write(fixture.path(), &original).unwrap();
        flip(&fixture.path(), (round * 7919 * 4057) % length);
        let opened = catch_unwind(AssertUnwindSafe(|| {
            EmbeddedStore::open(&fixture.path(), fixture.clock.clone())
        }));
        let Ok(Ok(store)) = opened else {
            met += 1;
            continue;
        };
        for index in 1..=GRANTS {
            match store.load_grant(&grant(index)).await {
                Ok(Some(StoredGrant::Live { body: found, .. })) => assert_eq!(found, body(index)),
                Ok(_) => {
                    met += 1;
                    assert!(
                        walk_finds_damage(&store),
                        "grant {index} is gone, unnoticed"
                    );
                }
                Err(_) => met += 1,
            }
        }
    }
    assert!(met > 0, "no bit turned where it matters");
}
