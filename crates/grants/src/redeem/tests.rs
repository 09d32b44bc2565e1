use super::*;
use crate::testing::{Connected, HOUR, World, client, redemption, resource_at, settings, verifier};

#[tokio::test]
async fn a_code_gives_tokens_that_open_the_session_of_its_login() {
    let world = World::new();
    let code = world.open().await;
    let issued = world.redeem(&code).await.unwrap();
    assert_eq!(issued.expires_in, Duration::from_secs(HOUR));
    assert_eq!(issued.subject.as_str(), "user-1");
    assert_eq!(issued.nonce.as_deref(), Some("nonce-1"));
    assert_eq!(issued.scopes.to_string(), "openid offline_access");
    let grant = issued.grant;
    let connected = Connected::of(issued);
    let session = world.call(&connected.access, 1).await.unwrap();
    assert_eq!(session.grant(), grant);
    assert_eq!(session.client(), &client("client-a"));
    let identity = session.identity_token().await.unwrap();
    assert_eq!(identity.access_token.expose(), "identity-access-0");
    assert_eq!(&*identity.scope, "profile email");
}

#[tokio::test]
async fn two_logins_through_one_client_stay_apart() {
    let world = World::new();
    let first = world.connect().await;
    let second = world.connect().await;
    assert_ne!(first.issued.grant, second.issued.grant);
    let token = |connected: &Connected| {
        let access = connected.access.clone();
        let world = &world;
        async move {
            let session = world.call(&access, 1).await.unwrap();
            let token = session.identity_token().await.unwrap();
            token.access_token.expose().to_owned()
        }
    };
    assert_eq!(token(&first).await, "identity-access-0");
    assert_eq!(token(&second).await, "identity-access-1");
}

#[tokio::test]
async fn a_refused_redemption_leaves_the_code_good_for_its_owner() {
    let world = World::new();
    let code = world.open().await;
    let (owner, other, right) = (client("client-a"), client("client-b"), verifier());
    let wrong = domain::pkce::CodeVerifier::parse(&"x".repeat(43)).unwrap();
    let foreign = resource_at("/other");
    let redeem = |redemption| world.grants.redeem(redemption);
    let base = || redemption(code.expose(), &owner, &right);
    let refused = redeem(Redemption {
        client: &other,
        ..base()
    });
    assert!(matches!(refused.await, Err(TokenError::WrongClient)));
    let refused = redeem(Redemption {
        verifier: Some(&wrong),
        ..base()
    });
    assert!(matches!(refused.await, Err(TokenError::WrongVerifier)));
    let refused = redeem(Redemption {
        verifier: None,
        ..base()
    });
    assert!(matches!(refused.await, Err(TokenError::WrongVerifier)));
    let refused = redeem(Redemption {
        redirect_uri: Some("http://127.0.0.1:5001/callback"),
        ..base()
    });
    assert!(matches!(refused.await, Err(TokenError::WrongRedirectUri)));
    let refused = redeem(Redemption {
        resource: Some(&foreign),
        ..base()
    });
    assert!(matches!(refused.await, Err(TokenError::WrongResource)));
    let accepted = redeem(Redemption {
        redirect_uri: None,
        ..base()
    });
    assert!(accepted.await.is_ok(), "OAuth 2.1 sends no redirect_uri");
}

#[tokio::test]
async fn a_code_lives_sixty_seconds() {
    let world = World::new();
    let code = world.open().await;
    world.clock.advance(59);
    assert!(world.redeem(&code).await.is_ok());
    let code = world.open().await;
    world.clock.advance(60);
    assert!(matches!(
        world.redeem(&code).await,
        Err(TokenError::Unknown)
    ));
}

#[tokio::test]
async fn only_one_of_many_redemptions_succeeds_and_the_session_lives() {
    let world = std::sync::Arc::new(World::new());
    let code = world.open().await;
    let tries: Vec<_> = (0..16)
        .map(|_| {
            let (world, code) = (std::sync::Arc::clone(&world), code.clone());
            tokio::spawn(async move { world.redeem(&code).await })
        })
        .collect();
    let mut redeemed = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(issued) => redeemed.push(Connected::of(issued)),
            Err(error) => assert!(matches!(error, TokenError::CodeReplayed), "{error}"),
        }
    }
    assert_eq!(redeemed.len(), 1);
    assert!(world.call(&redeemed[0].access, 1).await.is_ok());
}

#[tokio::test]
async fn a_late_replay_ends_the_grant_only_with_all_proofs() {
    for from_memory in [true, false] {
        let mut world = World::new();
        let code = world.open().await;
        let connected = Connected::of(world.redeem(&code).await.unwrap());
        let replay = |world: &World, client_name: &str, right: bool| {
            let grants = std::sync::Arc::clone(&world.grants);
            let (code, client) = (code.clone(), client(client_name));
            let verifier = if right {
                verifier()
            } else {
                domain::pkce::CodeVerifier::parse(&"x".repeat(43)).unwrap()
            };
            async move {
                let error = grants
                    .redeem(redemption(code.expose(), &client, &verifier))
                    .await
                    .unwrap_err();
                assert!(matches!(error, TokenError::CodeReplayed), "{error}");
            }
        };
        if !from_memory {
            world = world.restart().await;
        }
        world.clock.advance(29);
        replay(&world, "client-a", true).await;
        assert!(world.call(&connected.access, 1).await.is_ok(), "too soon");
        world.clock.advance(1);
        replay(&world, "client-b", true).await;
        replay(&world, "client-a", false).await;
        assert!(world.call(&connected.access, 1).await.is_ok(), "no proof");
        replay(&world, "client-a", true).await;
        let refused = world.call(&connected.access, 1).await.unwrap_err();
        assert!(matches!(refused, crate::AuthenticateError::Ended));
        let refused = world.rotate(&connected.refresh, 1).await.unwrap_err();
        assert!(matches!(refused, TokenError::Ended));
    }
}

#[tokio::test]
async fn a_replay_after_the_first_refresh_is_refused_and_ends_nothing() {
    let world = World::new();
    let code = world.open().await;
    let connected = Connected::of(world.redeem(&code).await.unwrap());
    let connected = world.next(&connected.refresh, 1).await;
    world.clock.advance(45);
    let error = world.redeem(&code).await.unwrap_err();
    assert!(matches!(error, TokenError::CodeReplayed));
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn a_redemption_whose_store_answer_was_lost_still_succeeds() {
    let world = World::new();
    let code = world.open().await;
    world.store.lose_next_answer();
    let connected = Connected::of(world.redeem(&code).await.unwrap());
    assert!(world.call(&connected.access, 1).await.is_ok());
}

#[tokio::test]
async fn with_the_store_away_nothing_is_burnt() {
    let world = World::new();
    let code = world.open().await;
    world.store.set_away(true);
    let error = world.redeem(&code).await.unwrap_err();
    assert!(matches!(error, TokenError::Unavailable(_)));
    world.store.set_away(false);
    assert!(world.redeem(&code).await.is_ok());
}

#[tokio::test]
async fn a_grant_that_is_never_redeemed_is_forgotten() {
    let world = World::new();
    let code = world.open().await;
    world.clock.advance(90);
    let grant = Credential::parse(code.expose()).unwrap().grant;
    let patience = world.grants.heart.patience();
    let found = world.grants.heart.find(&grant, &patience).await;
    assert!(matches!(
        found.err(),
        Some(Closed::Refused(Refusal::Unknown))
    ));
}

#[tokio::test]
async fn strictly_no_refresh_token_is_given_without_offline_access() {
    let mut strict = settings();
    strict.strict_offline_access = true;
    let world = World::with(strict, crate::testing::pace());
    let mut login = World::login(world.tokens(Some(8 * HOUR)));
    login.scopes = domain::scope::ScopeSet::parse("openid").unwrap();
    let code = world.grants.open(login).await.unwrap();
    let issued = world.redeem(&code).await.unwrap();
    assert!(issued.refresh_token.is_none());
    assert_eq!(issued.expires_in, Duration::from_secs(HOUR));
    let with_offline_access = world.connect().await;
    assert!(with_offline_access.issued.refresh_token.is_some());
}

#[tokio::test]
async fn an_identity_session_without_refresh_token_bounds_what_is_issued() {
    let world = World::new();
    let mut tokens = world.tokens(Some(20 * 60));
    tokens.refresh_token = None;
    let code = world.grants.open(World::login(tokens)).await.unwrap();
    world.clock.advance(10);
    let connected = Connected::of(world.redeem(&code).await.unwrap());
    assert_eq!(
        connected.issued.expires_in,
        Duration::from_secs(20 * 60 - 10)
    );
    world.clock.advance(20 * 60 - 11);
    let session = world.call(&connected.access, 1).await.unwrap();
    assert!(session.identity_token().await.is_ok());
    world.clock.advance(1);
    let expired = world.call(&connected.access, 1).await.unwrap_err();
    assert!(matches!(expired, crate::AuthenticateError::Expired));
    assert!(matches!(
        world.rotate(&connected.refresh, 1).await,
        Err(TokenError::Ended)
    ));
    assert!(matches!(
        session.identity_token().await,
        Err(crate::IdentityError::Ended(_))
    ));
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn other_kinds_and_junk_are_unknown() {
    let world = World::new();
    let connected = world.connect().await;
    let (client, verifier) = (client("client-a"), verifier());
    for junk in ["", "junk", &connected.refresh, &connected.access] {
        let refused = world.grants.redeem(redemption(junk, &client, &verifier));
        assert!(matches!(refused.await, Err(TokenError::Unknown)));
    }
}

#[tokio::test]
async fn nothing_secret_is_printed() {
    let world = World::new();
    let code = world.open().await;
    let (client, verifier) = (client("client-a"), verifier());
    let redemption = redemption(code.expose(), &client, &verifier);
    let connected = world.connect().await;
    let rotation = crate::testing::rotation(&connected.refresh, &client, 1);
    let session = world.call(&connected.access, 1).await.unwrap();
    let token = session.identity_token().await.unwrap();
    let grants = &world.grants;
    let printed = format!("{redemption:?} {rotation:?} {session:?} {token:?} {grants:?}");
    assert!(printed.contains("client-a"));
    for secret in [
        code.expose(),
        crate::testing::VERIFIER,
        &connected.refresh,
        &connected.access,
        "identity-access-",
    ] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn a_forged_code_is_unknown_and_leaves_the_genuine_one_good() {
    // Read from the store, and with the grant in memory.
    for (in_memory, change) in [false, true]
        .into_iter()
        .flat_map(|in_memory| (0..4).map(move |change| (in_memory, change)))
    {
        let world = World::new();
        let code = world.open().await;
        let genuine = Credential::parse(code.expose()).unwrap();
        let patience = world.grants.heart.patience();
        let held = if in_memory {
            Some(crate::testing::admit(&world, &code).await)
        } else {
            None
        };
        let mut forged = genuine.clone();
        match change {
            0 => forged.mac[0] ^= 1,
            1 => forged.expires_at += 1000,
            2 => forged.half = domain::secret::SecretBytes::new([7; 32]),
            // With the pad of a stolen store anybody makes up a root and a MAC that fits it.
            _ => forged = forged_from_dump(&world, &genuine, &patience).await,
        }
        let refused = world.redeem(&forged.encode()).await;
        assert!(
            matches!(refused, Err(TokenError::Unknown)),
            "change {change}, in memory: {in_memory}"
        );
        drop(held);
        assert!(world.redeem(&code).await.is_ok());
    }
}

async fn forged_from_dump(world: &World, genuine: &Credential, patience: &Patience) -> Credential {
    let line = match world.grants.heart.find(&genuine.grant, patience).await {
        Ok(Found::Stored(stored)) => stored.line.line,
        Ok(Found::Live(live)) => live.line.lock().await.line.clone(),
        Err(closed) => panic!("{closed:?}"),
    };
    let CodeState::Open { pad, .. } = &line.code else {
        panic!("it is not redeemed");
    };
    let own = domain::secret::SecretBytes::new([5; 32]);
    let root = Root::new(own, genuine.grant, crate::testing::ISSUER);
    let claims = crate::keys::Claims {
        pad_number: 0,
        generation: 0,
        expires_at: Some(world.grants.heart.clock.now().plus(Duration::from_secs(60))),
    };
    let code = root.sign(CredentialKind::Code, claims, &pad.0);
    Credential::parse(code.expose()).unwrap()
}
