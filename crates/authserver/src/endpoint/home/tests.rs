use axum::body::Body;
use http::{Method, Request};

use crate::testing::{Answer, Setup, TestServer};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn asked(server: &TestServer, path: &str, accept: &str) -> Answer {
    sent(server, Method::GET, path, accept).await
}

async fn sent(server: &TestServer, method: Method, path: &str, accept: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", accept)
        .body(Body::empty())
        .unwrap();
    server.send(request).await
}

fn html(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn a_person_at_our_address_is_told_where_to_go() {
    let server = TestServer::start();
    let page = asked(&server, "/", BROWSER).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("vary"), Some("Accept"));
    assert_eq!(page.header("access-control-allow-origin"), None);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'none'"), "{policy}");
    let html = html(&page);
    assert!(
        html.contains("href=\"https://proxy.example/mcp\""),
        "{html}"
    );
    assert!(html.contains("an MCP server with"), "{html}");
}

#[tokio::test]
async fn a_program_there_gets_the_same_404_as_anywhere() {
    let server = TestServer::start();
    for accept in ["application/json", "*/*"] {
        let answer = asked(&server, "/", accept).await;
        assert_eq!(answer.status, 404, "{accept}");
        assert_eq!(answer.error(), "invalid_request");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
    let posted = sent(&server, Method::POST, "/", BROWSER).await;
    assert_eq!(posted.status, 404);
    let elsewhere = asked(&server, "/elsewhere", BROWSER).await;
    assert_eq!(elsewhere.status, 404);
}

#[tokio::test]
async fn below_a_prefix_the_page_stands_there_and_names_every_server() {
    let server = TestServer::with(&Setup {
        base_url: "https://proxy.example/team",
        paths: &["/wiki", "/shop"],
        ..Setup::default()
    });
    for path in ["/team", "/team/"] {
        let page = asked(&server, path, BROWSER).await;
        assert_eq!(page.status, 200, "{path}");
        for url in [
            "https://proxy.example/team/wiki",
            "https://proxy.example/team/shop",
        ] {
            let link = format!("href=\"{url}\"");
            assert!(html(&page).contains(&link), "{}", html(&page));
        }
    }
    for path in ["/", "/teams"] {
        assert_eq!(asked(&server, path, BROWSER).await.status, 404, "{path}");
    }
}
