//! Writes that wait for a replica.

use testkit::wait;

use super::*;

const SOON: Duration = Duration::from_secs(20);
/// How long a replica has, in `durable.rs`.
const PATIENCE: Duration = Duration::from_millis(100);

async fn replica(fixture: &Fixture) -> Redis {
    let port = fixture.redis.port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port])
        .await
        .unwrap();
    wait::until("the replica to have its copy", SOON, async || {
        let status = replica.info("master_link_status").await.ok();
        Ok(status.filter(|status| status == "up"))
    })
    .await
    .unwrap();
    replica
}

/// How often the server was asked to wait.
async fn waits(fixture: &Fixture) -> usize {
    let stats = fixture.redis.command(&["INFO", "commandstats"]).await;
    let stats = stats.unwrap();
    let Some((_, rest)) = stats.split_once("cmdstat_wait:calls=") else {
        return 0;
    };
    rest.split(',').next().unwrap().parse().unwrap()
}

async fn open(store: &RedisStore, number: u8) {
    let grant = GrantId::from_bytes([number; 16]);
    store
        .open_grant(&grant, vec![1], vec![2], [0; 8], MINUTE)
        .await
        .unwrap();
}

async fn open_many(store: &Arc<RedisStore>, count: u8) {
    let opened: Vec<_> = (0..count)
        .map(|number| {
            let store = Arc::clone(store);
            tokio::spawn(async move { open(&store, number).await })
        })
        .collect();
    for opened in opened {
        opened.await.unwrap();
    }
}

#[tokio::test]
async fn without_replicas_nothing_waits() {
    let fixture = Fixture::new().await;
    let store = Arc::new(fixture.connect().await);
    open_many(&store, 16).await;
    assert_eq!(waits(&fixture).await, 0);
    assert_eq!(store.unacknowledged_writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_answered_once_a_replica_has_it() {
    let fixture = Fixture::new().await;
    let replica = replica(&fixture).await;
    let store = Arc::new(fixture.connect().await);
    for number in 0..20 {
        open(&store, number).await;
        let key = format!("oidc:v1:g:{{{}}}", GrantId::from_bytes([number; 16]));
        let found = replica.command(&["EXISTS", &key]).await.unwrap();
        assert_eq!(found, ":1\r\n", "write {number}");
    }
    let alone = waits(&fixture).await;
    assert_eq!(alone, 20);
    assert_eq!(store.unacknowledged_writes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_no_replica_has_in_time_are_counted_and_wait_together() {
    let fixture = Fixture::new().await;
    let mut replica = replica(&fixture).await;
    let store = Arc::new(fixture.connect().await);
    replica.process().freeze().unwrap();
    let began = tokio::time::Instant::now();
    open(&store, 100).await;
    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
    assert_eq!(store.unacknowledged_writes(), 1);
    let before = waits(&fixture).await;
    open_many(&store, 64).await;
    assert_eq!(store.unacknowledged_writes(), 65);
    let together = waits(&fixture).await - before;
    assert!(together < 16, "{together} waits for 64 writes");
    replica.process().thaw().unwrap();
}
