use super::*;
use crate::testing::{World, read_unredeemed};
use domain::credential::Credential;

#[tokio::test]
async fn an_end_between_reading_and_admitting_wins() {
    let world = World::new();
    let code = world.open().await;
    let grant = Credential::parse(code.expose()).unwrap().grant;
    let (read, keys) = read_unredeemed(&world, &code).await;
    world.grants.end(&grant).await.unwrap();
    let admitted = world.grants.heart.admit(grant, *read, keys).unwrap();
    assert!(admitted.is_err());
    assert!(world.grants.heart.registry.find(&grant).is_none());
}

#[tokio::test]
async fn a_grant_is_in_memory_once() {
    let world = World::new();
    let code = world.open().await;
    let grant = Credential::parse(code.expose()).unwrap().grant;
    let (first, first_keys) = read_unredeemed(&world, &code).await;
    let (second, second_keys) = read_unredeemed(&world, &code).await;
    let heart = &world.grants.heart;
    let first = heart.admit(grant, *first, first_keys).unwrap().unwrap();
    let second = heart.admit(grant, *second, second_keys).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &heart.registry.find(&grant).unwrap()));
}

#[tokio::test]
async fn who_is_held_by_nobody_and_not_kept_warm_is_forgotten() {
    let mut settings = crate::testing::settings();
    settings.cache_bytes = 0;
    let world = World::with(settings, crate::testing::pace());
    let connected = world.connect().await;
    let session = world.used(&connected.access, 1).await;
    let grant = session.grant();
    let registry = &world.grants.heart.registry;
    assert!(registry.find(&grant).is_some());
    drop(session);
    assert!(registry.find(&grant).is_none());
    assert!(registry.known().lives.is_empty());
}

#[tokio::test]
async fn memory_is_bounded_by_bytes() {
    let mut settings = crate::testing::settings();
    settings.cache_bytes = 64 << 10;
    let world = World::with(settings, crate::testing::pace());
    let mut connected = Vec::new();
    for _ in 0..60 {
        connected.push(world.connect().await);
    }
    let registry = &world.grants.heart.registry;
    assert!(registry.warm.weight() <= 64 << 10);
    assert!((1..60).contains(&registry.warm.len()));
    assert_eq!(registry.known().lives.len(), registry.warm.len());
    for one in &connected {
        assert!(world.call(&one.access, 1).await.is_ok());
    }
}

/// What the lock guards are a few steps on two maps, and what is checked is an outcome that no order
/// of them may have: threads that meet by chance are enough to see it, without instrumented locks.
/// Longer orders, over several processes and with a store in between, are those of `simulation`.
#[tokio::test]
async fn whoever_comes_first_an_ended_grant_is_not_in_memory_afterwards() {
    let world = World::new();
    let code = world.open().await;
    let grant = Credential::parse(code.expose()).unwrap().grant;
    let heart = &world.grants.heart;
    for _ in 0..300 {
        let reads = [
            read_unredeemed(&world, &code).await,
            read_unredeemed(&world, &code).await,
        ];
        let start = &std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                heart.registry.end(&grant, EndReason::Revoked);
            });
            scope.spawn(|| {
                start.wait();
                drop(heart.registry.find(&grant));
            });
            let admitted = reads.map(|(read, keys)| {
                scope.spawn(move || {
                    start.wait();
                    heart.admit(grant, *read, keys).unwrap().ok()
                })
            });
            for live in admitted.map(|admitted| admitted.join().unwrap()) {
                assert!(live.is_none_or(|live| {
                    // Admitted before the end: it waits for that.
                    while !live.is_ended() {
                        std::thread::yield_now();
                    }
                    true
                }));
            }
        });
        assert!(heart.registry.find(&grant).is_none());
    }
}
