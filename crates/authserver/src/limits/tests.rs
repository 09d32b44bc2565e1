use super::*;

fn limits(requests: impl Into<Option<u32>>) -> RequestLimits {
    RequestLimits::new(Limits {
        requests: requests.into(),
        window: Duration::from_secs(60),
    })
}

fn network(text: &str) -> ClientNetwork {
    ClientNetwork::of(text.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_network_has_a_budget_that_comes_back() {
    let limits = limits(3);
    let asker = network("192.0.2.1");
    for _ in 0..3 {
        limits.charge(asker).unwrap();
    }
    let refused = limits.charge(asker).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(20));
    limits.charge(network("192.0.2.2")).unwrap();

    tokio::time::advance(Duration::from_secs(19)).await;
    limits.charge(asker).unwrap_err();
    tokio::time::advance(Duration::from_secs(1)).await;
    limits.charge(asker).unwrap();
    limits.charge(asker).unwrap_err();
}

#[tokio::test]
async fn an_ipv6_household_is_one_network() {
    let limits = limits(1);
    limits.charge(network("2001:db8:1:2::1")).unwrap();
    limits.charge(network("2001:db8:1:2:ffff::9")).unwrap_err();
    limits.charge(network("2001:db8:1:3::1")).unwrap();
}

#[tokio::test]
async fn zero_refuses_everything() {
    let refused = limits(0).charge(network("192.0.2.1")).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(60));
}

#[tokio::test]
async fn no_number_is_without_a_bound() {
    let limits = limits(None);
    for _ in 0..10_000 {
        limits.charge(network("192.0.2.1")).unwrap();
    }
}

#[tokio::test]
async fn a_flood_of_networks_is_remembered_within_a_bound() {
    let limits = RequestLimits::bounded(
        Limits {
            requests: Some(1),
            window: Duration::from_secs(60),
        },
        100,
    );
    for last in 0..5_000_u32 {
        let address = std::net::IpAddr::from(std::net::Ipv4Addr::from(last));
        limits.charge(ClientNetwork::of(address)).unwrap();
    }
    let Rule::Counted(limiter) = limits.0 else {
        panic!("a bound of one is counted");
    };
    assert!(limiter.into_state_store().0.len() <= 200);
}
