use axum::{
    body::Body,
    http::{Method, Request},
};

use crate::testing::{Setup, TestServer};

#[tokio::test]
async fn scripts_of_any_origin_read_every_answer_and_every_error() {
    let server = TestServer::start();
    for (method, path, status) in [
        (Method::GET, "/.well-known/oauth-authorization-server", 200),
        (Method::GET, "/.well-known/openid-configuration", 200),
        (
            Method::GET,
            "/.well-known/oauth-protected-resource/mcp",
            200,
        ),
        (
            Method::GET,
            "/.well-known/oauth-protected-resource/nothing",
            404,
        ),
        (
            Method::GET,
            "/.well-known/oauth-authorization-server/nothing",
            404,
        ),
        (Method::POST, "/.well-known/oauth-authorization-server", 405),
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/jwks", 200),
        (Method::POST, "/jwks", 405),
        (Method::GET, "/token", 405),
        (Method::POST, "/token", 400),
        (Method::GET, "/reg", 405),
        (Method::POST, "/reg", 400),
        (Method::POST, "/register", 400),
        (Method::DELETE, "/token/revocation", 405),
        (Method::POST, "/token/revocation", 400),
    ] {
        let answer = server.ask(method.clone(), path).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{method} {path}"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        answer.json();
        if status == 405 {
            let allowed = answer.header("allow").unwrap();
            assert!(
                !allowed.contains(method.as_str()),
                "{method} {path}: {allowed}"
            );
            assert!(
                allowed.contains("GET") || allowed.contains("POST"),
                "{allowed}"
            );
        }
    }
}

#[tokio::test]
async fn a_preflight_is_answered_with_the_names_it_asks() {
    let server = TestServer::start();
    for path in [
        "/token",
        "/token/revocation",
        "/reg",
        "/register",
        "/jwks",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/nothing",
        "/nowhere",
    ] {
        let request = Request::options(path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-own")
            .body(Body::empty())
            .unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status, 204, "{path}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("authorization,x-own")
        );
        assert!(
            answer
                .header("access-control-allow-methods")
                .unwrap()
                .contains("POST")
        );
    }
}

/// OAuth 2.1 §3.1: a client sends the browser there and has nothing to read itself.
#[tokio::test]
async fn the_authorization_endpoint_and_all_pages_are_closed_to_scripts() {
    let server = TestServer::start();
    for path in [
        "/auth",
        "/authorize",
        "/interaction/identity/callback",
        "/interaction/AAAAAAAAAAAAAAAAAAAAAA",
        "/interaction/AAAAAAAAAAAAAAAAAAAAAA/confirm-login",
        "/session/end",
        "/session/reset",
        "/device",
    ] {
        for method in [Method::OPTIONS, Method::GET, Method::POST] {
            let request = Request::builder()
                .method(method.clone())
                .uri(path)
                .header("origin", "https://evil.example")
                .header("access-control-request-method", "POST")
                .body(Body::empty())
                .unwrap();
            let answer = server.send(request).await;
            assert_ne!(answer.status, 204, "{method} {path}");
            for name in answer.headers.keys() {
                let name = name.as_str();
                assert!(
                    !name.starts_with("access-control-"),
                    "{method} {path}: {name}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_header_name_is_not_echoed() {
    let server = TestServer::start();
    for names in ["a b", "<script>", ",", "a;b"] {
        let request = Request::options("/token")
            .header("access-control-request-headers", names)
            .body(Body::empty())
            .unwrap();
        let answer = server.send(request).await;
        let allowed = answer.header("access-control-allow-headers").unwrap();
        assert!(allowed.starts_with("Authorization"), "{names}: {allowed}");
    }
}

#[tokio::test]
async fn scripts_may_read_why_and_when_again() {
    let server = TestServer::with(&Setup {
        requests: Some(1),
        ..Setup::default()
    });
    server.post("/token", &[]).await;
    let answer = server.post("/token", &[]).await;
    assert_eq!(answer.status, 429);
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in [
        "WWW-Authenticate",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "X-Request-Id",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }
}
