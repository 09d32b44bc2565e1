mod discovery;
mod fake;
mod login;
mod refresh;
mod revoke;

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use jose::signing::{SigningAlgorithm, SigningKeys};
use serde_json::{Value, json};

use self::fake::{Fake, Reply};
use super::*;
use crate::http_client;

const NOW: u64 = 1_800_000_000;
const NONCE: &str = "nonce-1";
const VERIFIER: &str = "verifier-verifier-verifier-verifier-verifier";
/// With what must be form-encoded before it is joined (RFC 6749 §2.3.1).
const CLIENT: &str = "my:client";
const SECRET: &str = "s3cr3t/+ä";

/// A clock that is moved by hand.
#[derive(Debug)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(NOW)))
    }

    fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

fn settings(metadata: MetadataSource, scope: &str) -> UpstreamSettings {
    UpstreamSettings {
        metadata,
        issuer: None,
        client_id: CLIENT.to_owned(),
        client_secret: SecretString::new(SECRET),
        scope: ScopeSet::parse(scope).unwrap(),
        more_parameters: MoreParameters::default(),
        redirect_uri: "https://proxy.example/interaction/identity/callback".to_owned(),
    }
}

fn secrets() -> LoginSecrets {
    LoginSecrets {
        nonce: SecretString::new(NONCE),
        verifier: CodeVerifier::parse(VERIFIER).unwrap(),
    }
}

fn client() -> reqwest::Client {
    http_client(&[]).unwrap()
}

/// Short, so that a provider that does not answer costs a test next to nothing.
fn pace() -> Pace {
    Pace {
        pauses: vec![Duration::from_millis(1); 4],
        request: Duration::from_secs(2),
        total: Duration::from_secs(20),
    }
}

async fn connect(settings: UpstreamSettings) -> Result<UpstreamProvider, MetadataError> {
    connect_with(settings, ManualClock::new(), Duration::from_secs(5)).await
}

async fn connect_with(
    settings: UpstreamSettings,
    clock: Arc<ManualClock>,
    limit: Duration,
) -> Result<UpstreamProvider, MetadataError> {
    UpstreamProvider::connect_at(settings, client(), clock, &pace(), limit).await
}

fn discovered(fake: &Fake, scope: &str) -> UpstreamSettings {
    settings(MetadataSource::Discovery(fake.url("")), scope)
}

fn signing_keys() -> SigningKeys {
    let text = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    SigningKeys::parse(&format!("[{}]", text.expose()))
        .unwrap()
        .0
}

/// Metadata of an OpenID provider at the fake.
fn openid_metadata(fake: &Fake) -> Value {
    json!({
        "issuer": fake.issuer(),
        "authorization_endpoint": fake.url("/authorize"),
        "token_endpoint": fake.url("/token"),
        "userinfo_endpoint": fake.url("/userinfo"),
        "jwks_uri": fake.url("/keys"),
    })
}

/// An OpenID provider with keys; what its token endpoint answers is up to the test.
async fn openid(keys: &SigningKeys) -> Fake {
    let fake = Fake::start().await;
    fake.always(
        "/.well-known/openid-configuration",
        Reply::json(&openid_metadata(&fake)),
    );
    fake.always("/keys", Reply::json(&keys.public_jwks()));
    fake
}

/// An ID token that is right in every respect, but for `changes` (`null` takes a claim out).
fn id_token(fake: &Fake, keys: &SigningKeys, changes: &Value) -> String {
    let mut claims = json!({
        "iss": fake.issuer(), "aud": CLIENT, "sub": "alice", "nonce": NONCE,
        "iat": NOW, "exp": NOW + 300, "auth_time": NOW - 5,
        "email": "alice@example.com", "name": "Alice",
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let mut claims = claims.as_object().unwrap().clone();
    claims.retain(|_, value| !value.is_null());
    let token = keys.sign(None, "JWT", &claims).unwrap();
    token.expose().to_owned()
}

fn write(directory: &Path, metadata: &Value) -> MetadataSource {
    let path = directory.join("metadata.json");
    std::fs::write(&path, metadata.to_string()).unwrap();
    MetadataSource::File(path)
}
