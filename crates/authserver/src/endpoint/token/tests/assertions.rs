//! Clients that prove themselves by a signed JWT (RFC 7523).

use std::time::Duration;

use domain::{client::ClientDomains, time::Clock as _};
use jose::signing::{SigningAlgorithm, SigningKeys};
use serde_json::{Map, Value, json};

use super::assert_refused;
use crate::testing::{
    Answer, REDIRECT_URI, Setup, TestServer, code_fields, document_host::DocumentHost, text,
};

const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ISSUER: &str = "https://proxy.example";
const KEYS: &str = "/jwks.json";

fn signing_keys() -> SigningKeys {
    let key = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    SigningKeys::parse(&format!("[{}]", key.expose()))
        .unwrap()
        .0
}

/// A server that may fetch from this machine.
fn server() -> TestServer {
    TestServer::with(&Setup {
        documents: Some(DocumentHost::settings(ClientDomains::default())),
        ..Setup::default()
    })
}

/// A client with its keys.
struct Signer {
    id: String,
    keys: SigningKeys,
}

impl Signer {
    /// Registers with the keys themselves.
    async fn registered(server: &TestServer) -> Self {
        let keys = signing_keys();
        let members = json!({ "jwks": keys.public_jwks() });
        Self {
            id: register(server, &members).await,
            keys,
        }
    }

    fn claims(&self, server: &TestServer, jti: &str) -> Map<String, Value> {
        let now = server.clock.now().as_unix();
        let claims = json!({
            "iss": self.id,
            "sub": self.id,
            "aud": ISSUER,
            "exp": now + 60,
            "iat": now,
            "jti": jti,
        });
        claims.as_object().unwrap().clone()
    }

    fn sign(&self, claims: &Map<String, Value>) -> String {
        let jwt = self.keys.sign(None, "JWT", claims).unwrap();
        jwt.expose().to_owned()
    }

    fn assertion(&self, server: &TestServer, jti: &str) -> String {
        self.sign(&self.claims(server, jti))
    }
}

async fn register(server: &TestServer, members: &Value) -> String {
    let mut metadata = json!({
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "private_key_jwt",
        "client_name": "Tool",
    });
    for (name, value) in members.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    let answer = server.post_json("/reg", &metadata).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let registered = answer.json();
    assert_eq!(registered["token_endpoint_auth_method"], "private_key_jwt");
    assert!(registered.get("client_secret").is_none(), "{registered}");
    text(&registered, "client_id")
}

/// Redeems a code with an assertion.
async fn redeem(server: &TestServer, code: &str, id: &str, assertion: &str) -> Answer {
    let mut fields = code_fields(id, code).to_vec();
    fields.push(("client_assertion_type", KIND));
    fields.push(("client_assertion", assertion));
    server.post("/token", &fields).await
}

#[tokio::test]
async fn an_assertion_proves_a_client_once() {
    let server = server();
    let signer = Signer::registered(&server).await;
    let code = server.code(&signer.id).await;
    let assertion = signer.assertion(&server, "1");
    let answer = redeem(&server, &code, &signer.id, &assertion).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // A client that authenticates keeps its refresh token.
    let refresh_token = text(&answer.json(), "refresh_token");
    let refresh = async |assertion: &str| {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.as_str()),
            ("client_assertion_type", KIND),
            ("client_assertion", assertion),
        ];
        server.post("/token", &fields).await
    };
    assert_refused(&refresh(&assertion).await, 401, "invalid_client");
    // client_id may be left out.
    let answer = refresh(&signer.assertion(&server, "2")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(text(&answer.json(), "refresh_token"), refresh_token);
}

#[tokio::test]
async fn each_endpoint_that_takes_assertions_and_a_list_are_audiences_too() {
    let server = server();
    let signer = Signer::registered(&server).await;
    for (jti, audience) in [
        json!("https://proxy.example/token"),
        json!("https://proxy.example/request"),
        json!("https://proxy.example/device/auth"),
        json!("https://proxy.example/token/introspection"),
        json!("https://proxy.example/token/revocation"),
        json!(["https://other.example", ISSUER]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = signer.claims(&server, &jti.to_string());
        claims.insert("aud".to_owned(), audience);
        let code = server.code(&signer.id).await;
        let answer = redeem(&server, &code, &signer.id, &signer.sign(&claims)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn each_wrong_claim_is_refused_and_spends_no_code() {
    let server = server();
    let signer = Signer::registered(&server).await;
    let code = server.code(&signer.id).await;
    let now = server.clock.now().as_unix();
    for (name, value) in [
        ("iss", json!("other")),
        ("iss", Value::Null),
        ("aud", json!("https://other.example")),
        ("aud", json!("https://proxy.example/")),
        ("aud", Value::Null),
        ("exp", json!(now - 61)),
        ("exp", json!(now + 2 * 3600)),
        ("exp", json!("soon")),
        ("exp", json!(-1)),
        ("exp", Value::Null),
        ("nbf", json!(now + 120)),
        ("iat", json!(now + 120)),
        ("iat", json!(now - 2 * 3600)),
        ("jti", json!("")),
        ("jti", json!("x".repeat(600))),
        ("jti", Value::Null),
    ] {
        let mut claims = signer.claims(&server, "1");
        match value {
            Value::Null => drop(claims.remove(name)),
            ref value => drop(claims.insert(name.to_owned(), value.clone())),
        }
        let answer = redeem(&server, &code, &signer.id, &signer.sign(&claims)).await;
        assert_eq!(
            answer.error(),
            "invalid_client",
            "{name} {value} {answer:?}"
        );
        assert_eq!(answer.status, 401, "{name} {value}");
    }
    let assertion = signer.assertion(&server, "1");
    let answer = redeem(&server, &code, &signer.id, &assertion).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn what_is_no_assertion_of_this_client_is_refused() {
    let server = server();
    let signer = Signer::registered(&server).await;
    let code = server.code(&signer.id).await;
    let forger = Signer {
        id: signer.id.clone(),
        keys: signing_keys(),
    };
    let forged = forger.assertion(&server, "1");
    let good = signer.assertion(&server, "2");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", signed.split_once('.').unwrap().1);
    for assertion in ["", "x", "a.b.c", &forged, &unsigned] {
        let answer = redeem(&server, &code, &signer.id, assertion).await;
        assert!([400, 401].contains(&answer.status), "{answer:?}");
    }
    // Another kind of assertion, another client's name beside it, another method beside it.
    let mut fields = code_fields(&signer.id, &code).to_vec();
    fields.push(("client_assertion", &good));
    assert_refused(&server.post("/token", &fields).await, 401, "invalid_client");
    let answer = redeem(&server, &code, "another", &good).await;
    assert_refused(&answer, 400, "invalid_request");
    fields.push(("client_assertion_type", KIND));
    fields.push(("client_secret", "s"));
    assert_refused(
        &server.post("/token", &fields).await,
        400,
        "invalid_request",
    );
    // Nothing at all, or a secret.
    let bare = server.redeem(&signer.id, &code).await;
    assert_refused(&bare, 401, "invalid_client");
    let mut fields = code_fields(&signer.id, &code).to_vec();
    fields.push(("client_secret", "s"));
    assert_refused(&server.post("/token", &fields).await, 401, "invalid_client");
    // A client that registered another method.
    let public = Signer {
        id: server.public_client().await,
        keys: signing_keys(),
    };
    let answer = redeem(&server, &code, &public.id, &public.assertion(&server, "3")).await;
    assert_refused(&answer, 401, "invalid_client");
    let answer = redeem(&server, &code, &signer.id, &good).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn keys_at_a_url_are_fetched_and_once_more_when_they_changed() {
    let (server, host) = (server(), DocumentHost::start().await);
    let mut signer = Signer {
        id: register(&server, &json!({ "jwks_uri": host.url(KEYS) })).await,
        keys: signing_keys(),
    };
    host.serve(KEYS, &signer.keys.public_jwks());
    let ask = async |signer: &Signer, jti: &str| {
        let code = server.code(&signer.id).await;
        redeem(&server, &code, &signer.id, &signer.assertion(&server, jti)).await
    };
    assert_eq!(ask(&signer, "1").await.status, 200);
    assert_eq!(ask(&signer, "2").await.status, 200);
    assert_eq!(host.asked(), 1);
    signer.keys = signing_keys();
    host.serve(KEYS, &signer.keys.public_jwks());
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(ask(&signer, "3").await.status, 200);
    assert_eq!(host.asked(), 2);
    // Keys that nobody published cost one look in ten seconds.
    let stranger = Signer {
        id: signer.id.clone(),
        keys: signing_keys(),
    };
    for jti in ["4", "5", "6"] {
        assert_refused(&ask(&stranger, jti).await, 401, "invalid_client");
    }
    assert_eq!(host.asked(), 2);
}

#[tokio::test]
async fn keys_that_cannot_be_had_right_now_are_a_passing_fault() {
    let (server, host) = (server(), DocumentHost::start().await);
    let signer = Signer {
        id: register(&server, &json!({ "jwks_uri": host.url(KEYS) })).await,
        keys: signing_keys(),
    };
    let code = server.code(&signer.id).await;
    host.answer(KEYS, 503, "");
    let answer = redeem(&server, &code, &signer.id, &signer.assertion(&server, "1")).await;
    assert_refused(&answer, 503, "temporarily_unavailable");
    assert!(answer.header("retry-after").is_some());
    host.serve(KEYS, &signer.keys.public_jwks());
    let answer = redeem(&server, &code, &signer.id, &signer.assertion(&server, "1")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_described_client_signs_by_the_keys_in_its_document() {
    let (server, host) = (server(), DocumentHost::start().await);
    let describe = |keys: &SigningKeys| {
        let changes = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": keys.public_jwks(),
            "redirect_uris": [REDIRECT_URI],
        });
        host.describe("/client.json", &changes)
    };
    let keys = signing_keys();
    let mut signer = Signer {
        id: describe(&keys),
        keys,
    };
    let ask = async |signer: &Signer, jti: &str| {
        let code = server.code(&signer.id).await;
        redeem(&server, &code, &signer.id, &signer.assertion(&server, jti)).await
    };
    let answer = ask(&signer, "1").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // Its keys change: the document is read anew.
    signer.keys = signing_keys();
    describe(&signer.keys);
    server.clock.advance(Duration::from_secs(60));
    let answer = ask(&signer, "2").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // It must prove itself.
    let code = server.code(&signer.id).await;
    let bare = server.redeem(&signer.id, &code).await;
    assert_refused(&bare, 401, "invalid_client");
}

/// Each costs a look at keys and, where it is right, a mark that stays in the store for an hour; and
/// anybody may register keys.
#[tokio::test]
async fn a_flood_of_assertions_is_held_back_before_anybody_looks_at_them() {
    let server = server();
    let signer = Signer::registered(&server).await;
    let code = server.code(&signer.id).await;
    let stranger = Signer {
        id: signer.id.clone(),
        keys: signing_keys(),
    };
    let wrong = stranger.assertion(&server, "1");
    let mut shown = 0_u32;
    let refused = loop {
        let answer = redeem(&server, &code, &signer.id, &wrong).await;
        if answer.status != 401 {
            break answer;
        }
        shown += 1;
        assert!(shown < 20_000, "nothing holds the flood back");
    };
    assert!(shown >= 600, "{shown}");
    // Clients keep their tokens on this one.
    assert_refused(&refused, 429, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn registrations_that_could_never_prove_anything_are_refused() {
    let server = server();
    let keys = signing_keys().public_jwks();
    let mut private = keys.clone();
    private["keys"][0]["d"] = json!("AQAB");
    for members in [
        json!({}),
        json!({ "jwks": [] }),
        json!({ "jwks": private }),
        json!({ "jwks": keys, "jwks_uri": "https://client.example/jwks" }),
        json!({ "jwks_uri": "http://client.example/jwks" }),
        json!({ "jwks": keys, "token_endpoint_auth_signing_alg": "HS256" }),
        json!({ "jwks": keys, "token_endpoint_auth_signing_alg": "none" }),
    ] {
        let mut metadata = members.clone();
        metadata["redirect_uris"] = json!([REDIRECT_URI]);
        metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
        let answer = server.post_json("/reg", &metadata).await;
        assert_eq!(answer.status, 400, "{members} {answer:?}");
        assert_eq!(answer.error(), "invalid_client_metadata", "{members}");
    }
}

#[tokio::test]
async fn the_registered_algorithm_is_the_only_one() {
    let server = server();
    let keys = signing_keys();
    for (algorithm, status) in [("ES256", 200), ("RS256", 401)] {
        let members = json!({
            "jwks": keys.public_jwks(),
            "token_endpoint_auth_signing_alg": algorithm,
        });
        let id = register(&server, &members).await;
        let code = server.code(&id).await;
        let now = server.clock.now().as_unix();
        let claims = json!({ "iss": id, "sub": id, "aud": ISSUER, "exp": now + 60, "jti": "1" });
        let jwt = keys.sign(None, "JWT", claims.as_object().unwrap()).unwrap();
        let answer = redeem(&server, &code, &id, jwt.expose()).await;
        assert_eq!(answer.status, status, "{algorithm} {answer:?}");
    }
}

#[tokio::test]
async fn the_metadata_announces_the_method_with_its_algorithms() {
    let metadata = server()
        .get("/.well-known/oauth-authorization-server")
        .await
        .json();
    for endpoint in ["token", "revocation", "introspection"] {
        let methods = &metadata[format!("{endpoint}_endpoint_auth_methods_supported")];
        assert!(
            methods
                .as_array()
                .unwrap()
                .contains(&json!("private_key_jwt"))
        );
        let algorithms =
            &metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        let algorithms = algorithms.as_array().unwrap();
        assert!(algorithms.contains(&json!("ES256")) && algorithms.contains(&json!("RS256")));
        assert!(!algorithms.contains(&json!("none")) && !algorithms.contains(&json!("HS256")));
    }
}
