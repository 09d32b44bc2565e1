//! The identity token towards the MCP server: renewed once when it is refused, and nobody's
//! session ends for less than the provider's word.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use idp::provider::RefreshError;

use crate::harness::{
    Arrived, Body, MovableClock, Proxy, Server, empty, fed, full, request, settings,
};

/// A server that lets one identity token in, answers with the body, and counts.
async fn demanding(token: &'static str) -> (Server, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let server = Server::answering(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(token, request)
    })
    .await;
    (server, calls)
}

async fn answer(token: &str, request: Request<Incoming>) -> Response<Body> {
    let arrived = Arrived::read(request).await;
    if arrived.header("authorization") == format!("bearer {token}") {
        Response::new(full(arrived.body))
    } else {
        Response::builder()
            .status(StatusCode::UNAUTHORIZED)
            .header("www-authenticate", "Bearer realm=\"inner\"")
            .body(full("inner refusal"))
            .unwrap()
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_same_request_sent_again() {
    let (server, calls) = demanding("identity-1").await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let answer = client.post("/mcp", "the message").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text(), "the message");
    assert_eq!(
        (proxy.provider.calls(), calls.load(Ordering::SeqCst)),
        (1, 2)
    );
    // Chunked, in several pieces, and without a body.
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let (feeder, body) = fed();
    let feeding = async move {
        for chunk in ["a", "b", "c"] {
            feeder.send(chunk).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(client.ask(request(Method::POST, "/mcp", body)), feeding);
    assert_eq!(answer.text(), "abc");
    let proxy = Proxy::before(&server.url()).await;
    assert_eq!(
        proxy.client().await.get("/mcp").await.status,
        StatusCode::OK
    );
}

/// A server may refuse before it has read the body, which is then still on its way.
#[tokio::test]
async fn a_refusal_before_the_body_is_there_is_mended_too() {
    let server = Server::answering(|request| async move {
        if request.headers()["authorization"] == "bearer identity-0" {
            // The body is not touched.
            return Response::builder().status(401).body(empty()).unwrap();
        }
        answer("identity-1", request).await
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let (feeder, body) = fed();
    let provider = Arc::clone(&proxy.provider);
    let feeding = async move {
        feeder.send("first ").await.unwrap();
        while provider.calls() == 0 {
            tokio::task::yield_now().await;
        }
        feeder.send("second").await.unwrap();
        drop(feeder);
    };
    let (answer, ()) = tokio::join!(client.ask(request(Method::POST, "/mcp", body)), feeding);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text(), "first second");
}

#[tokio::test]
async fn many_calls_with_a_refused_token_make_one_refresh_and_none_fails() {
    let (server, _) = demanding("identity-1").await;
    let proxy = Proxy::before(&server.url()).await;
    let mut clients = Vec::new();
    for _ in 0..64 {
        clients.push(proxy.client().await);
    }
    let calls = clients.iter_mut().map(|client| client.post("/mcp", "{}"));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(proxy.provider.calls(), 1);
}

#[tokio::test]
async fn a_server_that_always_refuses_ends_nobodys_session() {
    let (server, calls) = demanding("never").await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    for asked in [2, 3, 4] {
        let answer = client.post("/mcp", "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let challenge = answer.challenge();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(
            challenge.contains("refuses a fresh identity token"),
            "{challenge}"
        );
        assert!(!challenge.contains("inner") && !answer.text().contains("inner"));
        // One refresh, once; later refusals ask nobody.
        assert_eq!(proxy.provider.calls(), 1);
        assert_eq!(calls.load(Ordering::SeqCst), asked);
    }
    let network = domain::address::ClientNetwork::of("127.0.0.1".parse().unwrap());
    let resource = &settings(&server.url()).servers[0].resource;
    assert!(
        proxy
            .grants
            .authenticate(&proxy.token, resource, network)
            .await
            .is_ok()
    );
}

/// A slow machine may send a token for longer than it lives.
#[tokio::test]
async fn a_renewed_token_that_ends_on_its_way_is_renewed_again() {
    let life = Duration::from_secs(8 * 3600);
    for (accepted, status) in [
        ("bearer identity-2", StatusCode::OK),
        ("never", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let clock = Arc::new(OnceLock::<Arc<MovableClock>>::new());
        let passing = Arc::clone(&clock);
        let server = Server::answering(move |request| {
            passing.get().unwrap().forward(life.as_secs());
            async move {
                let arrived = Arrived::read(request).await;
                let is_accepted = arrived.header("authorization") == accepted;
                let status = if is_accepted { 200 } else { 401 };
                Response::builder().status(status).body(empty()).unwrap()
            }
        })
        .await;
        let proxy = Proxy::before(&server.url()).await;
        clock.set(Arc::clone(&proxy.clock)).unwrap();
        let answer = proxy.client().await.post("/mcp", "{}").await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(!answer.headers.contains_key("www-authenticate"));
        assert!(proxy.provider.calls() <= 3, "{}", proxy.provider.calls());
    }
}

#[tokio::test]
async fn only_the_providers_refusal_ends_a_session() {
    let (server, _) = demanding("identity-2").await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    proxy.provider.will_fail(RefreshError::Unavailable(
        "the provider is on fire".to_owned(),
    ));
    let answer = client.post("/mcp", "{}").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
            >= 1
    );
    assert!(!answer.headers.contains_key("www-authenticate"));
    assert_eq!(answer.json()["jsonrpc"], "2.0");
    assert!(!answer.text().contains("fire"));
}

#[tokio::test]
async fn the_providers_refusal_is_a_login() {
    let (server, _) = demanding("identity-2").await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    proxy
        .provider
        .will_fail(RefreshError::Refused("invalid_grant".to_owned()));
    for _ in 0..2 {
        let answer = client.post("/mcp", "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.challenge().contains("error=\"invalid_token\""));
        assert!(answer.challenge().contains("resource_metadata="));
    }
}

#[tokio::test]
async fn what_is_too_large_to_be_sent_again_is_asked_for_again() {
    let (server, calls) = demanding("identity-1").await;
    let mut settings = settings(&server.url());
    settings.max_body = 1000;
    let proxy = Proxy::with(settings).await;
    let mut client = proxy.client().await;
    let answer = client.post("/mcp", vec![7; 1001]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(
        (proxy.provider.calls(), calls.load(Ordering::SeqCst)),
        (1, 1)
    );
    let answer = client.post("/mcp", vec![7; 1001]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body.len(), 1001);
    assert_eq!(proxy.provider.calls(), 1);
}

#[tokio::test]
async fn a_body_of_just_the_bound_is_kept() {
    let (server, _) = demanding("identity-1").await;
    let mut settings = settings(&server.url());
    settings.max_body = 1000;
    let proxy = Proxy::with(settings).await;
    let answer = proxy.client().await.post("/mcp", vec![7; 1000]).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 1000));
}

#[tokio::test]
async fn a_lack_of_scope_is_asked_for_in_our_words() {
    let server = Server::answering(|_| async {
        Response::builder()
            .status(StatusCode::FORBIDDEN)
            .header(
                "www-authenticate",
                "Bearer realm=\"inner\", error=\"insufficient_scope\", scope=\"files:write openid\"",
            )
            .body(full("no"))
            .unwrap()
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let answer = proxy.client().await.post("/mcp/a", "{}").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let challenge = answer.challenge();
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(
        challenge.contains("scope=\"openid files:write\""),
        "{challenge}"
    );
    assert!(
        challenge.contains("/oauth-protected-resource/mcp/a\""),
        "{challenge}"
    );
    assert!(!challenge.contains("inner"), "{challenge}");
}
