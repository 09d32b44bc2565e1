use crate::testing::{Setup, TestServer, basic, text};

const PATH: &str = "/token/revocation";

#[tokio::test]
async fn either_token_ends_the_session() {
    for kind in ["access_token", "refresh_token"] {
        let server = TestServer::start();
        let client = server.public_client().await;
        let code = server.code(&client).await;
        let tokens = server.redeem(&client, &code).await.json();
        let token = text(&tokens, kind);
        let fields = [("client_id", client.as_str()), ("token", &token)];
        let answer = server.post(PATH, &fields).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let refresh = server
            .refresh(&client, &text(&tokens, "refresh_token"))
            .await;
        assert_eq!(
            (refresh.status, refresh.error().as_str()),
            (400, "invalid_grant"),
            "{kind}"
        );
        assert_eq!(server.post(PATH, &fields).await.status, 200);
    }
}

#[tokio::test]
async fn junk_and_the_tokens_of_others_are_answered_alike_and_end_nothing() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let other = server.public_client().await;
    let code = server.code(&client).await;
    let tokens = server.redeem(&client, &code).await.json();
    let refresh_token = text(&tokens, "refresh_token");
    for (asker, token) in [(&other, refresh_token.as_str()), (&client, "junk")] {
        let fields = [
            ("client_id", asker.as_str()),
            ("token", token),
            ("token_type_hint", "no_such_type"),
        ];
        assert_eq!(server.post(PATH, &fields).await.status, 200);
    }
    assert_eq!(server.refresh(&client, &refresh_token).await.status, 200);
}

#[tokio::test]
async fn clients_prove_themselves_and_requests_are_complete() {
    let server = TestServer::start();
    let public = server.public_client().await;
    let confidential = server.register("client_secret_basic").await;
    let id = text(&confidential, "client_id");
    let secret = text(&confidential, "client_secret");
    let right = [("authorization", basic(&id, &secret))];
    let right = right
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(
        server
            .post_with(PATH, &right, &[("token", "junk")])
            .await
            .status,
        200
    );
    for (fields, status, error) in [
        (vec![("token", "junk")], 400, "invalid_request"),
        (vec![("client_id", public.as_str())], 400, "invalid_request"),
        (
            vec![("client_id", "nobody"), ("token", "junk")],
            401,
            "invalid_client",
        ),
        (
            vec![("client_id", id.as_str()), ("token", "junk")],
            401,
            "invalid_client",
        ),
        (
            vec![
                ("client_id", public.as_str()),
                ("token", "a"),
                ("token", "b"),
            ],
            400,
            "invalid_request",
        ),
    ] {
        let answer = server.post(PATH, &fields).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (status, error),
            "{fields:?}"
        );
    }
}

#[tokio::test]
async fn it_is_served_below_a_prefix() {
    let server = TestServer::with(&Setup {
        base_url: "https://proxy.example/team",
        ..Setup::default()
    });
    let client = server.public_client().await;
    let fields = [("client_id", client.as_str()), ("token", "junk")];
    assert_eq!(
        server.post("/team/token/revocation", &fields).await.status,
        200
    );
    assert_eq!(server.post("/token/revocation", &fields).await.status, 404);
}

#[tokio::test]
async fn a_store_that_is_away_is_a_passing_fault() {
    let server = TestServer::start();
    let client = server.public_client().await;
    server.store.set_away(true);
    tokio::time::pause();
    let answer = server
        .post(PATH, &[("client_id", client.as_str()), ("token", "junk")])
        .await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "temporarily_unavailable")
    );
    assert_eq!(answer.header("retry-after"), Some("5"));
}
