use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use domain::time::Timestamp;
use jose::{
    signing::{SigningAlgorithm, SigningKeys},
    verifying::VerifyingKeys,
};
use proptest::prelude::*;

use super::{users::Users, *};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://proxy.example";
const SERVER: &str = "http://localhost:3000/mcp";

#[derive(Debug)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

struct House {
    directory: tempfile::TempDir,
    keys: Arc<KeyRing>,
    clock: Arc<ManualClock>,
}

impl House {
    fn new() -> Self {
        let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
        let clock = Arc::new(ManualClock(AtomicU64::new(NOW)));
        let (keys, _) = KeyRing::parse(&format!("[{}]", key.expose()), clock.clone()).unwrap();
        Self {
            directory: tempfile::tempdir().unwrap(),
            keys: Arc::new(keys),
            clock,
        }
    }

    fn write(&self, text: &str) {
        // Replaced as editors do it, so that the change shows whatever the clock's grain.
        let fresh = self.directory.path().join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, self.directory.path().join("users.toml")).unwrap();
    }

    fn open(&self) -> Result<LocalProvider, InvalidUsers> {
        LocalProvider::load(
            &self.directory.path().join("users.toml"),
            ISSUER,
            Arc::clone(&self.keys),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        )
    }

    fn claims(&self, token: &SecretString) -> Map<String, Value> {
        VerifyingKeys::parse(&self.keys.current().public_jwks())
            .unwrap()
            .verify(token.expose())
            .unwrap()
            .claims
    }
}

fn password(text: &str) -> SecretString {
    SecretString::new(text)
}

/// As cheap as argon2id allows, so that the tests are quick.
fn cheap(text: &str) -> String {
    let params = argon2::Params::new(8, 1, 1, None).unwrap();
    Argon2::from(params)
        .hash_password(text.as_bytes())
        .unwrap()
        .to_string()
}

fn entry(name: &str, password: &str, more: &str) -> String {
    format!(
        "[[users]]\nname = \"{name}\"\npassword_hash = \"{}\"\n{more}\n",
        cheap(password)
    )
}

fn alice() -> String {
    entry(
        "alice",
        "wonderland",
        "email = \"alice@example.com\"\ndisplay_name = \"Alice L.\"\ngroups = [\"a\", \"b\"]",
    )
}

#[tokio::test]
async fn the_right_password_gives_a_token_for_the_mcp_server() {
    let house = House::new();
    house.write(&format!("{}{}", alice(), entry("bob", "builder", "")));
    let provider = house.open().unwrap();
    let identity = provider
        .login("alice", &password("wonderland"), SERVER)
        .await
        .unwrap();
    assert_eq!(identity.issuer, ISSUER);
    assert_eq!(identity.subject.as_str(), "alice");
    assert_eq!(identity.auth_time, Some(Timestamp::from_unix(NOW)));
    assert_eq!(identity.claims["email"], "alice@example.com");
    let tokens = &identity.tokens;
    assert_eq!(tokens.expires_at, Some(Timestamp::from_unix(NOW + 300)));
    assert!(provider.can_refresh(tokens));
    let mut claims = house.claims(&tokens.access_token);
    let id = claims.remove("jti").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 22);
    assert_eq!(
        Value::Object(claims),
        json!({
            "iss": ISSUER, "sub": "alice", "aud": SERVER, "iat": NOW, "exp": NOW + 300,
            "email": "alice@example.com", "name": "Alice L.", "preferred_username": "alice",
            "groups": ["a", "b"],
        })
    );
    let bob = provider
        .login("bob", &password("builder"), SERVER)
        .await
        .unwrap();
    assert_eq!(
        Value::Object(bob.claims),
        json!({ "name": "bob", "preferred_username": "bob" })
    );
}

#[tokio::test]
async fn anything_else_is_a_wrong_password() {
    let house = House::new();
    house.write(&format!("{}{}", alice(), entry("bob", "builder", "")));
    let provider = house.open().unwrap();
    let long = "x".repeat(MAX_PASSWORD + 1);
    for (name, text) in [
        ("alice", "builder"),
        ("alice", ""),
        ("Alice", "wonderland"),
        // Its hash is the one that unknown users are checked against.
        ("nobody", "wonderland"),
        ("", "wonderland"),
        ("alice", long.as_str()),
    ] {
        let refused = provider.login(name, &password(text), SERVER).await;
        assert_eq!(refused.unwrap_err(), WrongPassword, "{name}");
    }
}

#[tokio::test]
async fn many_logins_at_once_all_end() {
    let house = House::new();
    house.write(&alice());
    let provider = Arc::new(house.open().unwrap());
    let logins: Vec<_> = (0..16)
        .map(|_| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move {
                provider
                    .login("alice", &password("wonderland"), SERVER)
                    .await
                    .is_ok()
            })
        })
        .collect();
    for login in logins {
        assert!(login.await.unwrap());
    }
}

#[tokio::test]
async fn a_refresh_makes_a_new_token_until_the_user_is_gone() {
    let house = House::new();
    house.write(&format!("{}{}", alice(), entry("bob", "builder", "")));
    let provider = house.open().unwrap();
    let identity = provider
        .login("alice", &password("wonderland"), SERVER)
        .await
        .unwrap();
    house.clock.0.fetch_add(240, Ordering::SeqCst);
    let tokens = provider
        .refresh(&identity.subject, &identity.tokens)
        .await
        .unwrap();
    let claims = house.claims(&tokens.access_token);
    assert_eq!(claims["aud"], SERVER);
    assert_eq!(claims["exp"], NOW + 540);
    let before = house.claims(&identity.tokens.access_token);
    assert_ne!(claims["jti"], before["jti"]);

    // Changed groups are in the next token.
    house.write(&entry("alice", "wonderland", "groups = [\"c\"]"));
    let tokens = provider.refresh(&identity.subject, &tokens).await.unwrap();
    assert_eq!(house.claims(&tokens.access_token)["groups"], json!(["c"]));

    // A file that cannot be used changes nothing, and neither does one that is gone.
    house.write("[[users]]\nname = 7");
    assert!(provider.refresh(&identity.subject, &tokens).await.is_ok());
    fs::remove_file(house.directory.path().join("users.toml")).unwrap();
    assert!(provider.refresh(&identity.subject, &tokens).await.is_ok());

    house.write(&entry("bob", "builder", ""));
    let error = provider
        .refresh(&identity.subject, &tokens)
        .await
        .unwrap_err();
    assert!(matches!(error, RefreshError::Refused(_)), "{error}");
    let login = provider
        .login("alice", &password("wonderland"), SERVER)
        .await;
    assert!(login.is_err());
}

#[tokio::test]
async fn tokens_of_another_provider_are_not_refreshed_here() {
    let house = House::new();
    house.write(&alice());
    let provider = house.open().unwrap();
    let mut tokens = provider
        .login("alice", &password("wonderland"), SERVER)
        .await
        .unwrap()
        .tokens;
    tokens.extra.clear();
    let alice = Subject::parse("alice").unwrap();
    let error = provider.refresh(&alice, &tokens).await.unwrap_err();
    assert!(matches!(error, RefreshError::Misconfigured(_)), "{error}");
}

#[test]
fn a_hashed_password_is_one_that_the_file_takes() {
    let hash = LocalProvider::hash_password(&password("wonderland")).unwrap();
    assert!(hash.starts_with("$argon2id$"));
    let text = format!("[[users]]\nname = \"alice\"\npassword_hash = \"{hash}\"\n");
    assert!(Users::parse(&text).is_ok());
    let again = LocalProvider::hash_password(&password("wonderland")).unwrap();
    assert_ne!(hash, again);
    assert!(LocalProvider::hash_password(&password("")).is_err());
}

#[test]
fn what_is_wrong_in_a_file_is_named_without_its_hashes() {
    let hash = cheap("wonderland");
    let twice = format!("{}{}", entry("alice", "a", ""), entry("alice", "b", ""));
    let costly = hash.replace("m=8,", "m=4194304,");
    let other = hash.replace("argon2id", "argon2i");
    for (text, word) in [
        (String::new(), "no user"),
        ("users = 7".to_owned(), "line 1"),
        ("\n[[users]]\nname = \"a\"\n".to_owned(), "password_hash"),
        (entry("", "a", ""), "`name`"),
        (entry("alice", "a", "password = \"x\""), "password"),
        (entry("alice", "a", "groups = \"a\""), "line 4"),
        (twice, "\"alice\" stands there twice"),
        (
            format!("[[users]]\nname = \"bob\"\npassword_hash = \"{costly}\""),
            "\"bob\"",
        ),
        (
            format!("[[users]]\nname = \"bob\"\npassword_hash = \"{other}\""),
            "argon2id",
        ),
        (
            "[[users]]\nname = \"bob\"\npassword_hash = \"wonderland\"".to_owned(),
            "PHC",
        ),
        (
            format!("[[users]]\nname = \"bob\"\npassword_hash = [\"{hash}\"]"),
            "line 3",
        ),
        (
            format!("[[users]]\nname = \"bob\"\ngroups = \"{hash}\""),
            "line 3",
        ),
    ] {
        let error = Users::parse(&text).unwrap_err();
        assert!(error.contains(word), "{word}: {error}");
        assert!(!error.contains("$argon2id$v"), "{error}");
        assert!(!error.contains("wonderland"), "{error}");
    }
    let house = House::new();
    let error = house.open().unwrap_err().to_string();
    assert!(error.contains("users.toml"), "{error}");
}

#[test]
fn no_hash_is_printed() {
    let text = alice();
    let users = Users::parse(&text).unwrap();
    assert!(!format!("{users:?}").contains("$argon2id"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = Users::parse(&text);
    }
}
