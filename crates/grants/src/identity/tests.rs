use std::time::Duration;

use domain::{
    id::{ClientId, Subject},
    scope::ScopeSet,
};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{CountedRandom, resource};

fn facts() -> Facts {
    Facts {
        client: ClientId::parse("client-a").unwrap(),
        subject: Subject::parse("user-1").unwrap(),
        issuer: "https://identity.example".to_owned(),
        resource: resource(),
        scopes: ScopeSet::parse("openid").unwrap(),
        auth_time: Timestamp::from_unix(0),
    }
}

fn session(life: Option<u64>) -> IdentitySession {
    let mut extra = Map::new();
    extra.insert("instance_url".to_owned(), json!("https://x.example"));
    let mut claims = Map::new();
    claims.insert("groups".to_owned(), json!(["a", {"b": 1.0}]));
    let tokens = IdentityTokens {
        access_token: SecretString::new("access"),
        refresh_token: Some(SecretString::new("refresh")),
        expires_at: life.map(|life| Timestamp::from_unix(1000 + life)),
        issued_at: Timestamp::from_unix(1000),
        scope: "profile".to_owned(),
        id_token: None,
        extra,
    };
    IdentitySession::new(3, tokens, claims)
}

fn key() -> SealKey {
    SealKey::derive(&[7; 32], &[1; 16], "seal", "https://proxy.example")
}

#[test]
fn what_is_sealed_opens_with_everything_in_it() {
    let grant = GrantId::from_bytes([1; 16]);
    let facts = facts();
    let binding = Binding {
        grant: &grant,
        issuer: "https://proxy.example",
        facts: &facts,
    };
    let sealed = session(Some(60)).seal(&key(), &binding, &CountedRandom::default());
    let opened = IdentitySession::open(&key(), &binding, 3, &sealed).unwrap();
    let tokens = &opened.tokens;
    assert_eq!(opened.version, 3);
    assert_eq!(tokens.access_token.expose(), "access");
    assert_eq!(tokens.refresh_token, Some(SecretString::new("refresh")));
    assert_eq!(tokens.expires_at, Some(Timestamp::from_unix(1060)));
    assert_eq!(tokens.issued_at, Timestamp::from_unix(1000));
    assert_eq!((&*tokens.scope, &*opened.scope), ("profile", "profile"));
    assert_eq!(tokens.id_token, None);
    assert_eq!(tokens.extra, session(None).tokens.extra);
    assert_eq!(opened.claims, session(None).claims);
}

#[test]
fn it_is_bound_to_everything_that_it_belongs_to() {
    let grant = GrantId::from_bytes([1; 16]);
    let facts = facts();
    let binding = Binding {
        grant: &grant,
        issuer: "https://proxy.example",
        facts: &facts,
    };
    let sealed = session(Some(60)).seal(&key(), &binding, &CountedRandom::default());
    let opens = |binding: &Binding<'_>, version| {
        IdentitySession::open(&key(), binding, version, &sealed).is_some()
    };
    assert!(opens(&binding, 3));
    assert!(!opens(&binding, 2), "another version");
    let other = GrantId::from_bytes([2; 16]);
    assert!(!opens(
        &Binding {
            grant: &other,
            ..binding
        },
        3
    ));
    let changes: [fn(&mut Facts); 5] = [
        |facts| facts.client = ClientId::parse("client-b").unwrap(),
        |facts| facts.subject = Subject::parse("user-2").unwrap(),
        |facts| facts.issuer.push('x'),
        |facts| facts.resource = crate::testing::resource_at("/other"),
        |facts| facts.scopes = ScopeSet::parse("openid admin").unwrap(),
    ];
    for change in changes {
        let mut changed = facts.clone();
        change(&mut changed);
        let binding = Binding {
            grant: &grant,
            issuer: "https://proxy.example",
            facts: &changed,
        };
        assert!(!opens(&binding, 3), "{changed:?}");
    }
}

#[test]
fn it_is_refreshed_a_minute_or_a_fifth_ahead() {
    let fresh_until = |life: u64| {
        let session = session(Some(life));
        (1000..=1000 + life)
            .find(|second| !session.is_fresh(Timestamp::from_unix(*second)))
            .map(|second| second - 1000)
    };
    assert_eq!(fresh_until(3600), Some(3540));
    assert_eq!(fresh_until(300), Some(240));
    assert_eq!(fresh_until(100), Some(80));
    assert_eq!(fresh_until(5), Some(4));
    let endless = session(None);
    assert!(endless.is_fresh(Timestamp::from_unix(u64::MAX)));
    assert!(endless.is_valid(Timestamp::from_unix(u64::MAX)));
    let session = session(Some(60));
    assert!(session.is_valid(Timestamp::from_unix(1059)));
    assert!(!session.is_valid(Timestamp::from_unix(1060)));
    assert_eq!(AHEAD, Duration::from_secs(60));
}

proptest! {
    #[test]
    fn nothing_that_is_opened_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let grant = GrantId::from_bytes([1; 16]);
        let facts = facts();
        let binding = Binding { grant: &grant, issuer: "https://proxy.example", facts: &facts };
        prop_assert!(IdentitySession::open(&key(), &binding, 1, &bytes).is_none());
        // Sealed by us, yet not what we expect.
        let sealed = binding.with(1, |parts| key().seal(parts, &bytes, &CountedRandom::default()));
        drop(IdentitySession::open(&key(), &binding, 1, &sealed));
    }
}
