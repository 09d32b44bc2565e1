use std::time::Duration;

use super::*;
use crate::testing::{
    Connected, DAY, HOUR, MINUTE, World, client, pace, resource_at, rotation, settings,
};

const WINDOW: u64 = HOUR + 15 * MINUTE;

#[tokio::test]
async fn each_refresh_gives_the_next_generation() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    assert_ne!(first.refresh, second.refresh);
    assert_ne!(first.access, second.access);
    assert_eq!(second.issued.expires_in, Duration::from_secs(HOUR));
    assert!(second.issued.nonce.is_none());
    assert!(world.call(&second.access, 1).await.is_ok());
    assert!(world.call(&first.access, 1).await.is_ok(), "both are good");
}

#[tokio::test]
async fn sixteen_parallel_refreshes_all_get_the_same_generation() {
    let world = Arc::new(World::new());
    let first = world.connect().await;
    let tries: Vec<_> = (0..16)
        .map(|from| {
            let (world, token) = (Arc::clone(&world), first.refresh.clone());
            tokio::spawn(async move { world.rotate(&token, from).await })
        })
        .collect();
    let mut tokens = std::collections::BTreeSet::new();
    for attempt in tries {
        let connected = Connected::of(attempt.await.unwrap().unwrap());
        assert!(world.call(&connected.access, 1).await.is_ok());
        tokens.insert(connected.refresh);
    }
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_at_any_age_and_from_anywhere() {
    let world = World::new();
    let first = world.connect().await;
    let lost = world.next(&first.refresh, 1).await;
    world.clock.advance(5 * DAY);
    let again = world.next(&first.refresh, 9).await;
    assert_eq!(again.refresh, lost.refresh);
    assert!(world.call(&again.access, 9).await.is_ok());
}

#[tokio::test]
async fn within_the_window_a_replaced_token_is_honoured_from_anywhere() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    world.used(&second.access, 1).await;
    world.clock.advance(WINDOW);
    let late = world.next(&first.refresh, 9).await;
    assert_eq!(late.refresh, second.refresh);
}

#[tokio::test]
async fn beyond_the_window_a_stranger_ends_the_grant() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    let session = world.used(&second.access, 1).await;
    world.clock.advance(WINDOW + 1);
    let error = world.rotate(&first.refresh, 9).await.unwrap_err();
    assert!(matches!(error, TokenError::RefreshReplayed), "{error}");
    session.ended().await;
    let error = world.rotate(&second.refresh, 1).await.unwrap_err();
    assert!(matches!(error, TokenError::Ended));
}

#[tokio::test]
async fn beyond_the_window_a_sibling_s_address_is_honoured() {
    // The later generation was handed there …
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 7).await;
    world.used(&second.access, 8).await;
    world.clock.advance(3 * DAY);
    let late = world.next(&first.refresh, 7).await;
    assert_eq!(late.refresh, second.refresh);
    // … or used from there.
    let late = world.next(&first.refresh, 8).await;
    assert_eq!(late.refresh, second.refresh);
    // Where only the very same generation is known, it is not strictly later.
    let world = World::new();
    let first = world.connect().await;
    world.used(&first.access, 8).await;
    let second = world.next(&first.refresh, 7).await;
    world.used(&second.access, 7).await;
    world.clock.advance(3 * DAY);
    let error = world.rotate(&first.refresh, 8).await.unwrap_err();
    assert!(matches!(error, TokenError::RefreshReplayed), "{error}");
}

#[tokio::test]
async fn a_refresh_token_in_use_proves_that_its_generation_arrived() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    world.next(&second.refresh, 1).await;
    world.clock.advance(WINDOW + 1);
    let error = world.rotate(&first.refresh, 9).await.unwrap_err();
    assert!(matches!(error, TokenError::RefreshReplayed), "{error}");
}

#[tokio::test]
async fn the_strict_mode_honours_no_replaced_token() {
    let mut strict = settings();
    strict.refresh_window = Duration::ZERO;
    let world = World::with(strict, pace());
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    let error = world.rotate(&first.refresh, 1).await.unwrap_err();
    assert!(matches!(error, TokenError::RefreshReplayed), "{error}");
    assert!(matches!(
        world.rotate(&second.refresh, 1).await,
        Err(TokenError::Ended)
    ));
}

#[tokio::test]
async fn another_client_gets_nothing_and_ends_nothing() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    world.used(&second.access, 1).await;
    world.clock.advance(WINDOW + 1);
    let other = client("client-b");
    for token in [&first.refresh, &second.refresh] {
        let refused = world.grants.rotate(rotation(token, &other, 1)).await;
        assert!(matches!(refused, Err(TokenError::WrongClient)));
    }
    assert!(world.rotate(&second.refresh, 1).await.is_ok());
}

#[tokio::test]
async fn a_forged_token_is_unknown_and_ends_nothing() {
    let world = World::new();
    let first = world.connect().await;
    let genuine = Credential::parse(&first.refresh).unwrap();
    let mut forgeries = Vec::new();
    for change in 0..4 {
        let mut forged = genuine.clone();
        match change {
            0 => forged.mac[0] ^= 1,
            1 => forged.half = domain::secret::SecretBytes::new([7; 32]),
            2 => forged.generation += 1,
            _ => forged.pad_number = 900,
        }
        forgeries.push(forged.encode());
    }
    for _ in 0..2 {
        for forged in &forgeries {
            let refused = world.rotate(forged.expose(), 1).await;
            assert!(matches!(refused, Err(TokenError::Unknown)));
        }
    }
    let world = world.restart().await;
    for forged in &forgeries {
        let refused = world.rotate(forged.expose(), 1).await;
        assert!(matches!(refused, Err(TokenError::Unknown)));
    }
    assert!(world.rotate(&first.refresh, 1).await.is_ok());
}

#[tokio::test]
async fn a_client_that_authenticates_keeps_its_refresh_token() {
    let world = World::new();
    let first = world.connect().await;
    let client = client("client-a");
    let mut access = first.access.clone();
    for _ in 0..8 {
        world.clock.advance(13 * DAY);
        let issued = world
            .grants
            .rotate(Rotation {
                is_confidential: true,
                ..rotation(&first.refresh, &client, 1)
            })
            .await;
        // Its session slides on until the grant's absolute end.
        let Ok(issued) = issued else { break };
        let next = Connected::of(issued);
        assert_eq!(next.refresh, first.refresh);
        assert_ne!(next.access, access);
        access = next.access;
        assert!(world.call(&access, 1).await.is_ok());
    }
    let last = Credential::parse(&access).unwrap();
    assert!(u64::from(last.expires_at) > 1_800_000_000 + 70 * DAY);
}

#[tokio::test]
async fn other_resources_and_new_scopes_are_refused() {
    let world = World::new();
    let first = world.connect().await;
    let client = client("client-a");
    let foreign = resource_at("/other");
    let refused = world.grants.rotate(Rotation {
        resource: Some(&foreign),
        ..rotation(&first.refresh, &client, 1)
    });
    assert!(matches!(refused.await, Err(TokenError::WrongResource)));
    let more = domain::scope::ScopeSet::parse("openid admin").unwrap();
    let refused = world.grants.rotate(Rotation {
        scopes: Some(&more),
        ..rotation(&first.refresh, &client, 1)
    });
    assert!(matches!(refused.await, Err(TokenError::ScopeNotGranted)));
    let fewer = domain::scope::ScopeSet::parse("openid").unwrap();
    let accepted = world.grants.rotate(Rotation {
        scopes: Some(&fewer),
        ..rotation(&first.refresh, &client, 1)
    });
    let issued = accepted.await.unwrap();
    assert_eq!(issued.scopes.to_string(), "openid offline_access");
}

#[tokio::test]
async fn a_session_slides_but_not_beyond_its_absolute_end() {
    let world = World::new();
    let mut connected = world.connect().await;
    for _ in 0..6 {
        world.clock.advance(14 * DAY - 1);
        connected = world.next(&connected.refresh, 1).await;
        assert_eq!(connected.issued.expires_in, Duration::from_secs(HOUR));
    }
    // 84 days less 6 seconds have passed; half an hour before the end:
    world.clock.advance(6 * DAY + 6 - 30 * MINUTE);
    connected = world.next(&connected.refresh, 1).await;
    assert_eq!(
        connected.issued.expires_in,
        Duration::from_secs(30 * MINUTE)
    );
    let session = world.used(&connected.access, 1).await;
    world.clock.advance(30 * MINUTE);
    session.ended().await;
    let refused = world.rotate(&connected.refresh, 1).await.unwrap_err();
    assert!(matches!(refused, TokenError::Ended), "{refused}");
    let world = world.restart().await;
    let refused = world.rotate(&connected.refresh, 1).await.unwrap_err();
    assert!(matches!(refused, TokenError::Unknown), "{refused}");
}

#[tokio::test]
async fn a_session_that_is_not_refreshed_ends_after_its_idle_life() {
    let world = World::new();
    let connected = world.connect().await;
    world.clock.advance(14 * DAY);
    let refused = world.rotate(&connected.refresh, 1).await.unwrap_err();
    assert!(matches!(refused, TokenError::Ended), "{refused}");
}

#[tokio::test]
async fn a_token_whose_pad_is_gone_is_a_theft_signal_only_from_its_own_client() {
    let world = World::new();
    let first = world.connect().await;
    let mut latest = world.next(&first.refresh, 1).await;
    for _ in 0..3 {
        world.clock.advance(7 * DAY);
        let next = world.next(&latest.refresh, 1).await;
        // One move back a replaced token still opens: here from the address of its sibling.
        let late = world.next(&latest.refresh, 1).await;
        assert_eq!(late.refresh, next.refresh);
        latest = next;
    }
    let genuine = Credential::parse(&first.refresh).unwrap();
    let mut forged = genuine.clone();
    forged.half = domain::secret::SecretBytes::new([9; 32]);
    let world = world.restart().await;
    let refused = world.rotate(forged.encode().expose(), 1).await.unwrap_err();
    assert!(matches!(refused, TokenError::Unknown), "{refused}");
    let other = client("client-b");
    let refused = world.grants.rotate(rotation(&first.refresh, &other, 1));
    assert!(matches!(refused.await, Err(TokenError::WrongClient)));
    world.clock.advance(6);
    assert!(world.call(&latest.access, 1).await.is_ok());
    let refused = world.rotate(&first.refresh, 1).await.unwrap_err();
    assert!(matches!(refused, TokenError::RefreshReplayed), "{refused}");
    let refused = world.call(&latest.access, 1).await.unwrap_err();
    assert!(matches!(refused, crate::AuthenticateError::Ended));
}

#[tokio::test]
async fn access_tokens_live_on_while_their_pads_move() {
    let world = World::new();
    let mut connected = world.connect().await;
    for _ in 0..4 {
        world.clock.advance(HOUR - 1);
        let before = connected.access.clone();
        assert!(world.call(&before, 1).await.is_ok());
        connected = world.next(&connected.refresh, 1).await;
        assert!(world.call(&before, 1).await.is_ok());
        assert!(world.call(&connected.access, 1).await.is_ok());
    }
}

#[tokio::test]
async fn a_rotation_whose_store_answer_was_lost_moves_one_step_only() {
    let world = World::new();
    let first = world.connect().await;
    world.store.lose_next_answer();
    let second = world.next(&first.refresh, 1).await;
    let generation = Credential::parse(&second.refresh).unwrap().generation;
    assert_eq!(generation, 2);
    let third = world.next(&second.refresh, 1).await;
    let generation = Credential::parse(&third.refresh).unwrap().generation;
    assert_eq!(generation, 3);
}

#[tokio::test]
async fn with_the_store_away_a_refresh_is_a_passing_fault() {
    let mut world = World::new();
    let first = world.connect().await;
    world.pace.store = Duration::from_millis(300);
    world.pace.store_retries = world.pace.store;
    let world = Arc::new(world.restart().await);
    world.used(&first.access, 1).await;
    world.store.set_away(true);
    let started = std::time::Instant::now();
    let tries: Vec<_> = (0..8)
        .map(|from| {
            let (world, token) = (Arc::clone(&world), first.refresh.clone());
            tokio::spawn(async move { world.rotate(&token, from).await })
        })
        .collect();
    for attempt in tries {
        let error = attempt.await.unwrap().unwrap_err();
        assert!(matches!(error, TokenError::Unavailable(_)), "{error}");
    }
    // They wait side by side, not one after another.
    assert!(started.elapsed() < world.pace.store * 4);
    let mut world = Arc::into_inner(world).unwrap();
    world.store.set_away(false);
    world.pace = pace();
    let world = world.restart().await;
    assert!(world.rotate(&first.refresh, 1).await.is_ok());
}

#[tokio::test]
async fn a_provider_that_is_down_does_not_matter() {
    let world = World::new();
    let first = world.connect().await;
    world.provider.hang();
    assert!(world.rotate(&first.refresh, 1).await.is_ok());
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn without_its_provider_nothing_goes_on_and_nothing_is_erased() {
    let world = World::new();
    let first = world.connect().await;
    let settings = world.settings.clone();
    let world = world.restart_with(settings, Vec::new()).await;
    assert!(matches!(
        world.rotate(&first.refresh, 1).await,
        Err(TokenError::Ended)
    ));
    assert!(matches!(
        world.call(&first.access, 1).await,
        Err(crate::AuthenticateError::Ended)
    ));
    let world = world.restart().await;
    assert!(world.call(&first.access, 1).await.is_ok());
    assert!(world.rotate(&first.refresh, 1).await.is_ok());
}
