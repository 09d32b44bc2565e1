mod assertions;
mod clients;
mod codes;
mod faults;
mod refreshes;

use axum::http::Method;

use crate::testing::{Answer, Setup, TestServer, code_fields, form_request, text};

fn assert_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (status, error),
        "{answer:?}"
    );
    assert_eq!(answer.header("pragma"), Some("no-cache"));
}

#[tokio::test]
async fn the_grant_type_is_one_that_is_offered() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let asker = ("client_id", client.as_str());
    assert_refused(
        &server.post("/token", &[asker]).await,
        400,
        "invalid_request",
    );
    let empty = server.post("/token", &[asker, ("grant_type", "")]).await;
    assert_refused(&empty, 400, "invalid_request");
    for other in [
        "client_credentials",
        "password",
        "AUTHORIZATION_CODE",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        let answer = server.post("/token", &[asker, ("grant_type", other)]).await;
        assert_refused(&answer, 400, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn only_a_form_is_read() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let fields = code_fields(&client, &code);
    for kind in [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
    ] {
        let mut request = form_request("/token", &[], &fields);
        let kind = kind.parse().unwrap();
        request.headers_mut().insert("content-type", kind);
        assert_refused(&server.send(request).await, 400, "invalid_request");
    }
    for kind in [
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        // MCP Inspector 1.0, when it refreshes.
        "application/json, application/x-www-form-urlencoded",
    ] {
        let code = server.code(&client).await;
        let mut request = form_request("/token", &[], &code_fields(&client, &code));
        let kind = kind.parse().unwrap();
        request.headers_mut().insert("content-type", kind);
        assert_eq!(server.send(request).await.status, 200);
    }
}

#[tokio::test]
async fn parameters_in_the_query_are_not_read() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let answer = server
        .post(
            "/token?grant_type=refresh_token",
            &[("client_id", client.as_str())],
        )
        .await;
    assert_refused(&answer, 400, "invalid_request");
}

#[tokio::test]
async fn a_repeated_parameter_is_refused_before_the_code_is_touched() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    for repeated in [
        "grant_type",
        "code",
        "client_id",
        "code_verifier",
        "unheard_of",
    ] {
        let mut fields = code_fields(&client, &code).to_vec();
        fields.extend([("unheard_of", "x"), (repeated, "x")]);
        assert_refused(
            &server.post("/token", &fields).await,
            400,
            "invalid_request",
        );
    }
    assert_eq!(server.redeem(&client, &code).await.status, 200);
}

/// RFC 6749 §3.2: what is not known is ignored, and what has no value was not sent.
#[tokio::test]
async fn unknown_and_empty_parameters_do_not_count() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let mut fields = code_fields(&client, &code).to_vec();
    fields.extend([
        ("unheard_of", "x"),
        ("client_secret", ""),
        ("client_assertion", ""),
        ("scope", ""),
        ("resource", ""),
    ]);
    assert_eq!(server.post("/token", &fields).await.status, 200);
}

/// OAuth 2.1 §2.4.1: wherever a secret counts, guessing is held back.
#[tokio::test]
async fn secrets_cannot_be_guessed_at_any_endpoint() {
    for path in [
        "/token",
        "/token/revocation",
        "/token/introspection",
        "/request",
        "/device/auth",
    ] {
        let server = TestServer::with(&Setup {
            requests: Some(8),
            ..Setup::default()
        });
        let registered = server.register("client_secret_post").await;
        let id = text(&registered, "client_id");
        let mut refused = 0;
        let last = loop {
            let guess = format!("mpcs1_guess-{refused}");
            let fields = [
                ("client_id", id.as_str()),
                ("client_secret", &guess),
                ("grant_type", "refresh_token"),
                ("refresh_token", "x"),
                ("token", "x"),
            ];
            let answer = server.post(path, &fields).await;
            if answer.status != 401 || refused > 8 {
                break answer;
            }
            refused += 1;
        };
        assert_refused(&last, 429, "temporarily_unavailable");
        assert!(last.header("retry-after").is_some(), "{path}");
        assert!(refused >= 1, "{path}");
    }
}

/// OAuth 2.1 §7.7 asks for 160 bits: of the 256 random ones in each, about a half must differ.
#[tokio::test]
async fn what_is_given_out_is_too_long_to_guess() {
    let server = TestServer::start();
    let given = async || {
        let registered = server.register("client_secret_post").await;
        let (id, secret) = (
            text(&registered, "client_id"),
            text(&registered, "client_secret"),
        );
        let code = server.code(&id).await;
        let mut fields = code_fields(&id, &code).to_vec();
        fields.push(("client_secret", &secret));
        let tokens = server.post("/token", &fields).await.json();
        [
            random_part(&code),
            random_part(&text(&tokens, "access_token")),
            random_part(&text(&tokens, "refresh_token")),
            secret.strip_prefix("mpcs1_").map(decoded_bytes).unwrap(),
        ]
    };
    for (one, other) in given().await.into_iter().zip(given().await) {
        assert!(one.len() >= 32, "{} bytes", one.len());
        let differing: u32 = one
            .iter()
            .zip(&other)
            .map(|(one, other)| (one ^ other).count_ones())
            .sum();
        assert!((80..=176).contains(&differing), "{differing} bits differ");
    }
}

/// The half of a grant's root or key that a credential carries.
fn random_part(credential: &str) -> Vec<u8> {
    let credential = domain::credential::Credential::parse(credential).unwrap();
    credential.half.expose().to_vec()
}

fn decoded_bytes(text: &str) -> Vec<u8> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap()
}

#[tokio::test]
async fn other_methods_are_told_which_one_is_served() {
    let server = TestServer::start();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
    ] {
        let answer = server.ask(method.clone(), "/token").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_body_above_the_bound_is_refused() {
    let server = TestServer::start();
    let long = "x".repeat(65_537);
    let answer = server.post("/token", &[("code", &long)]).await;
    assert_refused(&answer, 413, "invalid_request");
}

#[tokio::test]
async fn it_is_served_below_a_prefix_and_at_the_root_for_older_clients() {
    for path in ["/team/token", "/token"] {
        let server = TestServer::with(&Setup {
            base_url: "https://proxy.example/team",
            ..Setup::default()
        });
        let client = server.public_client().await;
        let code = server.code(&client).await;
        let answer = server.post(path, &code_fields(&client, &code)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(text(&answer.json(), "token_type"), "Bearer");
    }
}
