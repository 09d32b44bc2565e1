use super::*;
use crate::{OperationId, StoredIdentity, contract::GRANT};

const MINUTE: Duration = Duration::from_secs(60);

fn other(number: u8) -> GrantId {
    GrantId::from_bytes([number; 16])
}

fn record(version: u64) -> Vec<u8> {
    let operation = OperationId::default();
    let header = GrantHeader {
        live: true,
        version,
        operation,
    };
    header.encode(&[7; 100])
}

fn identity(version: u64) -> Vec<u8> {
    StoredIdentity {
        version,
        sealed: vec![8; 100],
    }
    .encode()
}

#[derive(Debug, PartialEq, Eq)]
enum Offered {
    Nothing,
    End,
    /// Of grant and identity session; 0 where there is none.
    Versions(u64, u64),
}

fn offered(recent: &Recent, id: &GrantId) -> Offered {
    let found = recent.offers().into_iter().find_map(|named| match named {
        Named::Grant(grant, offer) if grant == *id => Some(offer),
        _ => None,
    });
    match found {
        Some(Offer::Grant {
            grant, identity, ..
        }) => Offered::Versions(
            grant.map_or(0, |grant| grant.version()),
            identity.map_or(0, |identity| identity_version(&identity)),
        ),
        Some(_) => Offered::End,
        None => Offered::Nothing,
    }
}

#[tokio::test]
async fn of_each_record_the_highest_version_is_kept_in_whatever_order_answers_come() {
    let recent = Recent::new();
    recent.note_grant(&GRANT, &record(1), Some(&identity(1)), MINUTE);
    recent.note_grant(&GRANT, &record(3), None, MINUTE);
    recent.note_grant(&GRANT, &record(2), None, MINUTE);
    recent.note_identity(&GRANT, &identity(4));
    recent.note_identity(&GRANT, &identity(2));
    assert_eq!(offered(&recent, &GRANT), Offered::Versions(3, 4));
}

#[tokio::test]
async fn an_end_wins_over_what_is_noted_before_and_after() {
    let recent = Recent::new();
    recent.note_grant(&GRANT, &record(1), Some(&identity(1)), MINUTE);
    recent.note_end(&GRANT, MINUTE);
    recent.note_grant(&GRANT, &record(9), None, MINUTE);
    recent.note_identity(&GRANT, &identity(9));
    assert_eq!(offered(&recent, &GRANT), Offered::End);
}

#[tokio::test(start_paused = true)]
async fn what_is_old_goes_with_later_writes_and_stays_while_there_are_none() {
    let recent = Recent::new();
    recent.note_grant(&GRANT, &record(1), None, MINUTE * 600);
    tokio::time::advance(MINUTE * 10).await;
    assert_eq!(offered(&recent, &GRANT), Offered::Versions(1, 0));
    recent.note_grant(&other(2), &record(1), None, MINUTE * 600);
    assert_eq!(offered(&recent, &GRANT), Offered::Nothing);
    assert_eq!(offered(&recent, &other(2)), Offered::Versions(1, 0));
    // After an hour nobody knows any more what became of it.
    tokio::time::advance(OFFERED).await;
    assert!(recent.offers().is_empty());
}

#[tokio::test]
async fn no_more_than_the_bound_is_kept_and_the_oldest_goes_first() {
    let recent = Recent::bounded(10 * (ENTRY_BYTES + record(1).len()));
    for number in 0..100 {
        recent.note_grant(&other(number), &record(1), None, MINUTE);
        // Written again and again it counts once.
        recent.note_grant(&other(200), &record(u64::from(number)), None, MINUTE);
    }
    assert_eq!(recent.offers().len(), 10);
    assert_eq!(offered(&recent, &other(90)), Offered::Nothing);
    assert_eq!(offered(&recent, &other(91)), Offered::Versions(1, 0));
    assert_eq!(offered(&recent, &other(200)), Offered::Versions(99, 0));
}
