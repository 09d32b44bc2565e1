//! Interactions, states, and what counts once.

use super::*;

pub(crate) async fn a_flood_of_interactions_pushes_out_the_oldest(engine: &impl Engine) {
    let store = engine.open_bounded(1000, 3).await;
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
        engine.pass(60).await;
    }
    assert_eq!(kept().await, [7, 8, 9]);
    // Going on with one pushes out nobody, and neither does what is done or has expired.
    begin(8, MINUTE * 58).await;
    assert_eq!(kept().await, [7, 8, 9]);
    let taken = store.take_interaction(&[9; 16]).await.unwrap();
    assert_eq!(taken, Some(vec![9]));
    begin(10, MINUTE * 60).await;
    assert_eq!(kept().await, [7, 8, 10]);
    engine.pass(2 * 60 * 60).await;
    for uid in 11..14 {
        begin(uid, MINUTE * 60).await;
    }
    assert_eq!(kept().await, [11, 12, 13]);
}

pub(crate) async fn only_one_caller_takes(engine: &impl Engine) {
    let store = engine.open().await;
    store.put_state(&[1; 32], &[2; 16], MINUTE).await.unwrap();
    let interaction = vec![0, 255, 13, 10];
    store
        .put_interaction(&[2; 16], interaction.clone(), MINUTE)
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
    let loaded = store.load_interaction(&[2; 16]).await.unwrap();
    assert_eq!(loaded.as_ref(), Some(&interaction));
    let taken = store.take_interaction(&[2; 16]).await.unwrap();
    assert_eq!(taken, Some(interaction));
    assert_eq!(store.take_interaction(&[2; 16]).await.unwrap(), None);
    assert_eq!(store.load_interaction(&[2; 16]).await.unwrap(), None);
}

pub(crate) async fn a_dropped_state_leads_nowhere(engine: &impl Engine) {
    let store = engine.open().await;
    for state in [1, 2] {
        store
            .put_state(&[state; 32], &[state; 16], MINUTE * 10)
            .await
            .unwrap();
    }
    store.drop_state(&[1; 32]).await.unwrap();
    assert_eq!(store.take_state(&[1; 32]).await.unwrap(), None);
    engine.pass(10 * 60).await;
    assert_eq!(store.take_state(&[2; 32]).await.unwrap(), None);
}

pub(crate) async fn concurrent_writers_lose_nothing(engine: &impl Engine) {
    let store = engine.open().await;
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

pub(crate) async fn a_mark_counts_once_until_it_is_forgotten(engine: &impl Engine) {
    let store = engine.open().await;
    let markers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.mark_once(&[1; 32], MINUTE * 2).await.unwrap() })
        })
        .collect();
    let mut first = 0;
    for marker in markers {
        first += usize::from(marker.await.unwrap());
    }
    assert_eq!(first, 1);
    assert!(store.mark_once(&[2; 32], MINUTE).await.unwrap());
    engine.pass(60).await;
    assert!(!store.mark_once(&[1; 32], MINUTE * 2).await.unwrap());
    engine.pass(60).await;
    assert!(store.mark_once(&[1; 32], MINUTE).await.unwrap());
}

pub(crate) async fn one_that_is_put_again_after_its_end_counts_once(engine: &impl Engine) {
    let store = engine.open_bounded(1000, 2).await;
    let put = async |uid: u8, ttl| {
        store
            .put_interaction(&[uid; 16], vec![uid], ttl)
            .await
            .unwrap();
    };
    put(1, MINUTE).await;
    // Read before its end, written back after it.
    engine.pass(60).await;
    put(1, MINUTE * 60).await;
    put(2, MINUTE * 60).await;
    let kept = store.load_interaction(&[1; 16]).await.unwrap();
    assert_eq!(kept, Some(vec![1]));
}
