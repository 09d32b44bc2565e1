use std::time::Duration;

use super::*;
use crate::testing::{HOUR, World, network, pace, resource_at, settings};

#[tokio::test]
async fn in_steady_state_a_call_costs_no_store_command() {
    let world = World::new();
    let connected = world.connect().await;
    world.used(&connected.access, 1).await;
    let before = world.store.commands();
    for _ in 0..100 {
        let session = world.call(&connected.access, 1).await.unwrap();
        session.identity_token().await.unwrap();
    }
    world.settle().await;
    assert_eq!(world.store.commands(), before);
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn a_call_is_served_from_memory_while_the_store_is_away() {
    let world = World::new();
    let connected = world.connect().await;
    world.store.set_away(true);
    let session = world.used(&connected.access, 1).await;
    assert!(session.identity_token().await.is_ok());
}

#[tokio::test]
async fn sessions_go_on_after_a_restart() {
    let world = World::new();
    let connected = world.connect().await;
    let world = world.restart().await;
    let session = world.used(&connected.access, 1).await;
    let identity = session.identity_token().await.unwrap();
    assert_eq!(identity.access_token.expose(), "identity-access-0");
    assert!(world.rotate(&connected.refresh, 1).await.is_ok());
}

#[tokio::test]
async fn a_store_that_is_away_is_a_passing_fault() {
    let world = World::new();
    let connected = world.connect().await;
    let world = world.restart().await;
    world.store.set_away(true);
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Unavailable(_)));
    world.store.set_away(false);
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn without_room_in_memory_every_call_is_answered_from_the_store() {
    let mut small = settings();
    small.cache_bytes = 0;
    let world = World::with(small, pace());
    let connected = world.connect().await;
    for _ in 0..3 {
        let before = world.store.commands();
        world.used(&connected.access, 1).await;
        assert!(world.store.commands() > before);
    }
    // While somebody holds it, it is found again; and its end reaches the holder.
    let session = world.call(&connected.access, 1).await.unwrap();
    world.grants.end(&session.grant()).await.unwrap();
    session.ended().await;
}

#[tokio::test]
async fn an_access_token_is_good_for_a_little_longer_than_its_client_is_told() {
    let world = World::new();
    let connected = world.connect().await;
    assert_eq!(connected.issued.expires_in, Duration::from_secs(HOUR));
    world.clock.advance(HOUR + 9);
    assert!(world.call(&connected.access, 1).await.is_ok());
    world.clock.advance(1);
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Expired), "{refused}");
}

#[tokio::test]
async fn a_token_for_another_resource_is_refused() {
    let world = World::new();
    let connected = world.connect().await;
    let refused = world
        .grants
        .authenticate(&connected.access, &resource_at("/other"), network(1))
        .await
        .unwrap_err();
    assert!(matches!(refused, AuthenticateError::WrongResource));
}

#[tokio::test]
async fn junk_and_other_kinds_are_refused_by_form() {
    let world = World::new();
    let code = world.open().await;
    let connected = world.connect().await;
    let before = world.store.commands();
    let mut cut = connected.access.clone();
    cut.pop();
    let changed = connected.access.replace("mpat1_", "mpat2_");
    for junk in [
        "",
        "junk",
        code.expose(),
        &connected.refresh,
        &cut,
        &changed,
    ] {
        let refused = world.call(junk, 1).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::Malformed), "{refused}");
    }
    assert_eq!(world.store.commands(), before, "without a look-up");
}

#[tokio::test]
async fn a_forged_token_is_refused_from_memory_and_from_the_store() {
    let world = World::new();
    let connected = world.connect().await;
    let genuine = Credential::parse(&connected.access).unwrap();
    let mut forgeries = Vec::new();
    for change in 0..5 {
        let mut forged = genuine.clone();
        match change {
            0 => forged.mac[15] ^= 1,
            1 => forged.half = domain::secret::SecretBytes::new([7; 32]),
            2 => forged.expires_at += 1,
            3 => forged.generation += 1,
            _ => forged.pad_number = 9,
        }
        forgeries.push(forged.encode());
    }
    let refused = async |world: &World| {
        for forged in &forgeries {
            let refused = world.call(forged.expose(), 1).await.unwrap_err();
            assert!(matches!(refused, AuthenticateError::Unknown), "{refused}");
        }
    };
    refused(&world).await;
    let world = world.restart().await;
    refused(&world).await;
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn with_the_pads_of_a_stolen_store_nobody_makes_a_token() {
    use crate::{
        keys::{Claims, GrantKeys, Root},
        lookup::Found,
        testing::ISSUER,
    };
    let world = World::new();
    let connected = world.connect().await;
    let world = world.restart().await;
    let patience = world.grants.heart.patience();
    let id = connected.issued.grant;
    let Ok(Found::Stored(dump)) = world.grants.heart.find(&id, &patience).await else {
        panic!("the grant is in the store");
    };
    let line = &dump.line.line;
    let claims = Claims {
        pad_number: 0,
        generation: 1,
        expires_at: Some(heart_now(&world).plus(Duration::from_secs(HOUR))),
    };
    // A root and a key of one's own, with MACs that fit them.
    let own = domain::secret::SecretBytes::new([5; 32]);
    let keys = GrantKeys::derive(own.clone(), &id, ISSUER);
    let access = keys.sign_access(id, claims, &line.access_pads.present.0);
    let root = Root::new(own, id, ISSUER);
    let pad = &line.refresh_pads.present.0;
    let refresh = root.sign(CredentialKind::Refresh, claims, pad);
    for is_in_memory in [false, true] {
        if is_in_memory {
            assert!(world.call(&connected.access, 1).await.is_ok());
            world.clock.advance(5);
        }
        let refused = world.call(access.expose(), 1).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::Unknown));
        let refused = world.rotate(refresh.expose(), 1).await.unwrap_err();
        assert!(matches!(refused, crate::TokenError::Unknown));
        let own = crate::testing::client("client-a");
        world.grants.revoke(refresh.expose(), &own).await.unwrap();
    }
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn a_store_under_another_issuer_opens_nothing() {
    let world = World::new();
    let connected = world.connect().await;
    let mut moved = settings();
    moved.issuer = "https://elsewhere.example".to_owned();
    let provider = world.provider.clone();
    let world = world.restart_with(moved, vec![provider]).await;
    let refused = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(refused, AuthenticateError::Unknown), "{refused}");
}

#[tokio::test]
async fn an_unknown_token_is_remembered_for_five_seconds() {
    let world = World::new();
    let connected = world.connect().await;
    let mut unknown = Credential::parse(&connected.access).unwrap();
    unknown.grant = domain::id::GrantId::from_bytes([3; 16]);
    let unknown = unknown.encode();
    let cost = async || {
        let before = world.store.commands();
        let refused = world.call(unknown.expose(), 1).await.unwrap_err();
        assert!(matches!(refused, AuthenticateError::Unknown));
        world.store.commands() - before
    };
    assert_eq!(cost().await, 1);
    assert_eq!(cost().await, 0);
    world.clock.advance(4);
    assert_eq!(cost().await, 0);
    world.clock.advance(1);
    assert_eq!(cost().await, 1);
}

#[tokio::test]
async fn a_generation_is_marked_at_its_first_call_and_for_four_networks() {
    let world = World::new();
    let connected = world.connect().await;
    let mut marks = Vec::new();
    for from in [1, 1, 2, 3, 4, 5, 6, 2] {
        let before = world.store.commands();
        world.used(&connected.access, from).await;
        marks.push(world.store.commands() - before);
    }
    assert_eq!(marks, [1, 0, 1, 1, 1, 0, 0, 0]);
    let next = world.next(&connected.refresh, 1).await;
    let before = world.store.commands();
    world.used(&next.access, 6).await;
    assert_eq!(world.store.commands() - before, 1, "a new generation");
}

#[tokio::test]
async fn a_call_does_not_wait_for_its_mark() {
    let mut patient = pace();
    patient.store = Duration::from_secs(3600);
    patient.store_retries = patient.store;
    let world = World::with(settings(), patient);
    let connected = world.connect().await;
    world.store.set_away(true);
    // The mark is tried for an hour; the call is answered now.
    assert!(world.call(&connected.access, 1).await.is_ok());
    world.store.set_away(false);
    world.settle().await;
}

#[tokio::test]
async fn an_access_token_of_a_generation_that_the_store_lost_is_served() {
    let world = World::new();
    let first = world.connect().await;
    world.settle().await;
    let copy = world.directory.path().join("before.redb");
    std::fs::copy(world.store_path(), &copy).unwrap();
    let second = world.next(&first.refresh, 1).await;
    // A failover to a replica that had not heard of the rotation.
    world.settle().await;
    world.store.close();
    std::fs::copy(&copy, world.store_path()).unwrap();
    let world = world.restart().await;
    world.used(&second.access, 1).await;
    let third = world.next(&second.refresh, 1).await;
    let generation = Credential::parse(&third.refresh).unwrap().generation;
    assert_eq!(generation, 3, "the refresh token was adopted");
    let late = world.next(&first.refresh, 1).await;
    assert_eq!(late.refresh, third.refresh);
}

#[tokio::test]
async fn a_redemption_that_the_store_lost_is_adopted() {
    let world = World::new();
    let code = world.open().await;
    world.settle().await;
    let copy = world.directory.path().join("before.redb");
    std::fs::copy(world.store_path(), &copy).unwrap();
    let connected = crate::testing::Connected::of(world.redeem(&code).await.unwrap());
    world.store.close();
    std::fs::copy(&copy, world.store_path()).unwrap();
    let world = world.restart().await;
    world.used(&connected.access, 1).await;
    let refused = world.redeem(&code).await.unwrap_err();
    assert!(matches!(refused, crate::TokenError::CodeReplayed));
    world.clock.advance(100);
    assert!(world.call(&connected.access, 1).await.is_ok());
    assert!(world.rotate(&connected.refresh, 1).await.is_ok());
}

#[tokio::test]
async fn nothing_in_the_store_file_opens_anything_or_tells_who_the_user_is() {
    let world = World::new();
    let code = world.open().await;
    let first = crate::testing::Connected::of(world.redeem(&code).await.unwrap());
    let session = world.used(&first.access, 1).await;
    world.clock.advance(8 * HOUR);
    session.identity_token().await.unwrap();
    let second = world.next(&first.refresh, 1).await;
    world.settle().await;
    let mut secrets = vec![
        "ada@secret.example".to_owned(),
        "identity-access-".to_owned(),
        "identity-refresh-".to_owned(),
        "identity-id-token".to_owned(),
        "extra.example".to_owned(),
        crate::testing::VERIFIER.to_owned(),
        "192.0.2.1".to_owned(),
        code.expose().to_owned(),
    ];
    for token in [
        &first.access,
        &first.refresh,
        &second.access,
        &second.refresh,
    ] {
        secrets.push(token.clone());
    }
    let mut needles: Vec<Vec<u8>> = secrets.into_iter().map(String::into_bytes).collect();
    for token in [code.expose(), &first.refresh, &second.access] {
        let credential = Credential::parse(token).unwrap();
        needles.push(credential.half.expose().to_vec());
        needles.push(credential.mac.to_vec());
    }
    let dump = std::fs::read(world.store_path()).unwrap();
    let holds = |needle: &[u8]| dump.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"client-a"), "the dump is one");
    for needle in needles {
        assert!(!holds(&needle), "{}", String::from_utf8_lossy(&needle));
    }
}

fn heart_now(world: &World) -> domain::time::Timestamp {
    world.grants.heart.clock.now()
}
