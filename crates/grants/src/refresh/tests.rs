use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    AuthenticateError, Session, TokenError,
    patience::Pace,
    testing::{Answer, Connected, HOUR, World, pace, settings},
};

async fn token(session: &Session) -> String {
    let token = session.identity_token().await.unwrap();
    token.access_token.expose().to_owned()
}

/// A session whose identity token has just expired, after 10 minutes.
async fn expired(world: &World) -> (Connected, Session) {
    let connected = world.connect_for(Some(600)).await;
    let session = world.used(&connected.access, 1).await;
    world.clock.advance(600);
    (connected, session)
}

fn retry_after(error: &IdentityError) -> u64 {
    match error {
        IdentityError::Unavailable { retry_after, .. } => retry_after.as_secs(),
        IdentityError::Ended(_) | IdentityError::FreshRefused => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_callers_at_expiry_make_one_refresh() {
    let world = World::new();
    let (_, session) = expired(&world).await;
    world.provider.hang();
    let waiting = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (session, waiting) = (session.clone(), Arc::clone(&waiting));
            tokio::spawn(async move {
                waiting.fetch_add(1, Ordering::SeqCst);
                token(&session).await
            })
        })
        .collect();
    while waiting.load(Ordering::SeqCst) < 64 {
        tokio::task::yield_now().await;
    }
    world.provider.go_on();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "identity-access-1");
    }
    assert_eq!(world.provider.calls(), 1);
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 1);
}

#[tokio::test]
async fn who_looked_before_a_refresh_and_asks_after_it_makes_no_second_one() {
    let world = World::new();
    let (_, session) = expired(&world).await;
    let heart = &world.grants.heart;
    let live = heart.registry.find(&session.grant()).unwrap();
    let before = live.identity();
    assert_eq!(token(&session).await, "identity-access-1");
    for at_hand in [AtHand::Usable, AtHand::Refused] {
        let renewed = heart.renew(&live, &before, at_hand).await.unwrap();
        assert_eq!(renewed.access_token.expose(), "identity-access-1");
    }
    assert_eq!(world.provider.calls(), 1);
}

#[tokio::test]
async fn a_token_is_refreshed_ahead_of_its_end() {
    let world = World::new();
    let connected = world.connect_for(Some(600)).await;
    let session = world.used(&connected.access, 1).await;
    world.clock.advance(539);
    assert_eq!(token(&session).await, "identity-access-0");
    assert_eq!(world.provider.calls(), 0);
    world.clock.advance(1);
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 1);
}

#[tokio::test]
async fn the_next_refresh_uses_the_rotated_token_also_after_a_restart() {
    let world = World::new();
    let (connected, session) = expired(&world).await;
    assert_eq!(token(&session).await, "identity-access-1");
    drop(session);
    let world = world.restart().await;
    let session = world.used(&connected.access, 1).await;
    assert_eq!(token(&session).await, "identity-access-1");
    world.clock.advance(8 * HOUR);
    assert_eq!(token(&session).await, "identity-access-2");
    let identity = session.identity_token().await.unwrap();
    assert_eq!(identity.version, 3);
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_cut_the_refresh() {
    let world = World::new();
    let (connected, session) = expired(&world).await;
    world.provider.hang();
    let caller = tokio::spawn({
        let session = session.clone();
        async move { token(&session).await }
    });
    world.provider.asked(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    drop(session);
    world.provider.go_on();
    world.settle().await;
    let world = world.restart().await;
    let session = world.used(&connected.access, 1).await;
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 1);
}

#[tokio::test]
async fn while_the_provider_is_down_a_valid_token_goes_on_being_used() {
    let world = World::new();
    let connected = world.connect_for(Some(600)).await;
    let session = world.used(&connected.access, 1).await;
    world.provider.will(&[Answer::Unavailable; 100]);
    world.clock.advance(540);
    let mut asked = Vec::new();
    for _ in 0..16 {
        assert_eq!(token(&session).await, "identity-access-0");
        asked.push(world.provider.calls());
        world.clock.advance(1);
    }
    // After 1, 2, 4, 8 seconds: each failure doubles the pause.
    assert_eq!(asked, [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
}

#[tokio::test]
async fn a_provider_that_is_down_at_expiry_is_a_passing_fault() {
    let mut quick = pace();
    quick.refresh = Duration::from_millis(200);
    let world = World::with(settings(), quick);
    let (connected, session) = expired(&world).await;
    world.provider.will(&[Answer::Unavailable; 200]);
    let error = session.identity_token().await.unwrap_err();
    assert_eq!(retry_after(&error), 5);
    // The caller may have given up a moment before the refresh did.
    world.settle().await;
    let asked = world.provider.calls();
    assert!(asked > 1, "it was tried again within the time: {asked}");
    // Too soon for another refresh: answered at once, with the time left.
    let error = session.identity_token().await.unwrap_err();
    assert_eq!(retry_after(&error), 1);
    assert_eq!(world.provider.calls(), asked);
    // Nobody's session ends for it.
    assert!(world.call(&connected.access, 1).await.is_ok());
    let connected = world.next(&connected.refresh, 1).await;
    world.provider.forget_script();
    world.clock.advance(5);
    let session = world.used(&connected.access, 1).await;
    drop(session.identity_token().await);
    world.settle().await;
    assert_eq!(token(&session).await, "identity-access-1");
}

#[tokio::test]
async fn passing_faults_are_tried_again_for_those_who_wait() {
    let world = World::new();
    let (_, session) = expired(&world).await;
    world.provider.will(&[Answer::Unavailable; 3]);
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 4);
}

#[tokio::test]
async fn who_cannot_wait_longer_gets_a_passing_fault_and_the_answer_is_kept() {
    let mut quick = pace();
    quick.refresh = Duration::from_millis(20);
    let world = World::with(settings(), quick);
    let (_, session) = expired(&world).await;
    world.provider.hang();
    let error = session.identity_token().await.unwrap_err();
    assert_eq!(retry_after(&error), 5);
    world.provider.go_on();
    world.settle().await;
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 1);
}

#[tokio::test]
async fn a_slow_provider_delays_a_call_with_a_valid_token_only_shortly() {
    let quick = Pace {
        refresh_ahead: Duration::from_millis(20),
        refresh: Duration::from_secs(3600),
        ..pace()
    };
    let world = World::with(settings(), quick);
    let connected = world.connect_for(Some(600)).await;
    let session = world.used(&connected.access, 1).await;
    world.clock.advance(550);
    world.provider.hang();
    for _ in 0..20 {
        assert_eq!(token(&session).await, "identity-access-0");
    }
    assert_eq!(world.provider.calls(), 1);
    world.provider.go_on();
    world.settle().await;
    assert_eq!(token(&session).await, "identity-access-1");
}

#[tokio::test]
async fn the_provider_s_definite_refusal_ends_the_grant() {
    let world = World::new();
    let (connected, session) = expired(&world).await;
    world.provider.will(&[Answer::Refused]);
    let error = session.identity_token().await.unwrap_err();
    assert!(matches!(error, IdentityError::Ended(_)), "{error}");
    session.ended().await;
    let error = session.identity_token().await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    assert_eq!(world.provider.calls(), 1);
    let world = world.restart().await;
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended));
    let refused = world.rotate(&connected.refresh, 1).await.unwrap_err();
    assert!(matches!(refused, TokenError::Ended));
}

#[tokio::test]
async fn a_refusal_of_a_token_that_is_no_longer_current_ends_nothing() {
    let world = World::new();
    let (connected, session) = expired(&world).await;
    // Another process over the same store was faster; this one does not know yet.
    let other = Grants::with_pace(
        world.settings.clone(),
        world.store.clone(),
        vec![world.provider.clone()],
        world.clock.clone(),
        world.random.clone(),
        world.tasks.clone(),
        world.pace,
    );
    let theirs = other
        .authenticate(
            &connected.access,
            &crate::testing::resource(),
            crate::testing::network(1),
        )
        .await
        .unwrap();
    assert_eq!(token(&theirs).await, "identity-access-1");
    // The strict provider refuses our rotated token; theirs is taken instead.
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 2);
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn our_own_misconfiguration_never_ends_a_grant() {
    let world = World::new();
    let connected = world.connect_for(Some(600)).await;
    let session = world.used(&connected.access, 1).await;
    world.provider.will(&[Answer::Misconfigured; 2]);
    world.clock.advance(550);
    assert_eq!(token(&session).await, "identity-access-0");
    world.clock.advance(50);
    let error = session.identity_token().await.unwrap_err();
    assert_eq!(retry_after(&error), 5);
    assert_eq!(world.provider.calls(), 2, "asking again does not help");
    world.clock.advance(30);
    assert_eq!(token(&session).await, "identity-access-1");
}

#[tokio::test]
async fn nobody_uses_an_answer_before_it_is_stored() {
    let mut quick = pace();
    quick.refresh = Duration::from_millis(50);
    let world = World::with(settings(), quick);
    let (connected, session) = expired(&world).await;
    world.store.set_away(true);
    let error = session.identity_token().await.unwrap_err();
    assert_eq!(retry_after(&error), 5);
    assert_eq!(session.identity_version(), 1);
    world.store.set_away(false);
    world.settle().await;
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 1);
    drop(session);
    let world = world.restart().await;
    let session = world.used(&connected.access, 1).await;
    assert_eq!(token(&session).await, "identity-access-1");
}

#[tokio::test]
async fn an_answer_whose_acknowledgement_was_lost_is_found_again() {
    let world = World::new();
    let (_, session) = expired(&world).await;
    world.store.lose_next_answer();
    assert_eq!(token(&session).await, "identity-access-1");
    assert_eq!(world.provider.calls(), 1);
    assert_eq!(session.identity_version(), 2);
}

#[tokio::test]
async fn a_refusal_by_the_mcp_server_refreshes_once_for_all() {
    let world = World::new();
    let connected = world.connect_for(Some(8 * HOUR)).await;
    let session = world.used(&connected.access, 1).await;
    let refused = session.identity_token().await.unwrap();
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (session, refused) = (session.clone(), refused.clone());
            tokio::spawn(async move { session.identity_token_after_refusal(&refused).await })
        })
        .collect();
    for caller in callers {
        let renewed = caller.await.unwrap().unwrap();
        assert_eq!(renewed.access_token.expose(), "identity-access-1");
    }
    assert_eq!(world.provider.calls(), 1);
    // A request that left before the refresh just gets the newer one.
    let renewed = session
        .identity_token_after_refusal(&refused)
        .await
        .unwrap();
    assert_eq!(renewed.version, 2);
    assert_eq!(world.provider.calls(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_everything_ends_nobody_s_grant() {
    let world = World::new();
    let connected = world.connect_for(Some(8 * HOUR)).await;
    let session = world.used(&connected.access, 1).await;
    let first = session.identity_token().await.unwrap();
    let second = session.identity_token_after_refusal(&first).await.unwrap();
    session.note_fresh_refused(&first);
    session.note_fresh_refused(&second);
    for _ in 0..10 {
        let error = session
            .identity_token_after_refusal(&second)
            .await
            .unwrap_err();
        assert!(matches!(error, IdentityError::FreshRefused), "{error}");
    }
    world.clock.advance(59);
    assert!(session.identity_token_after_refusal(&second).await.is_err());
    assert_eq!(world.provider.calls(), 1);
    world.clock.advance(1);
    let third = session.identity_token_after_refusal(&second).await.unwrap();
    assert_eq!(third.version, 3);
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn a_note_of_a_refusal_does_not_keep_an_ended_token() {
    let world = World::new();
    let connected = world.connect_for(Some(30)).await;
    let session = world.used(&connected.access, 1).await;
    let first = session.identity_token().await.unwrap();
    assert!(!session.has_run_out(&first));
    world.provider.will(&[Answer::Tokens(Some(30))]);
    let second = session.identity_token_after_refusal(&first).await.unwrap();
    session.note_fresh_refused(&second);
    world.clock.advance(30);
    assert!(session.has_run_out(&second));
    let third = session.identity_token_after_refusal(&second).await.unwrap();
    assert_eq!(third.version, 3);
}

#[tokio::test]
async fn an_outdated_note_of_a_refusal_is_ignored() {
    let world = World::new();
    let connected = world.connect_for(Some(8 * HOUR)).await;
    let session = world.used(&connected.access, 1).await;
    let first = session.identity_token().await.unwrap();
    let second = session.identity_token_after_refusal(&first).await.unwrap();
    session.note_fresh_refused(&first);
    assert!(session.identity_token_after_refusal(&second).await.is_ok());
}

#[tokio::test]
async fn a_token_without_an_end_is_refreshed_only_when_refused() {
    let world = World::new();
    let connected = world.connect_for(None).await;
    let session = world.used(&connected.access, 1).await;
    world.clock.advance(13 * 24 * HOUR);
    let held = session.identity_token().await.unwrap();
    assert_eq!(world.provider.calls(), 0);
    assert!(session.identity_token_after_refusal(&held).await.is_ok());
}

#[tokio::test]
async fn a_refused_token_that_cannot_be_refreshed_ends_nothing() {
    let world = World::new();
    let mut tokens = world.tokens(None);
    tokens.refresh_token = None;
    let code = world.grants.open(World::login(tokens)).await.unwrap();
    let connected = Connected::of(world.redeem(&code).await.unwrap());
    let session = world.used(&connected.access, 1).await;
    let held = session.identity_token().await.unwrap();
    let error = session
        .identity_token_after_refusal(&held)
        .await
        .unwrap_err();
    assert!(matches!(error, IdentityError::FreshRefused));
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn after_a_refusal_a_failed_refresh_is_a_passing_fault() {
    let world = World::new();
    let connected = world.connect_for(Some(8 * HOUR)).await;
    let session = world.used(&connected.access, 1).await;
    let held = session.identity_token().await.unwrap();
    world.provider.will(&[Answer::Unavailable]);
    let error = session
        .identity_token_after_refusal(&held)
        .await
        .unwrap_err();
    assert_eq!(retry_after(&error), 5);
    // For calls that were not refused the token is still good.
    assert_eq!(token(&session).await, "identity-access-0");
}

#[tokio::test]
async fn a_grant_that_ends_during_its_refresh_stays_ended() {
    let world = World::new();
    let (connected, session) = expired(&world).await;
    world.provider.hang();
    let caller = tokio::spawn({
        let session = session.clone();
        async move { session.identity_token().await }
    });
    world.provider.asked(1).await;
    world.grants.end(&session.grant()).await.unwrap();
    world.provider.go_on();
    let error = caller.await.unwrap().unwrap_err();
    assert!(matches!(error, IdentityError::Ended(_)), "{error}");
    let world = world.restart().await;
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended));
}

#[tokio::test]
async fn a_refresh_that_is_lost_without_an_outcome_blocks_nobody() {
    let world = World::new();
    let (_, session) = expired(&world).await;
    world.provider.will(&[Answer::Panic]);
    let error = session.identity_token().await.unwrap_err();
    assert_eq!(retry_after(&error), 5);
    assert_eq!(token(&session).await, "identity-access-1");
}

#[tokio::test]
async fn rotation_and_refresh_do_not_get_in_each_other_s_way() {
    let world = World::new();
    let (connected, session) = expired(&world).await;
    world.provider.hang();
    let caller = tokio::spawn({
        let session = session.clone();
        async move { token(&session).await }
    });
    world.provider.asked(1).await;
    let next = world.next(&connected.refresh, 1).await;
    world.provider.go_on();
    assert_eq!(caller.await.unwrap(), "identity-access-1");
    drop(session);
    let world = world.restart().await;
    let session = world.used(&next.access, 1).await;
    assert_eq!(token(&session).await, "identity-access-1");
    assert!(world.rotate(&next.refresh, 1).await.is_ok());
}

#[tokio::test]
async fn without_a_refresh_token_the_grant_ends_with_its_identity_token() {
    // The provider named a refresh token at the login and dropped it at a refresh.
    let world = World::new();
    let (connected, session) = expired(&world).await;
    world.provider.will(&[Answer::TokensWithoutRefresh(600)]);
    assert_eq!(token(&session).await, "identity-access-1");
    let next = world.next(&connected.refresh, 1).await;
    assert_eq!(next.issued.expires_in, Duration::from_secs(600));
    world.clock.advance(599);
    assert_eq!(token(&session).await, "identity-access-1");
    world.clock.advance(1);
    let error = session.identity_token().await.unwrap_err();
    assert!(matches!(error, IdentityError::Ended(_)), "{error}");
    session.ended().await;
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended));
}
