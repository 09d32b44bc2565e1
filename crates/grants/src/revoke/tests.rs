use super::*;
use crate::{
    AuthenticateError, TokenError,
    testing::{Answer, HOUR, World, client},
};

#[tokio::test]
async fn either_kind_of_token_ends_the_grant_at_once() {
    for kind in ["access", "refresh", "replaced refresh", "expired access"] {
        for from_memory in [true, false] {
            let mut world = World::new();
            let first = world.connect().await;
            let second = world.next(&first.refresh, 1).await;
            let session = world.used(&second.access, 1).await;
            let token = match kind {
                "access" => &second.access,
                "refresh" => &second.refresh,
                "replaced refresh" => &first.refresh,
                _ => {
                    world.clock.advance(HOUR);
                    &first.access
                }
            };
            if from_memory {
                world
                    .grants
                    .revoke(token, &client("client-a"))
                    .await
                    .unwrap();
                session.ended().await;
                assert!(session.identity_token().await.is_err());
            } else {
                world = world.restart().await;
                world
                    .grants
                    .revoke(token, &client("client-a"))
                    .await
                    .unwrap();
            }
            let refused = world.rotate(&second.refresh, 1).await.unwrap_err();
            assert!(matches!(refused, TokenError::Ended), "{kind}: {refused}");
            let refused = world.call(&second.access, 1).await.unwrap_err();
            assert!(
                matches!(
                    refused,
                    AuthenticateError::Ended | AuthenticateError::Expired
                ),
                "{kind}: {refused}"
            );
        }
    }
}

#[tokio::test]
async fn what_does_not_open_or_is_another_client_s_ends_nothing() {
    let world = World::new();
    let connected = world.connect().await;
    let mut forged = Credential::parse(&connected.refresh).unwrap();
    forged.mac[3] ^= 1;
    let forged = forged.encode();
    let own = client("client-a");
    for token in ["junk", forged.expose()] {
        world.grants.revoke(token, &own).await.unwrap();
    }
    for token in [&connected.access, &connected.refresh] {
        world
            .grants
            .revoke(token, &client("client-b"))
            .await
            .unwrap();
    }
    let code = world.open().await;
    world.grants.revoke(code.expose(), &own).await.unwrap();
    assert!(world.call(&connected.access, 1).await.is_ok());
    assert!(world.rotate(&connected.refresh, 1).await.is_ok());
    assert!(world.redeem(&code).await.is_ok());
}

#[tokio::test]
async fn a_store_that_is_away_is_said() {
    let world = World::new();
    let connected = world.connect().await;
    world.store.set_away(true);
    let revoked = world
        .grants
        .revoke(&connected.access, &client("client-a"))
        .await;
    assert!(matches!(revoked, Err(RevokeError::Unavailable(_))));
    world.store.set_away(false);
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn an_operator_ends_a_grant_by_its_public_id() {
    let world = World::new();
    let connected = world.connect().await;
    let session = world.used(&connected.access, 1).await;
    world.grants.end(&connected.issued.grant).await.unwrap();
    world.grants.end(&connected.issued.grant).await.unwrap();
    session.ended().await;
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended));
    let world = world.restart().await;
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended));
}

#[tokio::test]
async fn the_identity_token_is_given_back_without_delaying_the_answer() {
    for from_memory in [true, false] {
        let mut world = World::new();
        let connected = world.connect().await;
        if !from_memory {
            world = world.restart().await;
        }
        world.provider.hang();
        world
            .grants
            .revoke(&connected.access, &client("client-a"))
            .await
            .unwrap();
        assert!(world.provider.revoked().is_empty());
        world.provider.go_on();
        world.settle().await;
        assert_eq!(world.provider.revoked(), ["identity-refresh-0"]);
    }
}

/// Providers may take one token for all of the user's, and another client would lose its session.
#[tokio::test]
async fn it_is_kept_while_the_user_has_another_session() {
    let world = World::new();
    let own = client("client-a");
    let first = world.connect().await;
    let second = world.connect().await;
    world.grants.revoke(&first.access, &own).await.unwrap();
    world.settle().await;
    assert!(world.provider.revoked().is_empty());
    assert!(world.rotate(&second.refresh, 1).await.is_ok());
    world.grants.revoke(&second.refresh, &own).await.unwrap();
    world.settle().await;
    assert_eq!(world.provider.revoked(), ["identity-refresh-1"]);
}

#[tokio::test]
async fn a_provider_that_fails_changes_nothing_and_what_ends_nothing_gives_nothing_back() {
    let world = World::new();
    let connected = world.connect().await;
    for token in ["junk", connected.access.as_str()] {
        let other = client("client-b");
        world.grants.revoke(token, &other).await.unwrap();
    }
    world.settle().await;
    assert!(world.provider.revoked().is_empty());
    world.provider.will(&[Answer::Unavailable]);
    let own = client("client-a");
    world.grants.revoke(&connected.access, &own).await.unwrap();
    world.settle().await;
    assert!(world.provider.revoked().is_empty());
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Ended));
}
