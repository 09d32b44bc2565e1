//! The edge is strict: paths, methods, credentials, plain http.

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::json;
use testkit::{
    bad_requests::{self, Place, Row, Seen, Setting},
    http::{Http, Reply},
};
use url::Url;

use crate::harness::{Stage, ping};

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_refused() -> Result<()> {
    let stage = Stage::open().await?;
    for path in [
        "/nothing",
        "/token/nothing",
        "/interaction",
        "/.env",
        "/admin",
    ] {
        let reply = Reply::to(stage.http()?.get(&stage.proxy.url(path)?)).await?;
        assert_eq!(reply.status, 404, "{path}");
    }
    for (method, path) in [
        (Method::GET, "/token"),
        (Method::DELETE, "/reg"),
        (Method::PUT, "/auth"),
        (Method::POST, "/jwks"),
    ] {
        let reply = Reply::to(stage.http()?.request(method, &stage.proxy.url(path)?)).await?;
        assert_eq!(reply.status, 405, "{path}");
        assert_ne!(reply.header("allow"), "", "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn odd_paths_are_refused_before_anybody_reads_them() -> Result<()> {
    let stage = Stage::open().await?;
    let (_, tokens) = stage.logged_in("alice").await?;
    stage.recorder.forget();
    for path in [
        "/mcp/../reg",
        "/mcp/%2e%2e/x",
        "/mcp/a%2fb",
        "/mcp/a%5cb",
        "/mcp/./x",
    ] {
        let answer = raw(&stage, &format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            tokens.access,
        ))
        .await?;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    assert!(stage.recorder.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn every_bad_request_has_its_exact_answer_at_the_edge() -> Result<()> {
    let direct = Stage::open().await?;
    let behind_router = Stage::builder()?.behind_router()?.open().await?;
    let mut sent = 0;
    let sections = bad_requests::ALL.iter();
    for section in sections.filter(|section| section.place == Place::Edge) {
        for row in section.rows {
            let stage = match row.setting {
                Setting::BehindRouter => &behind_router,
                _ => &direct,
            };
            let seen = seen(&raw(stage, &as_text(row)).await?)?;
            if let Err(fault) = row.check(section.place, &seen) {
                anyhow::bail!("{fault}");
            }
            sent += 1;
        }
    }
    assert!(sent > 4, "only {sent} rows were sent");
    Ok(())
}

/// The request as it goes over the wire, which no library makes any better.
fn as_text(row: &Row) -> String {
    let path = row.path.replace("<20000 letters>", &"x".repeat(20_000));
    let headers: Vec<String> = row
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let headers = headers.concat();
    format!(
        "{} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n",
        row.method
    )
}

/// The answer taken apart.
fn seen(answer: &str) -> Result<Seen> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the head")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut headers = http::HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").context("no header")?;
        headers.append(http::HeaderName::try_from(name)?, value.parse()?);
    }
    Ok(Seen {
        status: status.context("no status")?.parse()?,
        headers,
        body: body.to_owned().into(),
    })
}

#[tokio::test]
async fn a_token_counts_in_the_header_alone_and_once() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    stage.recorder.forget();
    let mut query = stage.mcp()?;
    query
        .query_pairs_mut()
        .append_pair("access_token", &tokens.access);
    let reply = Reply::to(stage.http()?.post(&query).json(&ping())).await?;
    assert_eq!(reply.status, 401);
    let beside = stage
        .http()?
        .post(&query)
        .bearer_auth(&tokens.access)
        .json(&ping());
    assert_eq!(Reply::to(beside).await?.status, 400);
    let form = stage
        .http()?
        .post(&stage.mcp()?)
        .form(&[("access_token", &tokens.access)]);
    assert_eq!(Reply::to(form).await?.status, 401);
    let twice = client
        .calling(&tokens.access, &ping())
        .header("authorization", format!("Bearer {}", tokens.access));
    assert_eq!(Reply::to(twice).await?.status, 400);
    assert!(stage.recorder.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn no_header_of_the_client_weakens_the_check() -> Result<()> {
    let stage = Stage::open().await?;
    stage.recorder.forget();
    for version in ["2024-11-05", "2025-03-26", "2026-07-28", "nonsense"] {
        for path in ["/mcp", "/mcp/", "/mcp/sub", "/mcp?x=1"] {
            let request = stage
                .http()?
                .post(&stage.proxy.url(path)?)
                .header("mcp-protocol-version", version)
                .header("authorization", "Bearer anything")
                .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize" }));
            assert_eq!(Reply::to(request).await?.status, 401, "{version} {path}");
        }
    }
    assert!(stage.recorder.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn other_credentials_of_ours_open_nothing() -> Result<()> {
    let stage = Stage::open().await?;
    let (client, tokens) = stage.logged_in("alice").await?;
    let id_token = tokens.answer["id_token"].as_str().unwrap();
    for shown in [tokens.refresh.as_str(), id_token, client.id()] {
        assert_eq!(client.call(shown, &ping()).await?.status, 401);
    }
    Ok(())
}

#[tokio::test]
async fn a_person_at_the_mcp_url_gets_a_page() -> Result<()> {
    let stage = Stage::open().await?;
    let request = stage
        .http()?
        .get(&stage.mcp()?)
        .header("accept", "text/html,*/*;q=0.8");
    let page = Reply::to(request).await?;
    assert_eq!(page.status, 401);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("www-authenticate")
            .contains("resource_metadata=")
    );
    let text = testkit::html::unescape(&page.text());
    assert!(text.contains(stage.mcp()?.as_str()));
    let stream = stage
        .http()?
        .get(&stage.mcp()?)
        .header("accept", "text/html, text/event-stream");
    let reply = Reply::to(stream).await?;
    assert!(!reply.header("content-type").starts_with("text/html"));
    Ok(())
}

#[tokio::test]
async fn both_loopbacks_answer() -> Result<()> {
    let stage = Stage::open().await?;
    for host in ["127.0.0.1", "[::1]"] {
        let url = Url::parse(&format!("http://{host}:{}/jwks", stage.proxy.port()))?;
        if host == "[::1]" && std::net::TcpListener::bind("[::1]:0").is_err() {
            // A machine without IPv6.
            continue;
        }
        assert_eq!(
            Reply::to(Http::direct()?.get(&url)).await?.status,
            200,
            "{host}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn plain_http_is_sent_to_https() -> Result<()> {
    let stage = Stage::builder()?.behind_router()?.open().await?;
    let direct = Http::direct()?;
    let at = |path: &str| Url::parse(&format!("http://127.0.0.1:{}{path}", stage.proxy.port()));
    let plain =
        |request: reqwest::RequestBuilder| Reply::to(request.header("x-forwarded-proto", "http"));
    let reply = plain(direct.get(&at("/auth?x=1")?)).await?;
    assert_eq!(reply.status, 308);
    assert_eq!(reply.header("location"), "https://mcp.example/auth?x=1");
    // Never a request that carries a credential, and none with a body.
    let reply = plain(direct.get(&at("/mcp")?).bearer_auth("x")).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error().as_str()),
        (400, "invalid_request")
    );
    let reply = plain(direct.post(&at("/token")?)).await?;
    assert_eq!(
        (reply.status.as_u16(), reply.error().as_str()),
        (400, "invalid_request")
    );
    let secure = Reply::to(stage.http()?.get(&stage.proxy.url("/jwks")?)).await?;
    assert!(
        secure
            .header("strict-transport-security")
            .contains("max-age=")
    );
    Ok(())
}

#[tokio::test]
async fn a_made_up_forwarded_address_is_not_believed() -> Result<()> {
    // The router appends the address it saw; what a client wrote before it is a claim.
    let stage = Stage::builder()?
        .behind_router()?
        .env("MAX_REQUESTS", "5")
        .open()
        .await?;
    let url = Url::parse(&format!("http://127.0.0.1:{}/reg", stage.proxy.port()))?;
    let mut refused = false;
    for attempt in 0..12 {
        let request = Http::direct()?
            .post(&url)
            .header("x-forwarded-proto", "https")
            .header(
                "x-forwarded-for",
                format!("198.51.100.{attempt}, 203.0.113.50"),
            )
            .json(&json!({ "redirect_uris": ["https://client.example/cb"] }));
        let reply = Reply::to(request).await?;
        refused |= reply.status == 429;
        stage.witness.remember_members(&reply.json()?);
    }
    assert!(refused, "each claim counted as another client");
    Ok(())
}

#[tokio::test]
async fn each_trusted_hop_is_stepped_over_and_no_further() -> Result<()> {
    let stage = Stage::builder()?
        .behind_router()?
        .env("MCP_AUTH_PROXY_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")
        .env("MAX_REQUESTS", "3")
        .env("MAX_REQUESTS_WINDOW", "6000000")
        .open()
        .await?;
    let url = Url::parse(&format!("http://127.0.0.1:{}/reg", stage.proxy.port()))?;
    // What the client claims, its address, and two proxies of ours; the last one is the peer.
    let register = async |claim: u8, client: &str| {
        let chain = format!("198.51.100.{claim}, {client}, 10.0.0.7, 10.1.2.3");
        let request = Http::direct()?
            .post(&url)
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-for", chain)
            .json(&json!({ "redirect_uris": ["https://client.example/cb"] }));
        let reply = Reply::to(request).await?;
        stage.witness.remember_members(&reply.json()?);
        anyhow::Ok(reply.status.as_u16())
    };
    for claim in 0..3 {
        assert_eq!(register(claim, "203.0.113.50").await?, 201);
    }
    assert_eq!(register(3, "203.0.113.50").await?, 429);
    assert_eq!(register(3, "203.0.113.51").await?, 201);
    Ok(())
}

#[tokio::test]
async fn the_cookie_is_bound_to_the_host() -> Result<()> {
    let stage = Stage::builder()?.behind_router()?.open().await?;
    let client = stage.client().await?;
    let mut browser = stage.browser()?;
    browser.page(&client.authorization()?.url()).await?;
    assert_eq!(browser.set_cookies.len(), 1, "{:?}", browser.set_cookies);
    let cookie = browser.set_cookies[0].to_ascii_lowercase();
    assert!(cookie.starts_with("__host-"), "{cookie}");
    for attribute in ["httponly", "secure", "samesite=lax", "path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    Ok(())
}

async fn raw(stage: &Stage, request: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", stage.proxy.port())).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
