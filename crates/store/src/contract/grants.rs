//! Grants and their identity sessions.

use super::*;
use crate::{Replaced, Settled};

pub(crate) async fn a_grant_is_replaced_only_over_the_version_that_was_read(engine: &impl Engine) {
    let store = engine.open().await;
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
    let conflict = replace(1, 11, 2).await.unwrap();
    let stored = StoredGrant::Live {
        version: 2,
        body: vec![10],
        identity: Some(StoredIdentity {
            version: 1,
            sealed: vec![2],
        }),
    };
    assert_eq!(conflict, Replaced::Conflict(stored), "a stale write");
    let absent = GrantId::from_bytes([9; 16]);
    let outcome = store.replace_grant(&absent, 1, vec![], [0; 8], MINUTE);
    assert_eq!(outcome.await.unwrap(), Replaced::Absent);
}

pub(crate) async fn rotation_and_refresh_do_not_collide_and_share_a_life(engine: &impl Engine) {
    let store = engine.open().await;
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    let replaced = store
        .replace_grant(&GRANT, 1, vec![3], [1; 8], MINUTE * 60)
        .await
        .unwrap();
    assert_eq!(replaced, Replaced::Done);
    let settled = store.settle_identity(&GRANT, 1, vec![4]).await.unwrap();
    assert_eq!(settled, Settled::Done);
    let newer = StoredIdentity {
        version: 2,
        sealed: vec![4],
    };
    let late = store.settle_identity(&GRANT, 1, vec![5]).await.unwrap();
    assert_eq!(late, Settled::Newer(newer.clone()));
    engine.pass(30 * 60).await;
    assert_eq!(live(&*store).await, (2, vec![3], Some(newer)));
    engine.pass(30 * 60).await;
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
    let settled = store.settle_identity(&GRANT, 2, vec![6]).await.unwrap();
    assert_eq!(settled, Settled::Ended);
}

pub(crate) async fn of_many_writers_over_one_version_one_writes(engine: &impl Engine) {
    let store = engine.open().await;
    store
        .open_grant(&GRANT, vec![0], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    let writers: Vec<_> = (1..=16_u8)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let written = store.replace_grant(&GRANT, 1, vec![index], [index; 8], MINUTE);
                let settled = store.settle_identity(&GRANT, 1, vec![index]);
                (written.await.unwrap(), settled.await.unwrap())
            })
        })
        .collect();
    let (mut written, mut settled) = (0, 0);
    for writer in writers {
        let outcome = writer.await.unwrap();
        written += usize::from(outcome.0 == Replaced::Done);
        settled += usize::from(outcome.1 == Settled::Done);
    }
    assert_eq!((written, settled), (1, 1));
    let (version, _, identity) = live(&*store).await;
    assert_eq!((version, identity.unwrap().version), (2, 2));
}

pub(crate) async fn an_end_wins_over_any_version(engine: &impl Engine) {
    let store = engine.open().await;
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    let ended = Some(StoredGrant::Ended);
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), ended);
    let replaced = store
        .replace_grant(&GRANT, 1, vec![3], [1; 8], MINUTE)
        .await
        .unwrap();
    assert_eq!(replaced, Replaced::Conflict(StoredGrant::Ended));
    let settled = store.settle_identity(&GRANT, 1, vec![4]).await.unwrap();
    assert_eq!(settled, Settled::Ended);
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), ended);
}

pub(crate) async fn an_end_is_remembered_for_its_time_and_an_absent_grant_has_none(
    engine: &impl Engine,
) {
    let store = engine.open().await;
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
    store
        .open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
    store.end_grant(&GRANT, MINUTE * 60).await.unwrap();
    engine.pass(30 * 60).await;
    // Ended again it is remembered no longer.
    store.end_grant(&GRANT, MINUTE * 60).await.unwrap();
    let ended = Some(StoredGrant::Ended);
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), ended);
    engine.pass(30 * 60).await;
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
}

pub(crate) async fn a_holder_s_grants_are_listed_while_they_last(engine: &impl Engine) {
    let store = engine.open().await;
    let other = GrantId::from_bytes([2; 16]);
    let index = async |holder: u8, grant, ttl| {
        store.index_grant(&[holder; 32], grant, ttl).await.unwrap();
    };
    index(5, &GRANT, MINUTE).await;
    index(5, &other, MINUTE * 60).await;
    index(6, &other, MINUTE * 60).await;
    assert_eq!(store.grants_of(&[5; 32]).await.unwrap(), [GRANT, other]);
    engine.pass(60).await;
    assert_eq!(store.grants_of(&[5; 32]).await.unwrap(), [other]);
    assert_eq!(store.grants_of(&[7; 32]).await.unwrap(), []);
}

pub(crate) async fn an_opening_sent_twice_does_not_put_a_grant_back_that_went_on(
    engine: &impl Engine,
) {
    let store = engine.open().await;
    let open = || store.open_grant(&GRANT, vec![1], vec![2], [0; 8], MINUTE);
    open().await.unwrap();
    let replaced = store
        .replace_grant(&GRANT, 1, vec![3], [1; 8], MINUTE)
        .await;
    assert_eq!(replaced.unwrap(), Replaced::Done);
    open().await.unwrap();
    assert_eq!(live(&*store).await.1, vec![3]);
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    open().await.unwrap();
    let stored = store.load_grant(&GRANT).await.unwrap();
    assert_eq!(stored, Some(StoredGrant::Ended));
}
