//! Who is let in, and what those who are not are told.

use http::{Method, StatusCode};

use crate::harness::{Client, Proxy, Server, base, empty, full, request};

const METADATA: &str =
    "resource_metadata=\"https://proxy.example/.well-known/oauth-protected-resource/mcp";

#[tokio::test]
async fn a_first_call_is_told_where_to_log_in() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = Client::connect(proxy.address).await;
    for (method, path, tail) in [
        (Method::POST, "/mcp", "\""),
        (Method::GET, "/mcp/", "/\""),
        (Method::DELETE, "/mcp/a/b?access_token=x", "/a/b\""),
        (Method::OPTIONS, "/mcp", "\""),
    ] {
        let answer = client.ask(request(method, path, full("{}"))).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        let expected = format!("Bearer {METADATA}{tail}, scope=\"openid\"");
        assert_eq!(answer.challenge(), expected, "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert!(arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_invalid() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let elsewhere = proxy
        .token_for(domain::resource::Resource::at(&base(), "/other"))
        .await;
    let forged = format!("{}AAAA", &proxy.token[..proxy.token.len() - 4]);
    let refresh = proxy.issued.refresh_token.as_ref().unwrap().expose();
    for token in ["x", "Bearer", &forged, &elsewhere, refresh] {
        let mut client = Client::connect(proxy.address).await;
        client.bearer = Some(token.to_owned());
        let answer = client.post("/mcp", "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{token}");
        assert!(
            answer.challenge().contains("error=\"invalid_token\""),
            "{token}"
        );
        assert!(answer.challenge().contains(METADATA), "{token}");
        assert_eq!(answer.json()["error"], "invalid_token");
        assert!(!answer.text().contains(token), "{token}");
    }
    assert!(arrived.lock().unwrap().is_empty());
}

/// A token is asked for at each request, until the very end of what was granted.
#[tokio::test]
async fn an_expired_token_and_one_of_an_ended_session_are_invalid() {
    for is_ended in [false, true] {
        let (server, arrived) = Server::recording().await;
        let proxy = Proxy::before(&server.url()).await;
        let mut client = proxy.client().await;
        assert_eq!(client.post("/mcp", "{}").await.status, StatusCode::OK);
        if is_ended {
            proxy.grants.end(&proxy.issued.grant).await.unwrap();
        } else {
            proxy.clock.forward(2 * 3600);
        }
        let answer = client.post("/mcp", "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let challenge = answer.challenge();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains(METADATA), "{challenge}");
        assert_eq!(arrived.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_session_id_of_mcp_is_no_credential() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = Client::connect(proxy.address).await;
    let mut call = request(Method::POST, "/mcp", full("{}"));
    let headers = call.headers_mut();
    headers.insert("mcp-session-id", "a-session-of-somebody".parse().unwrap());
    headers.insert(
        "cookie",
        format!("session={}", proxy.token).parse().unwrap(),
    );
    let answer = client.ask(call).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn credentials_in_two_places_and_odd_paths_are_malformed() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let mut twice = request(Method::POST, "/mcp", full("{}"));
    twice
        .headers_mut()
        .insert("authorization", "Bearer other".parse().unwrap());
    let query = request(Method::POST, "/mcp?access_token=x", full("{}"));
    let dots = request(Method::POST, "/mcp/../mcp", full("{}"));
    let encoded = request(Method::POST, "/mcp/%2e%2e/mcp", full("{}"));
    for call in [twice, query, dots, encoded] {
        let answer = client.ask(call).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let trace = client.ask(request(Method::TRACE, "/mcp", empty())).await;
    assert_eq!(trace.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(trace.headers["allow"].to_str().unwrap().contains("POST"));
    assert!(arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_from_elsewhere_is_refused_before_anything_is_looked_at() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    for origin in ["https://evil.example", "null"] {
        for method in [Method::POST, Method::OPTIONS] {
            // Without a token it would be 401: the origin comes first.
            let mut client = Client::connect(proxy.address).await;
            let mut call = request(method, "/mcp", full("{}"));
            let headers = call.headers_mut();
            headers.insert("origin", origin.parse().unwrap());
            headers.insert("access-control-request-method", "POST".parse().unwrap());
            let answer = client.ask(call).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
            assert!(!answer.headers.contains_key("www-authenticate"));
        }
    }
    assert!(arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_page_that_is_let_in_can_read_answers_and_refusals() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    for origin in [
        "http://localhost:6274",
        "https://proxy.example",
        "https://app.example",
    ] {
        for bearer in [Some(proxy.token.clone()), None] {
            let mut client = Client::connect(proxy.address).await;
            client.bearer.clone_from(&bearer);
            let mut call = request(Method::POST, "/mcp", full("{}"));
            call.headers_mut().insert("origin", origin.parse().unwrap());
            let answer = client.ask(call).await;
            let expected = if bearer.is_some() { 200 } else { 401 };
            assert_eq!(answer.status, expected);
            assert_eq!(answer.headers["access-control-allow-origin"], origin);
            let exposed = answer.headers["access-control-expose-headers"]
                .to_str()
                .unwrap();
            for name in [
                "WWW-Authenticate",
                "Mcp-Session-Id",
                "Retry-After",
                "RateLimit-Policy",
            ] {
                assert!(exposed.contains(name), "{name}");
            }
            assert!(
                !answer
                    .headers
                    .contains_key("access-control-allow-credentials")
            );
            assert!(
                answer
                    .headers
                    .get_all("vary")
                    .iter()
                    .any(|value| value == "Origin")
            );
        }
    }
    assert!(
        arrived
            .lock()
            .unwrap()
            .iter()
            .all(|it| it.header("origin").is_empty())
    );
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = Client::connect(proxy.address).await;
    let mut call = request(Method::OPTIONS, "/mcp", empty());
    for (name, value) in [
        ("origin", "http://localhost:6274"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,mcp-protocol-version",
        ),
    ] {
        call.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = client.ask(call).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(
        answer.headers["access-control-allow-origin"],
        "http://localhost:6274"
    );
    assert_eq!(
        answer.headers["access-control-allow-headers"],
        "authorization,mcp-protocol-version"
    );
    assert!(arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_person_gets_a_page_and_a_client_the_same_challenge() {
    let (server, _) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = Client::connect(proxy.address).await;
    let asking = |method, accept: &str| {
        let mut call = request(method, "/mcp", empty());
        call.headers_mut().insert("accept", accept.parse().unwrap());
        call
    };
    let page = client.ask(asking(Method::GET, "text/html,*/*;q=0.8")).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(page.text(), "<h1>connect</h1>");
    assert_eq!(
        page.headers["content-security-policy"],
        "default-src 'none'; style-src 'self'"
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.headers[name], value);
    }
    let stream = client
        .ask(asking(Method::GET, "text/html, text/event-stream"))
        .await;
    assert_eq!(stream.headers["content-type"], "application/json");
    assert_eq!(stream.challenge(), page.challenge());
    let post = client.ask(asking(Method::POST, "text/html")).await;
    assert_eq!(post.headers["content-type"], "application/json");
    // Whoever shows a token is no person who looks around.
    client.bearer = Some("x".to_owned());
    let shown = client.ask(asking(Method::GET, "text/html")).await;
    assert_eq!(shown.headers["content-type"], "application/json");
}
