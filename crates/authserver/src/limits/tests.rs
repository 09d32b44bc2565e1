use super::*;

fn limits(requests: impl Into<Option<u32>>) -> RequestLimits {
    let limits = Limits {
        requests: requests.into(),
        window: Duration::from_secs(60),
    };
    RequestLimits::new("requests", limits, Arc::new(Meter::alone()))
}

fn from(address: &str) -> RequestContext {
    RequestContext::new("request-1".into(), address.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_network_has_a_budget_that_comes_back() {
    let limits = limits(3);
    let asker = from("192.0.2.1");
    for _ in 0..3 {
        limits.charge(&asker).await.unwrap();
    }
    let refused = limits.charge(&asker).await.unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(20));
    limits.charge(&from("192.0.2.2")).await.unwrap();

    tokio::time::advance(Duration::from_secs(19)).await;
    limits.charge(&asker).await.unwrap_err();
    tokio::time::advance(Duration::from_secs(1)).await;
    limits.charge(&asker).await.unwrap();
    limits.charge(&asker).await.unwrap_err();
}

#[tokio::test]
async fn an_ipv6_household_is_one_network() {
    let limits = limits(1);
    limits.charge(&from("2001:db8:1:2::1")).await.unwrap();
    limits
        .charge(&from("2001:db8:1:2:ffff::9"))
        .await
        .unwrap_err();
    limits.charge(&from("2001:db8:1:3::1")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_networks_of_one_hand_have_a_wider_budget_together() {
    let limits = limits(10);
    let at = |site: u32, number: u32| from(&format!("2001:db8:{site:x}:{number:x}::1"));
    for number in 0..160 {
        limits.charge(&at(1, number)).await.unwrap();
    }
    let last = at(1, 160);
    let refused = limits.charge(&last).await.unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(1));
    let standing = last.counted.standing().unwrap();
    assert_eq!((standing.policy, standing.quota), ("site", 160));
    limits.charge(&at(2, 160)).await.unwrap();
    // What was refused there is not counted against the narrower one either.
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..10 {
        limits.charge(&last).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_learns_how_its_asker_stands() {
    let limits = limits(2);
    let mut told = Vec::new();
    for _ in 0..3 {
        let asker = from("192.0.2.1");
        assert_eq!(asker.counted.standing(), None);
        let _ = limits.charge(&asker).await;
        told.push(asker.counted.standing().unwrap().header());
    }
    let expected = [
        r#""address";r=1;t=30"#,
        r#""address";r=0;t=30"#,
        r#""address";r=0;t=30"#,
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn zero_refuses_everything() {
    let refused = limits(0).charge(&from("192.0.2.1")).await.unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(60));
}

#[tokio::test]
async fn no_number_is_without_a_bound() {
    let limits = limits(None);
    let asker = from("192.0.2.1");
    for _ in 0..10_000 {
        limits.charge(&asker).await.unwrap();
    }
    assert_eq!(asker.counted.standing(), None);
}
