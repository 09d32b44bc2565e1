use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jose::verifying::VerifyingKeys;
use serde_json::{Map, Value, json};

use super::assert_refused;
use crate::testing::{
    NONCE, REDIRECT_URI, SUBJECT, Setup, TestServer, VERIFIER, code_fields, text,
};

async fn id_token_claims(server: &TestServer, tokens: &Value) -> (String, Map<String, Value>) {
    let keys = VerifyingKeys::parse(&server.get("/jwks").await.json()).unwrap();
    let token = keys.verify(&text(tokens, "id_token")).unwrap();
    (token.algorithm, token.claims)
}

#[tokio::test]
async fn a_code_becomes_tokens() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let answer = server.redeem(&client, &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let tokens = answer.json();
    assert!(text(&tokens, "access_token").starts_with("mpat1_"));
    assert!(text(&tokens, "refresh_token").starts_with("mprt1_"));
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["scope"], "openid offline_access");
}

#[tokio::test]
async fn the_id_token_says_who_for_whom_and_which_session() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let tokens = server.redeem(&client, &code).await.json();
    let (algorithm, mut claims) = id_token_claims(&server, &tokens).await;
    assert_eq!(algorithm, "ES256");
    let hash = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        text(&tokens, "access_token").as_bytes(),
    );
    let half = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
    assert_eq!(claims.remove("at_hash"), Some(half.into()));
    let session = claims.remove("sid").unwrap();
    assert_eq!(session.as_str().unwrap().len(), 22);
    let expected = json!({
        "iss": "https://proxy.example",
        "sub": SUBJECT,
        "aud": client,
        "iat": 1_800_000_000,
        "exp": 1_800_003_600,
        "auth_time": 1_800_000_000,
        "nonce": NONCE,
    });
    assert_eq!(Value::from(claims), expected);
}

#[tokio::test]
async fn a_client_gets_the_algorithm_it_registered() {
    let server = TestServer::start();
    let metadata = json!({
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "none",
        "id_token_signed_response_alg": "Ed25519",
    });
    let client = text(
        &server.post_json("/reg", &metadata).await.json(),
        "client_id",
    );
    let code = server.code(&client).await;
    let tokens = server.redeem(&client, &code).await.json();
    let (algorithm, claims) = id_token_claims(&server, &tokens).await;
    assert_eq!(algorithm, "Ed25519");
    assert_eq!(claims["at_hash"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn without_openid_there_is_no_id_token() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code_for(&client, 0, "offline_access").await;
    let tokens = server.redeem(&client, &code).await.json();
    assert_eq!(tokens.get("id_token"), None);
    assert_eq!(tokens["scope"], "offline_access");
}

#[tokio::test]
async fn a_code_is_good_once() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    assert_eq!(server.redeem(&client, &code).await.status, 200);
    assert_refused(&server.redeem(&client, &code).await, 400, "invalid_grant");
}

#[tokio::test]
async fn an_absent_or_malformed_parameter_spends_no_code() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let fields = code_fields(&client, &code);
    for absent in ["code", "code_verifier"] {
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(name, _)| *name != absent)
            .collect();
        assert_refused(
            &server.post("/token", &fields).await,
            400,
            "invalid_request",
        );
    }
    for malformed in ["short", &"x".repeat(129), &format!("{VERIFIER}!")] {
        let mut fields = fields;
        fields[3].1 = malformed;
        assert_refused(
            &server.post("/token", &fields).await,
            400,
            "invalid_request",
        );
    }
    assert_eq!(server.redeem(&client, &code).await.status, 200);
}

#[tokio::test]
async fn a_code_is_bound_to_verifier_redirect_uri_and_client() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let other = server.public_client().await;
    let code = server.code(&client).await;
    let wrong_verifier = VERIFIER.replace('a', "b");
    for (index, wrong) in [
        (1, other.as_str()),
        (2, "mpac1_junk"),
        (3, wrong_verifier.as_str()),
        (4, "http://127.0.0.1:4711/elsewhere"),
    ] {
        let mut fields = code_fields(&client, &code);
        fields[index].1 = wrong;
        assert_refused(&server.post("/token", &fields).await, 400, "invalid_grant");
    }
}

#[tokio::test]
async fn the_redirect_uri_may_be_left_out() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let fields = code_fields(&client, &code);
    assert_eq!(server.post("/token", &fields[..4]).await.status, 200);
}

#[tokio::test]
async fn a_resource_is_accepted_in_all_its_forms() {
    let server = TestServer::start();
    let client = server.public_client().await;
    for forms in [
        vec!["https://proxy.example/mcp"],
        vec!["https://proxy.example/mcp/"],
        vec!["https://proxy.example/mcp?session=1"],
        vec!["https://proxy.example/mcp", "https://proxy.example/mcp/"],
        vec![""],
    ] {
        let code = server.code(&client).await;
        let mut fields = code_fields(&client, &code).to_vec();
        fields.extend(forms.iter().map(|form| ("resource", *form)));
        assert_eq!(
            server.post("/token", &fields).await.status,
            200,
            "{forms:?}"
        );
    }
}

#[tokio::test]
async fn a_foreign_resource_is_an_invalid_target() {
    let server = TestServer::with(&Setup {
        paths: &["/a", "/b"],
        ..Setup::default()
    });
    let client = server.public_client().await;
    for forms in [
        vec!["https://elsewhere.example/a"],
        vec!["https://proxy.example/b"],
        vec!["https://proxy.example/a", "https://proxy.example/b"],
        vec!["https://proxy.example"],
        vec!["https://proxy.example/a#fragment"],
        vec!["junk"],
    ] {
        let code = server.code_for(&client, 0, "openid").await;
        let mut fields = code_fields(&client, &code).to_vec();
        fields.extend(forms.iter().map(|form| ("resource", *form)));
        assert_refused(&server.post("/token", &fields).await, 400, "invalid_target");
    }
}
