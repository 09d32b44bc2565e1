use std::{net::IpAddr, num::NonZeroU32};

use domain::time::Clock;
use jose::signing::SigningAlgorithm;
use store::redis::{RedisAddress, RedisSettings, RedisStore, RedisTls};
use testkit::redis::Redis;

use super::*;
use crate::testing::{ManualClock, SystemRandom};

const NOW: Duration = Duration::from_secs(1_000_000);
/// Slow enough that nothing to speak of comes back while a test runs.
const SLOW: Duration = Duration::from_secs(1_000);

fn dues(address: &str, at_once: u32) -> Vec<Due> {
    let address: IpAddr = address.parse().unwrap();
    let rate = Rate::new(NonZeroU32::new(at_once).unwrap(), SLOW).unwrap();
    Due::of_network("address", "test", &[], ClientNetwork::of(address), rate)
}

/// Two machines with the same signing keys on one server.
struct Machines {
    redis: Redis,
    here: Meter,
    there: Meter,
}

impl Machines {
    async fn start() -> Self {
        Self::with(Duration::from_secs(60)).await
    }

    async fn with(patience: Duration) -> Self {
        let redis = Redis::start().await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
        let keys = format!("[{}]", key.expose());
        let machine = async || {
            let settings = RedisSettings {
                address: RedisAddress::parse(&redis.url()).unwrap(),
                tls: RedisTls::default(),
                prefix: "oidc:".to_owned(),
            };
            let random = Arc::new(SystemRandom);
            let store = RedisStore::connect(&settings, random, clock.as_ref());
            let store: Arc<dyn Store> = Arc::new(store.await.unwrap());
            let ring = KeyRing::parse(&keys, Arc::clone(&clock)).unwrap().0;
            let mut meter = Meter::new(&store, &Arc::new(ring), "https://proxy.example");
            // A busy machine may take its time; what is counted here must be counted together.
            meter.shared.as_mut().unwrap().patience = patience;
            meter
        };
        let (here, there) = (machine().await, machine().await);
        Self { redis, here, there }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_count_together() {
    let machines = Machines::start().await;
    let asker = dues("192.0.2.1", 5);
    for left in (0..5).rev() {
        let machine = if left % 2 == 0 {
            &machines.here
        } else {
            &machines.there
        };
        assert_eq!(machine.charge(&asker, NOW).await.unwrap().left, left);
    }
    for machine in [&machines.here, &machines.there] {
        let refused = machine.charge(&asker, NOW).await.unwrap_err();
        assert_eq!(refused.left, 0);
        assert!(refused.resets_in > SLOW / 2, "{:?}", refused.resets_in);
        machine.look_shared(&asker).await.unwrap_err();
        machine.charge(&dues("192.0.2.2", 5), NOW).await.unwrap();
    }
    // What one takes back, the other has.
    machines.here.give_back(&asker).await;
    machines.there.look_shared(&asker).await.unwrap();
    machines.there.charge(&asker, NOW).await.unwrap();
    machines.here.charge(&asker, NOW).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_is_used_up_elsewhere_costs_its_networks_nothing() {
    let machines = Machines::start().await;
    for number in 0..16 {
        let asker = dues(&format!("2001:db8:1:{number:x}::1"), 1);
        machines.here.charge(&asker, NOW).await.unwrap();
    }
    let last = dues("2001:db8:1:10::1", 1);
    for _ in 0..3 {
        let refused = machines.there.charge(&last, NOW).await.unwrap_err();
        assert_eq!((refused.policy, refused.quota), ("site", 16));
    }
    let first = dues("2001:db8:1:0::1", 1);
    machines.here.give_back(&first).await;
    machines.there.charge(&last, NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_holds_names_nobody_and_ends() {
    let machines = Machines::start().await;
    machines
        .here
        .charge(&dues("192.0.2.1", 5), NOW)
        .await
        .unwrap();
    let keys = machines.redis.command(&["KEYS", "*"]).await.unwrap();
    assert!(keys.contains("oidc:v1:b:{"), "{keys}");
    assert!(!keys.contains("192.0.2.1"), "{keys}");
    let [a, b, c, d, ..] = sha256(&dues("192.0.2.1", 5)[0].name);
    let plain = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
    assert!(!keys.contains(&plain), "{keys}");
    let name = keys.lines().find(|line| line.starts_with("oidc:")).unwrap();
    let life = machines.redis.command(&["TTL", name]).await.unwrap();
    let life: u64 = life.trim().trim_start_matches(':').parse().unwrap();
    assert!((900..=1000).contains(&life), "{life}");
}

/// A server that answers nothing, and one that is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_each_machine_counts_for_itself_and_nobody_waits_long() {
    let mut machines = Machines::with(PATIENCE).await;
    let asker = dues("192.0.2.1", 3);
    machines.here.charge(&asker, NOW).await.unwrap();
    machines.redis.process().freeze().unwrap();
    let began = std::time::Instant::now();
    for _ in 0..2 {
        machines.here.charge(&asker, NOW).await.unwrap();
    }
    machines.here.charge(&asker, NOW).await.unwrap_err();
    assert!(began.elapsed() < REST, "{:?}", began.elapsed());
    machines.redis.process().thaw().unwrap();

    machines.redis.process().kill().unwrap();
    let other = dues("192.0.2.2", 3);
    let began = std::time::Instant::now();
    for _ in 0..3 {
        machines.there.charge(&other, NOW).await.unwrap();
    }
    machines.there.charge(&other, NOW).await.unwrap_err();
    assert!(began.elapsed() < REST, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_of_networks_is_remembered_within_a_bound_and_leaves_the_worst() {
    let meter = Meter::bounded(None, 100);
    let guesser = dues("192.0.2.1", 10);
    for _ in 0..10 {
        meter.charge_here(&guesser, NOW).unwrap();
    }
    for last in 0..5_000_u32 {
        let address = IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + last));
        meter
            .charge_here(&dues(&address.to_string(), 1), NOW)
            .unwrap();
        // Who goes on guessing is not pushed out by it.
        if last % 20 == 0 {
            meter.charge_here(&guesser, NOW).unwrap_err();
        }
    }
    assert!(meter.here.len() <= 200);
}
