//! Tokens of another server that were taken over.

use super::*;

pub(crate) async fn what_was_taken_over_first_stays_until_its_end(engine: &impl Engine) {
    let store = engine.open().await;
    assert!(!store.holds_imported().await.unwrap());
    assert_eq!(store.load_imported(&[1; 32]).await.unwrap(), None);
    let put = async |name: u8, record: &[u8], minutes| {
        let name = [name; 32];
        let put = store.put_imported(&name, record.to_vec(), MINUTE * minutes);
        put.await.unwrap()
    };
    assert_eq!(put(1, b"first", 10).await, b"first");
    assert_eq!(put(1, b"second", 60).await, b"first");
    assert_eq!(put(2, b"another", 60).await, b"another");
    assert!(store.holds_imported().await.unwrap());
    engine.pass(20 * 60).await;
    assert_eq!(store.load_imported(&[1; 32]).await.unwrap(), None);
    let left = store.load_imported(&[2; 32]).await.unwrap();
    assert_eq!(left.as_deref(), Some(b"another".as_slice()));
    assert!(store.holds_imported().await.unwrap());
}

pub(crate) async fn of_many_who_take_over_one_wins_and_all_hear_of_it(engine: &impl Engine) {
    let store = engine.open().await;
    let racers: Vec<_> = (0..16_u8)
        .map(|racer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let put = store.put_imported(&[7; 32], vec![racer], MINUTE);
                put.await.unwrap()
            })
        })
        .collect();
    let mut stands = Vec::new();
    for racer in racers {
        stands.push(racer.await.unwrap());
    }
    stands.dedup();
    assert_eq!(stands.len(), 1);
    let stored = store.load_imported(&[7; 32]).await.unwrap();
    assert_eq!(stored.as_ref(), stands.first());
}
