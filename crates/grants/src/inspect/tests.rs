use super::*;
use crate::testing::{DAY, HOUR, MINUTE, World, settings};

#[tokio::test]
async fn both_kinds_tell_what_they_open() {
    for from_memory in [true, false] {
        let mut world = World::new();
        let first = world.connect().await;
        world.clock.advance(10 * MINUTE);
        if !from_memory {
            world = world.restart().await;
        }
        let now = world.grants.heart.clock.now();
        let access = world.grants.inspect(&first.access).await.unwrap();
        assert_eq!(access.kind, TokenKind::Access);
        assert_eq!(access.grant(), first.issued.grant);
        assert_eq!(access.client().as_str(), "client-a");
        assert_eq!(access.subject().as_str(), "user-1");
        assert_eq!(access.resource().as_str(), "https://proxy.example/mcp");
        assert_eq!(access.scopes().to_string(), "openid offline_access");
        assert_eq!(access.claims()["email"], "ada@secret.example");
        let issued = now.minus(std::time::Duration::from_secs(10 * MINUTE));
        assert_eq!(access.issued_at, Some(issued));
        // The true end, ten seconds behind the one that the client was told.
        let left = access.expires_at.since(now).as_secs();
        assert_eq!(left, HOUR + 10 - 10 * MINUTE);
        assert!(!format!("{access:?}").contains("ada@"));
        let refresh = world.grants.inspect(&first.refresh).await.unwrap();
        assert_eq!(refresh.kind, TokenKind::Refresh);
        assert_eq!(refresh.issued_at, Some(issued));
        assert_eq!(
            refresh.expires_at.since(now).as_secs(),
            14 * DAY - 10 * MINUTE
        );
    }
}

/// A late token may be handed several access tokens; each has its own time.
#[tokio::test]
async fn an_access_token_of_an_old_generation_tells_its_own_time() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    world.clock.advance(30 * MINUTE);
    let sibling = world.next(&first.refresh, 1).await;
    let now = world.grants.heart.clock.now();
    let inspected = world.grants.inspect(&sibling.access).await.unwrap();
    assert_eq!(inspected.issued_at, Some(now));
    let inspected = world.grants.inspect(&second.access).await.unwrap();
    assert_eq!(
        inspected
            .issued_at
            .map(|issued| now.since(issued).as_secs()),
        Some(30 * MINUTE)
    );
}

/// What looking must not do: mark the generation as used (that would shorten the time for which
/// the one before is honoured), rotate, refresh, or take a replaced token for stolen.
#[tokio::test]
async fn looking_presents_nothing() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    // Identity tokens live 8 h: long over, so that a presenting use would refresh.
    world.clock.advance(DAY);
    let third = world.next(&second.refresh, 1).await;
    for token in [&third.access, &third.refresh, &second.refresh] {
        world.grants.inspect(token).await.unwrap();
    }
    let refused = world.grants.inspect(&first.refresh).await.unwrap_err();
    assert!(matches!(refused, InspectError::Replaced), "{refused}");
    world.settle().await;
    assert_eq!(world.provider.calls(), 0);
    // From elsewhere, a day later: honoured only because the third was never seen in use.
    world.clock.advance(DAY);
    let late = world.next(&second.refresh, 9).await;
    assert_eq!(late.refresh, third.refresh);
}

#[tokio::test]
async fn what_opens_nothing_says_why() {
    let world = World::new();
    let connected = world.connect().await;
    let mut forged = Credential::parse(&connected.access).unwrap();
    forged.mac[3] ^= 1;
    let code = world.open().await;
    for token in ["junk", forged.encode().expose(), code.expose()] {
        let refused = world.grants.inspect(token).await.unwrap_err();
        assert!(matches!(refused, InspectError::Unknown), "{refused}");
    }
    // The code was not spent by it.
    assert!(world.redeem(&code).await.is_ok());
    world.clock.advance(HOUR + 10);
    let refused = world.grants.inspect(&connected.access).await.unwrap_err();
    assert!(matches!(refused, InspectError::Expired), "{refused}");
    let world = world.restart().await;
    world.store.set_away(true);
    let away = world.grants.inspect(&connected.refresh).await.unwrap_err();
    assert!(matches!(away, InspectError::Unavailable(_)), "{away}");
    world.store.set_away(false);
    world.grants.end(&connected.issued.grant).await.unwrap();
    let refused = world.grants.inspect(&connected.refresh).await.unwrap_err();
    assert!(matches!(refused, InspectError::Ended), "{refused}");
}

#[tokio::test]
async fn a_session_without_its_provider_or_past_its_end_is_over() {
    let world = World::new();
    let connected = world.connect().await;
    let world = world.restart_with(settings(), Vec::new()).await;
    let refused = world.grants.inspect(&connected.refresh).await.unwrap_err();
    assert!(matches!(refused, InspectError::Ended), "{refused}");
    let world = world.restart().await;
    assert!(world.grants.inspect(&connected.refresh).await.is_ok());
    world.clock.advance(14 * DAY);
    let refused = world.grants.inspect(&connected.refresh).await.unwrap_err();
    assert!(matches!(refused, InspectError::Ended), "{refused}");
}
