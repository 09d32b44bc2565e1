use std::{fs, net::Ipv4Addr};

use domain::{credential::Credential, secret::SecretBytes, time::Clock as _};
use idp::provider::Identity;

use super::*;
use crate::testing::{Connected, HOUR, MINUTE, World, client, network, resource, resource_at};

const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));

fn secret() -> SecretBytes<32> {
    SecretBytes::new([42; 32])
}

fn request() -> DeviceRequest {
    DeviceRequest {
        client: client("client-a"),
        resource: resource(),
        scopes: ScopeSet::parse("openid offline_access").unwrap(),
        asked_from: FROM,
    }
}

async fn begin(world: &World) -> DeviceAuthorization {
    world
        .grants
        .begin_device(request(), &secret())
        .await
        .unwrap()
}

async fn found(world: &World, code: &UserCode) -> Option<WaitingDevice> {
    world.grants.find_device(code, &[&secret()]).await.unwrap()
}

async fn poll_from(
    world: &World,
    device: &DeviceAuthorization,
    from: u8,
) -> Result<IssuedTokens, DevicePollError> {
    let client = client("client-a");
    let poll = DevicePoll {
        device_code: device.device_code.expose(),
        client: &client,
        resource: None,
        network: network(from),
    };
    world.grants.poll_device(poll).await
}

async fn poll(
    world: &World,
    device: &DeviceAuthorization,
) -> Result<IssuedTokens, DevicePollError> {
    poll_from(world, device, 1).await
}

fn identity(world: &World) -> Identity {
    World::login(world.tokens(Some(8 * HOUR))).identity
}

async fn approve(world: &World, device: &DeviceAuthorization) -> Result<(), DecideError> {
    let grant = grant_of(device);
    world.grants.approve_device(&grant, identity(world)).await
}

fn grant_of(device: &DeviceAuthorization) -> GrantId {
    Credential::parse(device.device_code.expose())
        .unwrap()
        .grant
}

#[tokio::test]
async fn a_device_waits_is_approved_and_collects_its_tokens() {
    let world = World::new();
    let device = begin(&world).await;
    assert_eq!(device.expires_in, Duration::from_secs(900));
    assert_eq!(device.interval, Duration::from_secs(5));
    assert!(device.device_code.expose().starts_with("mpdc1_"));
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Pending)
    ));

    let waiting = found(&world, &device.user_code).await.unwrap();
    assert_eq!(waiting.grant, grant_of(&device));
    assert_eq!(
        (waiting.client, waiting.resource),
        (client("client-a"), resource())
    );
    assert_eq!(waiting.asked_from, FROM);
    approve(&world, &device).await.unwrap();
    assert!(found(&world, &device.user_code).await.is_none());

    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    assert_eq!(tokens.issued.grant, grant_of(&device));
    assert_eq!(tokens.issued.subject.as_str(), "user-1");
    let session = world.used(&tokens.access, 1).await;
    assert_eq!(session.client(), &client("client-a"));
    world.next(&tokens.refresh, 1).await;
}

#[tokio::test]
async fn an_approved_device_collects_from_another_process_and_the_grant_goes_on() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let world = world.restart().await;
    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    let world = world.restart().await;
    world.used(&tokens.access, 1).await;
    world.clock.advance(13 * 24 * HOUR);
    world.next(&tokens.refresh, 1).await;
}

#[tokio::test]
async fn a_poll_repeated_before_the_tokens_were_seen_gets_the_same_generation() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let first = Connected::of(poll(&world, &device).await.unwrap());
    world.clock.advance(3);
    let again = Connected::of(poll_from(&world, &device, 2).await.unwrap());
    assert_eq!(first.refresh, again.refresh, "one generation, one token");
    world.call(&first.access, 1).await.unwrap();
    world.used(&again.access, 2).await;
    for _ in 0..2 {
        let used = poll(&world, &device).await;
        assert!(matches!(used, Err(DevicePollError::Used)), "{used:?}");
    }
    world.call(&first.access, 1).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_of_the_store_costs_no_tokens() {
    let world = World::new();
    let device = begin(&world).await;
    world.store.lose_next_answer();
    approve(&world, &device).await.unwrap();
    world.store.lose_next_answer();
    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    world.used(&tokens.access, 1).await;
}

#[tokio::test]
async fn refreshed_tokens_were_seen_too() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    world.next(&tokens.refresh, 1).await;
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Used)
    ));
}

#[tokio::test]
async fn a_used_device_keeps_no_sealed_root() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let state = async || {
        let patience = world.grants.heart.patience();
        let grant = grant_of(&device);
        let stored = world.grants.heart.load_device(&grant, &patience);
        stored.await.unwrap().unwrap().record.state
    };
    assert!(matches!(
        state().await,
        record::DeviceState::Approved { .. }
    ));
    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    world.used(&tokens.access, 1).await;
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Used)
    ));
    assert_eq!(state().await, record::DeviceState::Used);
}

#[tokio::test]
async fn an_impatient_device_is_slowed_down_five_seconds_each_time() {
    let world = World::new();
    let device = begin(&world).await;
    let mut answers = Vec::new();
    // Told to slow down, it must wait 10 s, then 15 s, then 20 s; with a second of tolerance.
    for pause in [0, 5, 4, 1, 9, 10, 5, 10, 20] {
        world.clock.advance(pause);
        answers.push(match poll(&world, &device).await {
            Err(DevicePollError::Pending) => (pause, "pending"),
            Err(DevicePollError::SlowDown) => (pause, "slow down"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(
        answers,
        [
            (0, "pending"),
            (5, "pending"),
            (4, "pending"),
            (1, "slow down"),
            (9, "pending"),
            (10, "pending"),
            (5, "slow down"),
            (10, "slow down"),
            (20, "pending"),
        ]
    );
}

#[tokio::test]
async fn polls_of_one_second_are_written_once() {
    let world = World::new();
    let device = begin(&world).await;
    poll(&world, &device).await.unwrap_err();
    let before = world.store.commands();
    for _ in 0..10 {
        assert!(matches!(
            poll(&world, &device).await,
            Err(DevicePollError::SlowDown)
        ));
    }
    assert_eq!(world.store.commands() - before, 10, "reads only");
}

#[tokio::test]
async fn a_device_waits_no_longer_than_it_was_told() {
    let world = World::new();
    let device = begin(&world).await;
    world.clock.advance(15 * MINUTE - 1);
    assert!(found(&world, &device.user_code).await.is_some());
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Pending)
    ));
    world.clock.advance(1);
    assert!(found(&world, &device.user_code).await.is_none());
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Expired)
    ));
    assert!(matches!(
        approve(&world, &device).await,
        Err(DecideError::Expired)
    ));
    let denied = world.grants.deny_device(&grant_of(&device)).await;
    assert!(matches!(denied, Err(DecideError::Expired)));
    world.clock.advance(HOUR);
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Expired)
    ));
}

#[tokio::test]
async fn an_approval_of_the_last_moment_can_be_collected() {
    let world = World::new();
    let device = begin(&world).await;
    world.clock.advance(15 * MINUTE - 1);
    approve(&world, &device).await.unwrap();
    world.clock.advance(30);
    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    world.used(&tokens.access, 1).await;
    let late = begin(&world).await;
    approve(&world, &late).await.unwrap();
    world.clock.advance(16 * MINUTE);
    assert!(matches!(
        poll(&world, &late).await,
        Err(DevicePollError::Expired)
    ));
}

#[tokio::test]
async fn a_no_reaches_the_device_and_is_final() {
    let world = World::new();
    let device = begin(&world).await;
    world.grants.deny_device(&grant_of(&device)).await.unwrap();
    assert!(found(&world, &device.user_code).await.is_none());
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Denied)
    ));
    assert!(matches!(
        approve(&world, &device).await,
        Err(DecideError::Decided)
    ));
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Denied)
    ));
}

#[tokio::test]
async fn a_yes_is_final_too() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    assert!(matches!(
        approve(&world, &device).await,
        Err(DecideError::Decided)
    ));
    let denied = world.grants.deny_device(&grant_of(&device)).await;
    assert!(matches!(denied, Err(DecideError::Decided)));
    poll(&world, &device).await.unwrap();
}

#[tokio::test]
async fn a_poll_between_reading_and_deciding_loses_nothing() {
    let world = World::new();
    let device = begin(&world).await;
    let (polled, approved) = tokio::join!(poll(&world, &device), approve(&world, &device));
    approved.unwrap();
    drop(polled);
    poll(&world, &device).await.unwrap();
}

#[tokio::test]
async fn a_foreign_code_client_or_resource_gets_nothing_and_ends_nothing() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let (own, other) = (client("client-a"), client("client-b"));
    let other_resource = resource_at("/other");
    let attempt = |client, resource| DevicePoll {
        device_code: device.device_code.expose(),
        client,
        resource,
        network: network(1),
    };
    let refused = world.grants.poll_device(attempt(&other, None)).await;
    assert!(matches!(refused, Err(DevicePollError::WrongClient)));
    let refused = world
        .grants
        .poll_device(attempt(&own, Some(&other_resource)));
    assert!(matches!(refused.await, Err(DevicePollError::WrongResource)));
    let junk = DevicePoll {
        device_code: "mpdc1_junk",
        ..attempt(&own, None)
    };
    let refused = world.grants.poll_device(junk).await;
    assert!(matches!(refused, Err(DevicePollError::Unknown)));
    let own_resource = resource();
    let polled = world.grants.poll_device(attempt(&own, Some(&own_resource)));
    polled.await.unwrap();
}

#[tokio::test]
async fn a_code_that_was_changed_opens_nothing() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let genuine = Credential::parse(device.device_code.expose()).unwrap();
    let changes: [fn(&mut Credential); 4] = [
        |code| code.half = SecretBytes::new([7; 32]),
        |code| code.expires_at += 3600,
        |code| code.mac = [0; 16],
        |code| code.grant = GrantId::from_bytes([9; 16]),
    ];
    for change in changes {
        let mut changed = genuine.clone();
        change(&mut changed);
        let forged = DeviceAuthorization {
            device_code: changed.encode(),
            ..begin(&world).await
        };
        let refused = poll(&world, &forged).await;
        assert!(
            matches!(refused, Err(DevicePollError::Unknown)),
            "{refused:?}"
        );
    }
    poll(&world, &device).await.unwrap();
}

#[tokio::test]
async fn a_device_code_is_no_other_token_and_no_other_token_is_one() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    let code = device.device_code.expose();
    world.call(code, 1).await.unwrap_err();
    world.rotate(code, 1).await.unwrap_err();
    world.redeem(&device.device_code).await.unwrap_err();
    world
        .grants
        .revoke(code, &client("client-a"))
        .await
        .unwrap();
    let tokens = Connected::of(poll(&world, &device).await.unwrap());
    let shown = DeviceAuthorization {
        device_code: SecretString::new(tokens.refresh.as_str()),
        ..device
    };
    assert!(matches!(
        poll(&world, &shown).await,
        Err(DevicePollError::Unknown)
    ));
}

#[tokio::test]
async fn an_ended_grant_is_not_collected() {
    let world = World::new();
    let device = begin(&world).await;
    approve(&world, &device).await.unwrap();
    world.grants.end(&grant_of(&device)).await.unwrap();
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Ended)
    ));
}

#[tokio::test]
async fn a_user_code_is_found_under_each_secret_of_the_server_and_under_no_other() {
    let world = World::new();
    let device = begin(&world).await;
    let (newer, own) = (SecretBytes::new([1; 32]), secret());
    let grants = &world.grants;
    let find = async |secrets: &[&SecretBytes<32>]| {
        let found = grants.find_device(&device.user_code, secrets).await;
        found.unwrap().is_some()
    };
    assert!(find(&[&newer, &own]).await);
    assert!(!find(&[&newer]).await);
    let other = UserCode::parse("BCDFGHJK").unwrap();
    assert!(grants.find_device(&other, &[&own]).await.unwrap().is_none());
}

#[tokio::test]
async fn an_absent_store_is_a_passing_fault() {
    let world = World::new();
    let device = begin(&world).await;
    world.store.set_away(true);
    assert!(matches!(
        poll(&world, &device).await,
        Err(DevicePollError::Unavailable(_))
    ));
    assert!(matches!(
        approve(&world, &device).await,
        Err(DecideError::Unavailable(_))
    ));
    world
        .grants
        .begin_device(request(), &secret())
        .await
        .unwrap_err();
    world.store.set_away(false);
    approve(&world, &device).await.unwrap();
    poll(&world, &device).await.unwrap();
}

/// Neither before nor after the approval does the store hold what opens the session or tells who
/// asked; only the bearer of the device code has the other half.
#[tokio::test]
async fn a_stolen_store_opens_nothing() {
    let world = World::new();
    let device = begin(&world).await;
    let code = Credential::parse(device.device_code.expose()).unwrap();
    let letters = device.user_code.expose_text();
    let identity = identity(&world);
    let access = identity.tokens.access_token.expose().to_owned();
    let refresh = identity.tokens.refresh_token.clone().unwrap();
    let dump = |world: &World| fs::read(world.store_path()).unwrap();
    let before = dump(&world);
    world
        .grants
        .approve_device(&code.grant, identity)
        .await
        .unwrap();
    let after = dump(&world);
    for (name, secret) in [
        ("device secret", code.half.expose().as_slice()),
        ("device code", device.device_code.expose().as_bytes()),
        ("user code", device.user_code.expose().as_slice()),
        ("user code as shown", letters.as_bytes()),
        ("address", FROM.to_string().as_bytes()),
        ("identity access token", access.as_bytes()),
        ("identity refresh token", refresh.expose().as_bytes()),
        ("e-mail", b"ada@secret.example".as_slice()),
    ] {
        for dump in [&before, &after] {
            let is_there = dump.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "the store holds the {name}");
        }
    }
    // All that a dump has of the device is its public key: it opens no letter, and no code can be
    // made up for it.
    let patience = world.grants.heart.patience();
    let stored = world.grants.heart.load_device(&code.grant, &patience).await;
    let record = stored.unwrap().unwrap().record;
    let record::DeviceState::Approved { root } = &record.state else {
        panic!("{record:?}")
    };
    let issuer = &world.settings.issuer;
    let thief = keys::DeviceKeys::new(SecretBytes::new(record.public_key), code.grant, issuer);
    assert!(thief.open_root(root).is_none());
    let made_up = thief.code(world.clock.now().plus(Duration::from_secs(60)));
    let forged = DeviceAuthorization {
        device_code: made_up,
        ..device
    };
    assert!(matches!(
        poll(&world, &forged).await,
        Err(DevicePollError::Unknown)
    ));
}
