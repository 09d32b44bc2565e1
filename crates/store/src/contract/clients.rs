//! Registrations.

use super::*;

pub(crate) async fn a_flood_of_registrations_pushes_out_only_unused_ones(engine: &impl Engine) {
    let store = engine.open_bounded(3, 1000).await;
    let register = async |name: &str, body: u8| {
        store
            .register_client(&client(name), vec![body], MINUTE * 10)
            .await
            .unwrap();
    };
    register("used", 1).await;
    let extended = store.extend_client(&client("used"), MINUTE * 60).await;
    assert!(extended.unwrap());
    for index in 0..10 {
        register(&format!("c{index}"), 2).await;
    }
    assert_eq!(
        store.load_client(&client("used")).await.unwrap(),
        Some(vec![1])
    );
    let mut kept = Vec::new();
    for index in 0..10 {
        let loaded = store.load_client(&client(&format!("c{index}"))).await;
        kept.extend(loaded.unwrap().map(|_| index));
    }
    assert_eq!(kept, [7, 8, 9], "the oldest went first");
    assert!(!store.extend_client(&client("c0"), MINUTE).await.unwrap());
}

pub(crate) async fn a_registration_is_never_shortened(engine: &impl Engine) {
    let store = engine.open().await;
    store
        .register_client(&client("a"), vec![1], MINUTE)
        .await
        .unwrap();
    assert!(store.extend_client(&client("a"), MINUTE * 9).await.unwrap());
    assert!(store.extend_client(&client("a"), MINUTE).await.unwrap());
    engine.pass(8 * 60).await;
    let load = async || store.load_client(&client("a")).await.unwrap();
    assert_eq!(load().await, Some(vec![1]));
    engine.pass(60).await;
    assert_eq!(load().await, None);
}

pub(crate) async fn a_registration_is_replaced_in_its_place_and_forgotten_for_good(
    engine: &impl Engine,
) {
    let store = engine.open_bounded(2, 1000).await;
    let register = async |name: &str| {
        store
            .register_client(&client(name), vec![1], MINUTE * 10)
            .await
            .unwrap();
    };
    let load = async |name| store.load_client(&client(name)).await.unwrap();
    register("a").await;
    register("b").await;
    assert!(store.replace_client(&client("a"), vec![2]).await.unwrap());
    assert_eq!(load("a").await, Some(vec![2]));
    assert!(!store.replace_client(&client("c"), vec![2]).await.unwrap());
    assert_eq!(load("c").await, None);

    store.forget_client(&client("b")).await.unwrap();
    store.forget_client(&client("b")).await.unwrap();
    assert_eq!(load("b").await, None);
    // A forgotten one takes no place, and a replaced one keeps its own as the oldest.
    register("d").await;
    register("e").await;
    assert_eq!(load("a").await, None);
    assert_eq!(load("d").await, Some(vec![1]));

    assert!(store.replace_client(&client("d"), vec![3]).await.unwrap());
    engine.pass(10 * 60).await;
    assert_eq!(load("d").await, None, "its life did not change");
    assert!(!store.replace_client(&client("d"), vec![4]).await.unwrap());
}

/// As two processes that keep a copy of the same document do.
pub(crate) async fn a_registration_made_twice_counts_once(engine: &impl Engine) {
    let store = engine.open_bounded(2, 1000).await;
    let register = async |name| {
        store
            .register_client(&client(name), vec![1], MINUTE * 60)
            .await
            .unwrap();
    };
    register("copy").await;
    register("copy").await;
    let used = store.extend_client(&client("copy"), MINUTE * 60).await;
    assert!(used.unwrap());
    for name in ["a", "b", "c"] {
        register(name).await;
    }
    let kept = store.load_client(&client("copy")).await.unwrap();
    assert_eq!(kept, Some(vec![1]), "a flood pushes out only unused ones");
}
