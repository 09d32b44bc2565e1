//! Devices that wait for their grant.

use super::*;
use crate::{DeviceApproval, DeviceReplaced, StoredDevice};

const CODE: [u8; 16] = [3; 16];

fn approval(expected: u64) -> DeviceApproval {
    DeviceApproval {
        expected,
        device: vec![20],
        grant: vec![21],
        identity: vec![22],
        grant_ttl: MINUTE * 2,
    }
}

async fn device(store: &dyn Store) -> Option<(u64, Vec<u8>)> {
    let stored = store.load_device(&GRANT).await.unwrap();
    stored.map(|stored| (stored.version, stored.body))
}

pub(crate) async fn a_user_code_leads_to_one_device_until_it_is_forgotten_or_expires(
    engine: &impl Engine,
) {
    let store = engine.open().await;
    let other = GrantId::from_bytes([9; 16]);
    assert!(store.name_device(&CODE, &GRANT, MINUTE).await.unwrap());
    assert!(
        store.name_device(&CODE, &GRANT, MINUTE).await.unwrap(),
        "the same step, sent twice"
    );
    assert!(!store.name_device(&CODE, &other, MINUTE).await.unwrap());
    assert_eq!(store.find_device(&CODE).await.unwrap(), Some(GRANT));
    engine.pass(60).await;
    assert_eq!(store.find_device(&CODE).await.unwrap(), None);
    assert!(store.name_device(&CODE, &other, MINUTE).await.unwrap());
    store.forget_user_code(&CODE).await.unwrap();
    assert_eq!(store.find_device(&CODE).await.unwrap(), None);
}

pub(crate) async fn a_device_is_replaced_only_over_the_version_that_was_read_and_lives_no_longer(
    engine: &impl Engine,
) {
    let store = engine.open().await;
    store
        .put_device(&GRANT, vec![1], [0; 8], MINUTE)
        .await
        .unwrap();
    let replace = |expected, body: u8, operation| {
        store.replace_device(&GRANT, expected, vec![body], [operation; 8])
    };
    engine.pass(30).await;
    assert_eq!(replace(1, 10, 1).await.unwrap(), DeviceReplaced::Done);
    assert_eq!(
        replace(1, 10, 1).await.unwrap(),
        DeviceReplaced::Done,
        "the same write, sent twice"
    );
    let stored = StoredDevice {
        version: 2,
        body: vec![10],
    };
    assert_eq!(
        replace(1, 11, 2).await.unwrap(),
        DeviceReplaced::Conflict(stored)
    );
    assert_eq!(device(&*store).await, Some((2, vec![10])));
    engine.pass(30).await;
    assert_eq!(device(&*store).await, None);
    assert_eq!(replace(2, 12, 3).await.unwrap(), DeviceReplaced::Absent);
}

pub(crate) async fn an_approval_writes_device_grant_and_identity_or_nothing(engine: &impl Engine) {
    let store = engine.open().await;
    let absent = store
        .approve_device(&GRANT, approval(1), [1; 8])
        .await
        .unwrap();
    assert_eq!(absent, DeviceReplaced::Absent);
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
    store
        .put_device(&GRANT, vec![1], [0; 8], MINUTE)
        .await
        .unwrap();
    let late = store
        .approve_device(&GRANT, approval(7), [1; 8])
        .await
        .unwrap();
    assert!(matches!(late, DeviceReplaced::Conflict(_)));
    assert_eq!(store.load_grant(&GRANT).await.unwrap(), None);
    let done = store
        .approve_device(&GRANT, approval(1), [1; 8])
        .await
        .unwrap();
    assert_eq!(done, DeviceReplaced::Done);
    assert_eq!(device(&*store).await, Some((2, vec![20])));
    let identity = StoredIdentity {
        version: 1,
        sealed: vec![22],
    };
    assert_eq!(live(&*store).await, (1, vec![21], Some(identity)));
}

pub(crate) async fn an_approval_sent_twice_does_not_put_a_grant_back_that_went_on(
    engine: &impl Engine,
) {
    let store = engine.open().await;
    store
        .put_device(&GRANT, vec![1], [0; 8], MINUTE)
        .await
        .unwrap();
    let approve = || store.approve_device(&GRANT, approval(1), [1; 8]);
    assert_eq!(approve().await.unwrap(), DeviceReplaced::Done);
    store
        .replace_grant(&GRANT, 1, vec![30], [2; 8], MINUTE)
        .await
        .unwrap();
    assert_eq!(approve().await.unwrap(), DeviceReplaced::Done);
    assert_eq!(live(&*store).await.1, vec![30]);
    store.end_grant(&GRANT, MINUTE).await.unwrap();
    assert_eq!(approve().await.unwrap(), DeviceReplaced::Done);
    assert_eq!(
        store.load_grant(&GRANT).await.unwrap(),
        Some(StoredGrant::Ended)
    );
}

pub(crate) async fn of_two_decisions_one_is_written(engine: &impl Engine) {
    let store = engine.open().await;
    store
        .put_device(&GRANT, vec![1], [0; 8], MINUTE)
        .await
        .unwrap();
    let approvals: Vec<_> = (1..=8_u8)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let approved = store.approve_device(&GRANT, approval(1), [index; 8]);
                approved.await.unwrap() == DeviceReplaced::Done
            })
        })
        .collect();
    let mut done = 0;
    for approval in approvals {
        done += usize::from(approval.await.unwrap());
    }
    assert_eq!(done, 1);
}

pub(crate) async fn a_device_is_put_once(engine: &impl Engine) {
    let store = engine.open().await;
    let put = || store.put_device(&GRANT, vec![1], [0; 8], MINUTE);
    put().await.unwrap();
    let denied = store.replace_device(&GRANT, 1, vec![2], [1; 8]).await;
    assert_eq!(denied.unwrap(), DeviceReplaced::Done);
    put().await.unwrap();
    assert_eq!(device(&*store).await, Some((2, vec![2])));
}
