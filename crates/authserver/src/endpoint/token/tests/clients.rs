use super::assert_refused;
use crate::testing::{TestServer, basic, code_fields, text};

/// A confidential client of each kind: its id and secret.
async fn confidential(server: &TestServer, method: &str) -> (String, String) {
    let registered = server.register(method).await;
    (
        text(&registered, "client_id"),
        text(&registered, "client_secret"),
    )
}

#[tokio::test]
async fn a_secret_is_accepted_by_header_and_by_form() {
    let server = TestServer::start();
    for method in ["client_secret_basic", "client_secret_post"] {
        let (id, secret) = confidential(&server, method).await;
        let header = basic(&id, &secret);
        let code = server.code(&id).await;
        // With the header, the form need not name the client.
        let fields: Vec<_> = code_fields(&id, &code)
            .into_iter()
            .filter(|(name, _)| *name != "client_id")
            .collect();
        let headers = [("authorization", header.as_str())];
        let by_header = server.post_with("/token", &headers, &fields).await;
        assert_eq!(by_header.status, 200, "{method} {by_header:?}");

        let code = server.code(&id).await;
        let mut fields = code_fields(&id, &code).to_vec();
        fields.push(("client_secret", &secret));
        assert_eq!(server.post("/token", &fields).await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn a_wrong_or_absent_secret_is_refused_and_spends_no_code() {
    let server = TestServer::start();
    let (id, secret) = confidential(&server, "client_secret_post").await;
    let code = server.code(&id).await;
    let fields = code_fields(&id, &code);
    assert_refused(&server.post("/token", &fields).await, 401, "invalid_client");
    for wrong in ["wrong", &secret[..secret.len() - 1], &format!("{secret}x")] {
        let mut fields = fields.to_vec();
        fields.push(("client_secret", wrong));
        let answer = server.post("/token", &fields).await;
        assert_refused(&answer, 401, "invalid_client");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic ")
        );

        let header = basic(&id, wrong);
        let headers = [("authorization", header.as_str())];
        let answer = server.post_with("/token", &headers, &fields[..5]).await;
        assert_refused(&answer, 401, "invalid_client");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic ")
        );
    }
    let mut fields = fields.to_vec();
    fields.push(("client_secret", &secret));
    assert_eq!(server.post("/token", &fields).await.status, 200);
}

#[tokio::test]
async fn a_public_client_shows_no_secret() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let mut fields = code_fields(&client, &code).to_vec();
    fields.push(("client_secret", "anything"));
    assert_refused(&server.post("/token", &fields).await, 401, "invalid_client");
    let header = basic(&client, "anything");
    let headers = [("authorization", header.as_str())];
    let answer = server.post_with("/token", &headers, &fields[..5]).await;
    assert_refused(&answer, 401, "invalid_client");
    // An empty one is none.
    fields[5].1 = "";
    let header = basic(&client, "");
    let headers = [("authorization", header.as_str())];
    assert_eq!(
        server.post_with("/token", &headers, &fields).await.status,
        200
    );
}

#[tokio::test]
async fn an_unknown_client_is_told_so() {
    let server = TestServer::start();
    for unknown in ["nobody", "n\u{f6}body", &"x".repeat(3000)] {
        let answer = server.redeem(unknown, "code").await;
        assert_refused(&answer, 401, "invalid_client");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic ")
        );
    }
    let header = basic("nobody", "secret");
    let headers = [("authorization", header.as_str())];
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let answer = server.post_with("/token", &headers, &fields).await;
    assert_refused(&answer, 401, "invalid_client");
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .starts_with("Basic ")
    );
}

#[tokio::test]
async fn one_client_proves_itself_in_one_way() {
    let server = TestServer::start();
    let (id, secret) = confidential(&server, "client_secret_post").await;
    let header = basic(&id, &secret);
    let both = [("authorization", header.as_str())];
    let code = server.code(&id).await;
    let mut fields = code_fields(&id, &code).to_vec();
    fields.push(("client_secret", &secret));
    assert_refused(
        &server.post_with("/token", &both, &fields).await,
        400,
        "invalid_request",
    );

    let fields = code_fields("another", &code);
    assert_refused(
        &server.post_with("/token", &both, &fields).await,
        400,
        "invalid_request",
    );

    let twice = [both[0], both[0]];
    let fields = code_fields(&id, &code);
    assert_refused(
        &server.post_with("/token", &twice, &fields).await,
        400,
        "invalid_request",
    );

    let broken = [("authorization", "Basic ???")];
    assert_refused(
        &server.post_with("/token", &broken, &fields).await,
        400,
        "invalid_request",
    );
    assert_eq!(server.post_with("/token", &both, &fields).await.status, 200);
}

#[tokio::test]
async fn nobody_at_all_is_an_invalid_request_and_an_assertion_an_invalid_client() {
    let server = TestServer::start();
    let anonymous = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    assert_refused(
        &server.post("/token", &anonymous).await,
        400,
        "invalid_request",
    );
    let client = server.public_client().await;
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("client_id", &client),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", "a.b.c"),
    ];
    assert_refused(&server.post("/token", &fields).await, 401, "invalid_client");
}

/// Some clients put a header of the operator's choice on every request.
#[tokio::test]
async fn a_header_of_another_scheme_is_passed_over() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let headers = [("authorization", "Bearer something-else")];
    let fields = code_fields(&client, &code);
    assert_eq!(
        server.post_with("/token", &headers, &fields).await.status,
        200
    );
}
