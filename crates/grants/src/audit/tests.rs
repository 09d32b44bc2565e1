use std::{
    io,
    sync::{Arc, Mutex},
};

use domain::{scope::ScopeSet, secret::SecretBytes};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    DevicePoll, DeviceRequest,
    testing::{Answer, Connected, HOUR, MINUTE, World, client, network, resource, rotation},
};

/// Keeps every event of this thread, the most verbose ones too.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self, message: &str) -> usize {
        let text = self.text();
        text.lines().filter(|line| line.contains(message)).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_late_use_is_reported_once_for_a_generation_and_network() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    assert_eq!(log.count("grant opened"), 1);
    for from in [1, 1, 2, 2, 1] {
        world.next(&first.refresh, from).await;
    }
    assert_eq!(log.count("replaced refresh token honoured"), 2);
    world.next(&second.refresh, 1).await;
    world.next(&second.refresh, 1).await;
    assert_eq!(log.count("replaced refresh token honoured"), 3);
}

#[tokio::test]
async fn a_login_without_a_refresh_token_is_pointed_out() {
    let (log, _guard) = Log::start();
    let world = World::new();
    world.connect().await;
    assert_eq!(log.count("gave no refresh token"), 0);
    let mut tokens = world.tokens(Some(HOUR));
    tokens.refresh_token = None;
    world.grants.open(World::login(tokens)).await.unwrap();
    assert_eq!(log.count("gave no refresh token"), 1);
}

#[tokio::test]
async fn a_theft_signal_and_the_end_say_who_and_why() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let first = world.connect().await;
    let second = world.next(&first.refresh, 1).await;
    world.used(&second.access, 1).await;
    world.clock.advance(2 * HOUR);
    assert!(world.rotate(&first.refresh, 9).await.is_err());
    let text = log.text();
    let theft = text.lines().find(|line| line.contains("theft signal"));
    let theft = theft.unwrap();
    let grant = first.issued.grant.to_string();
    for part in [&*grant, "client-a", "user-1", "192.0.2.9", "WARN"] {
        assert!(theft.contains(part), "{theft}");
    }
    let end = text.lines().find(|line| line.contains("grant ended"));
    let end = end.unwrap();
    for part in [&*grant, "client-a", "user-1", "long replaced"] {
        assert!(end.contains(part), "{end}");
    }
}

#[tokio::test]
async fn no_event_holds_a_secret() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let login = World::login(world.tokens(Some(10 * MINUTE)));
    let code = world.grants.open(login).await.unwrap();
    let first = Connected::of(world.redeem(&code).await.unwrap());
    let session = world.used(&first.access, 1).await;
    world
        .provider
        .will(&[Answer::Unavailable, Answer::Misconfigured]);
    world.clock.advance(9 * MINUTE);
    assert!(session.identity_token().await.is_ok());
    world.clock.advance(MINUTE);
    assert!(session.identity_token().await.is_err());
    world.clock.advance(MINUTE);
    let token = session.identity_token().await.unwrap();
    session.note_fresh_refused(&token);
    let second = world.next(&first.refresh, 1).await;
    let other = client("client-b");
    let refused = world.grants.rotate(rotation(&second.refresh, &other, 1));
    assert!(refused.await.is_err());
    assert!(world.redeem(&code).await.is_err());
    world.next(&first.refresh, 2).await;
    world.store.set_away(true);
    assert!(world.rotate(&second.refresh, 1).await.is_err());
    world.store.set_away(false);
    world
        .grants
        .revoke(&second.access, &client("client-a"))
        .await
        .unwrap();
    let text = log.text();
    assert!(text.lines().count() > 6, "{text}");
    for secret in [
        code.expose(),
        &first.access,
        &first.refresh,
        &second.access,
        &second.refresh,
        crate::testing::VERIFIER,
        "identity-access-",
        "identity-refresh-",
        "identity-id-token",
        "ada@secret.example",
        "nonce-1",
    ] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn no_event_of_a_device_holds_its_codes_or_its_address() {
    let (log, _guard) = Log::start();
    let world = World::new();
    let secret = SecretBytes::new([42; 32]);
    let request = DeviceRequest {
        client: client("client-a"),
        resource: resource(),
        scopes: ScopeSet::parse("openid").unwrap(),
        asked_from: [203, 0, 113, 77].into(),
    };
    let device = world.grants.begin_device(request, &secret).await.unwrap();
    let secrets = [&secret];
    let found = world.grants.find_device(&device.user_code, &secrets);
    let grant = found.await.unwrap().unwrap().grant;
    let poll = async |client: &str| {
        let client = crate::testing::client(client);
        let poll = DevicePoll {
            device_code: device.device_code.expose(),
            client: &client,
            resource: None,
            network: network(1),
        };
        world.grants.poll_device(poll).await
    };
    assert!(poll("client-a").await.is_err());
    assert!(poll("client-b").await.is_err());
    let identity = World::login(world.tokens(Some(10 * MINUTE))).identity;
    world.grants.approve_device(&grant, identity).await.unwrap();
    let tokens = Connected::of(poll("client-a").await.unwrap());
    let text = log.text();
    assert_eq!(log.count("a device waits for its user"), 1, "{text}");
    assert_eq!(log.count("shown by another client"), 1, "{text}");
    assert_eq!(log.count("grant opened"), 1, "{text}");
    let shown = device.user_code.expose_text();
    for secret in [
        device.device_code.expose(),
        &shown,
        &shown.replace('-', ""),
        "203.0.113.77",
        &tokens.access,
        &tokens.refresh,
        "identity-access-",
        "identity-refresh-",
    ] {
        assert!(!text.contains(secret), "{text}");
    }
}
