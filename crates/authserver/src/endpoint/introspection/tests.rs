use std::time::Duration;

use axum::http::HeaderValue;
use domain::time::Clock as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{MCP_SERVER_SECRET, SUBJECT, Setup, TestServer, basic, decoded, text};

const PATH: &str = "/token/introspection";

/// A confidential client with its tokens.
struct Confidential {
    authorization: String,
    id: String,
    tokens: Value,
}

impl Confidential {
    async fn of(server: &TestServer) -> Self {
        let registered = server.register("client_secret_basic").await;
        let id = text(&registered, "client_id");
        let authorization = basic(&id, &text(&registered, "client_secret"));
        let code = server.code(&id).await;
        let fields = crate::testing::code_fields(&id, &code);
        let headers = [("authorization", authorization.as_str())];
        let tokens = server.post_with("/token", &headers, &fields).await;
        Self {
            tokens: tokens.json(),
            authorization,
            id,
        }
    }

    fn token(&self, kind: &str) -> String {
        text(&self.tokens, kind)
    }
}

async fn ask(server: &TestServer, authorization: &str, token: &str) -> Value {
    let headers = [("authorization", authorization)];
    let answer = server.post_with(PATH, &headers, &[("token", token)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

fn mcp_server() -> String {
    basic("mcp-server", MCP_SERVER_SECRET)
}

#[tokio::test]
async fn a_client_learns_what_its_own_tokens_are() {
    let server = TestServer::start();
    let client = Confidential::of(&server).await;
    let now = server.clock.now().as_unix();
    let id_token = client.token("id_token");
    let sid = decoded(id_token.split('.').nth(1).unwrap())["sid"].clone();
    let expected = |life: u64| {
        json!({
            "active": true,
            "scope": "openid offline_access",
            "client_id": client.id,
            "sub": SUBJECT,
            "aud": "https://proxy.example/mcp",
            "iss": "https://proxy.example",
            "exp": now + life,
            "iat": now,
            "sid": sid,
        })
    };
    // The true end: a little behind the one that the client was told.
    let mut access = expected(3610);
    access["token_type"] = "Bearer".into();
    let answer = ask(
        &server,
        &client.authorization,
        &client.token("access_token"),
    )
    .await;
    assert_eq!(answer, access);
    let answer = ask(
        &server,
        &client.authorization,
        &client.token("refresh_token"),
    )
    .await;
    assert_eq!(answer, expected(14 * 24 * 3600));
}

#[tokio::test]
async fn what_is_not_the_asker_s_is_not_active_and_nothing_more_is_said() {
    let server = TestServer::start();
    let client = Confidential::of(&server).await;
    let other = Confidential::of(&server).await;
    let access = client.token("access_token");
    let refresh = client.token("refresh_token");
    let inactive = json!({ "active": false });
    for (asker, token) in [
        (&other.authorization, access.as_str()),
        (&other.authorization, refresh.as_str()),
        (&mcp_server(), refresh.as_str()),
        (&client.authorization, "junk"),
        (&mcp_server(), "junk"),
    ] {
        assert_eq!(ask(&server, asker, token).await, inactive);
    }
    assert_eq!(ask(&server, &mcp_server(), &access).await["active"], true);
    server.clock.advance(std::time::Duration::from_secs(3610));
    assert_eq!(ask(&server, &client.authorization, &access).await, inactive);
    // Another's question ended nothing.
    assert_eq!(
        ask(&server, &client.authorization, &refresh).await["active"],
        true
    );
    let fields = [("token", refresh.as_str())];
    let headers = [("authorization", client.authorization.as_str())];
    let revoked = server
        .post_with("/token/revocation", &headers, &fields)
        .await;
    assert_eq!(revoked.status, 200);
    assert_eq!(
        ask(&server, &client.authorization, &refresh).await,
        inactive
    );
}

/// With several MCP servers each has its own secret, and asks for its own tokens.
#[tokio::test]
async fn an_mcp_server_learns_of_tokens_for_itself_only() {
    let server = TestServer::with(&Setup {
        paths: &["/a", "/b"],
        ..Setup::default()
    });
    let client = server.public_client().await;
    for (resource, is_active) in [(0, true), (1, false)] {
        let code = server.code_for(&client, resource, "openid").await;
        let tokens = server.redeem(&client, &code).await.json();
        let answer = ask(&server, &mcp_server(), &text(&tokens, "access_token")).await;
        assert_eq!(answer["active"], is_active, "{answer}");
    }
}

#[tokio::test]
async fn a_signed_answer_is_for_the_asker_alone() {
    let server = TestServer::start();
    let client = Confidential::of(&server).await;
    let access = client.token("access_token");
    for (asker, audience, token) in [
        (&client.authorization, client.id.as_str(), access.as_str()),
        (&mcp_server(), "https://proxy.example/mcp", &access),
        (&mcp_server(), "https://proxy.example/mcp", "junk"),
    ] {
        let plain = ask(&server, asker, token).await;
        let headers = [("authorization", asker.as_str()), ("accept", SIGNED)];
        let answer = server.post_with(PATH, &headers, &[("token", token)]).await;
        assert_eq!(answer.header("content-type"), Some(SIGNED));
        assert_eq!(answer.header("vary"), Some("Accept"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let jwt = String::from_utf8(answer.body.to_vec()).unwrap();
        let parts: Vec<_> = jwt.split('.').collect();
        let header = decoded(parts[0]);
        assert_eq!(header["typ"], "token-introspection+jwt");
        let keys = server.get("/jwks").await.json();
        let kids = keys["keys"].as_array().unwrap().iter();
        assert!(kids.clone().any(|key| key["kid"] == header["kid"]));
        let claims = decoded(parts[1]);
        let expected = json!({
            "iss": "https://proxy.example",
            "aud": audience,
            "iat": server.clock.now().as_unix(),
            "token_introspection": plain,
        });
        assert_eq!(claims, expected);
    }
}

#[test]
fn the_signed_form_must_be_asked_for_by_name() {
    for (accept, is_signed) in [
        ("application/token-introspection+jwt", true),
        ("Application/Token-Introspection+JWT", true),
        (
            "application/json;q=0.5, application/token-introspection+jwt;q=0.9",
            true,
        ),
        ("application/token-introspection+jwt;q=0", false),
        ("application/token-introspection+jwt; Q=0.000", false),
        ("application/json", false),
        ("*/*", false),
        ("application/*", false),
        ("", false),
    ] {
        let headers = [(header::ACCEPT, HeaderValue::from_static(accept))];
        assert_eq!(
            wants_signed(&headers.into_iter().collect()),
            is_signed,
            "{accept}"
        );
    }
}

#[tokio::test]
async fn the_secret_of_an_mcp_server_cannot_be_guessed_one_after_the_other() {
    let server = TestServer::start();
    let show = async |authorization: String| {
        let headers = [("authorization", authorization.as_str())];
        let answer = server.post_with(PATH, &headers, &[("token", "none")]).await;
        answer.status
    };
    // However often it is shown, the right one holds nobody back.
    for _ in 0..20 {
        assert_eq!(show(mcp_server()).await, 200);
    }
    for number in 0..10 {
        let wrong = basic("mcp-server", &number.to_string());
        assert_eq!(show(wrong).await, 401);
    }
    assert_eq!(show(mcp_server()).await, 429);
    server.clock.advance(Duration::from_secs(30));
    assert_eq!(show(mcp_server()).await, 200);
}

#[tokio::test]
async fn nobody_may_try_tokens_out() {
    let server = TestServer::start();
    let public = server.public_client().await;
    let client = Confidential::of(&server).await;
    let token = client.token("access_token");
    let wrong = basic(&client.id, "wrong");
    let wrong_server = basic("mcp-server", "wrong");
    let right = mcp_server();
    for (authorization, fields, status, error) in [
        (None, vec![("token", token.as_str())], 401, "invalid_client"),
        (
            None,
            vec![("token", token.as_str()), ("client_id", &public)],
            401,
            "invalid_client",
        ),
        (
            None,
            vec![("token", token.as_str()), ("client_id", "mcp-server")],
            401,
            "invalid_client",
        ),
        (
            Some(&wrong),
            vec![("token", token.as_str())],
            401,
            "invalid_client",
        ),
        (
            Some(&wrong_server),
            vec![("token", token.as_str())],
            401,
            "invalid_client",
        ),
        (Some(&right), vec![], 400, "invalid_request"),
        (
            Some(&right),
            vec![("token", "a"), ("token", "b")],
            400,
            "invalid_request",
        ),
        (
            Some(&right),
            vec![("token", token.as_str()), ("client_secret", "a")],
            400,
            "invalid_request",
        ),
    ] {
        let headers: Vec<_> = authorization
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        let answer = server.post_with(PATH, &headers, &fields).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (status, error),
            "{fields:?}"
        );
        let is_told = answer.header("www-authenticate").is_some();
        assert_eq!(is_told, status == 401);
    }
    // By the form it is as good as by the header.
    let fields = [
        ("token", token.as_str()),
        ("client_id", "mcp-server"),
        ("client_secret", MCP_SERVER_SECRET),
    ];
    assert_eq!(server.post(PATH, &fields).await.json()["active"], true);
}

/// Looking is no use: a replaced token stays honoured until its successor is really used.
#[tokio::test]
async fn looking_presents_nothing() {
    let server = TestServer::start();
    let client = server.public_client().await;
    let code = server.code(&client).await;
    let first = server.redeem(&client, &code).await.json();
    let second = server
        .refresh(&client, &text(&first, "refresh_token"))
        .await
        .json();
    for _ in 0..3 {
        let answer = ask(&server, &mcp_server(), &text(&second, "access_token")).await;
        assert_eq!(answer["active"], true);
    }
    let day = std::time::Duration::from_secs(24 * 3600);
    server.clock.advance(day);
    let fields = crate::testing::refresh_fields(&client, first["refresh_token"].as_str().unwrap());
    let request = crate::testing::form_request("/token", &[], &fields);
    let late = server.send_from("198.51.100.9", request).await;
    assert_eq!(late.status, 200, "{late:?}");
    assert_eq!(late.json()["refresh_token"], second["refresh_token"]);
}

#[tokio::test]
async fn a_store_that_is_away_is_a_passing_fault_and_not_an_inactive_token() {
    let server = TestServer::start();
    let elsewhere = Confidential::of(&TestServer::start()).await;
    let token = elsewhere.token("access_token");
    server.store.set_away(true);
    tokio::time::pause();
    let headers = [("authorization", mcp_server())];
    let headers = headers
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let answer = server.post_with(PATH, &headers, &[("token", &token)]).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (503, "temporarily_unavailable")
    );
}

#[tokio::test]
async fn the_metadata_tells_how_to_ask() {
    let server = TestServer::start();
    let path = "/.well-known/oauth-authorization-server";
    let metadata = server.get(path).await.json();
    let methods = metadata["introspection_endpoint_auth_methods_supported"]
        .as_array()
        .unwrap();
    assert!(methods.contains(&"client_secret_basic".into()));
    assert!(!methods.contains(&"none".into()));
    assert_eq!(
        metadata["introspection_signing_alg_values_supported"],
        metadata["id_token_signing_alg_values_supported"]
    );
}

proptest! {
    /// RFC 9110 §12.5.1: the signed form is sent to who names it, in any case and at any place, and
    /// does not weigh it zero.
    #[test]
    fn the_signed_form_is_for_who_names_it(
        others in prop::collection::vec("(application/json|\\*/\\*|application/jwt)(;q=0(\\.[0-9])?)?", 0..3),
        kind in "[aA]pplicatio[nN]/[tT]oken-[iI]ntrospectio[nN]\\+[jJ][wW][tT]",
        weight in prop::option::of("0|0\\.0|0\\.000|0\\.1|1|1\\.0"),
        at in any::<prop::sample::Index>(),
        is_split: bool,
    ) {
        let headers = |ranges: &[String]| {
            let mut headers = HeaderMap::new();
            let lines = if is_split { ranges.to_vec() } else { vec![ranges.join(", ")] };
            for line in lines {
                headers.append(header::ACCEPT, HeaderValue::from_str(&line).unwrap());
            }
            headers
        };
        prop_assert!(!super::wants_signed(&headers(&others)));
        let is_zero = weight.as_ref().is_some_and(|weight| !weight.contains('1'));
        let parameter = weight.map(|weight| format!("; q={weight}")).unwrap_or_default();
        let mut ranges = others;
        ranges.insert(at.index(ranges.len() + 1), format!("{kind}{parameter}"));
        prop_assert_eq!(super::wants_signed(&headers(&ranges)), !is_zero);
    }
}
