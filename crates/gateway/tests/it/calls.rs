//! What passes in a call, in both directions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::harness::{
    Arrived, Client, Proxy, Raw, Server, empty, fed, full, next, read, request, settings,
};

#[tokio::test]
async fn a_call_reaches_the_server_as_its_user() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let message = r#"{"jsonrpc":"2.0","id":9007199254740993,"params":{"a":1.0,"b":1e400}}"#;
    let mut call = request(Method::POST, "/mcp", full(message));
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", "session-1"),
        ("mcp-protocol-version", "2025-11-25"),
        ("last-event-id", "17"),
        ("host", "attacker.example"),
    ] {
        call.headers_mut().insert(name, value.parse().unwrap());
    }
    let answer = client.ask(call).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.headers["mcp-session-id"], "session-from-server");
    assert_eq!(answer.headers["x-request-id"], "request-1");

    let arrived = arrived.lock().unwrap().pop().unwrap();
    assert_eq!(arrived.method, Method::POST);
    assert_eq!(arrived.body, message);
    for (name, value) in [
        ("authorization", "bearer identity-0"),
        ("x-authorization-scope", "profile email"),
        ("x-dynamic-client-id", "client-a"),
        ("user-agent", "MCP-Auth-Proxy"),
        ("host", &server.address.to_string()),
        ("x-forwarded-host", "proxy.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-request-id", "request-1"),
        ("mcp-session-id", "session-1"),
        ("mcp-protocol-version", "2025-11-25"),
        ("last-event-id", "17"),
        ("accept", "application/json, text/event-stream"),
    ] {
        assert_eq!(arrived.header(name), value, "{name}");
    }
    assert_eq!(arrived.header("content-length"), message.len().to_string());
}

#[tokio::test]
async fn nothing_that_a_client_forges_arrives() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let mut call = request(Method::POST, "/mcp", full("{}"));
    let forged = [
        "x_authorization_scope",
        "x-authorization-scope",
        "x_dynamic_client_id",
        "x-forwarded-for",
        "x_forwarded_host",
        "forwarded",
        "remote_user",
        "x-remote-groups",
        "x-auth-request-email",
        "cookie",
        "referer",
        "sec-fetch-site",
        "x-request-id",
        "x-hop",
        "te",
    ];
    for name in forged {
        call.headers_mut().append(name, "forged".parse().unwrap());
    }
    call.headers_mut()
        .insert("connection", "x-hop".parse().unwrap());
    assert_eq!(client.ask(call).await.status, StatusCode::OK);
    let arrived = arrived.lock().unwrap().pop().unwrap();
    assert!(
        arrived.headers.values().all(|value| value != "forged"),
        "{:?}",
        arrived.headers
    );
}

#[tokio::test]
async fn sub_paths_queries_and_repeated_headers_are_kept() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&format!("{}?tenant=1", server.url())).await;
    let mut client = proxy.client().await;
    let mut call = request(Method::DELETE, "/mcp/a%20b/c?x=1&x=2", empty());
    for value in ["1", "2"] {
        call.headers_mut()
            .append("mcp-param-x", value.parse().unwrap());
    }
    client.ask(call).await;
    let arrived = arrived.lock().unwrap().pop().unwrap();
    assert_eq!(arrived.uri, "/mcp/a%20b/c?tenant=1&x=1&x=2");
    let values: Vec<_> = arrived.headers.get_all("mcp-param-x").iter().collect();
    assert_eq!(values, ["1", "2"]);
}

#[tokio::test]
async fn a_body_in_chunks_of_any_kind_arrives_whole_with_its_trailers() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    for method in [Method::POST, Method::GET] {
        let (feeder, body) = fed();
        let mut call = request(method, "/mcp", body);
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x-checksum, x_authorization_scope"),
        ] {
            call.headers_mut().insert(name, value.parse().unwrap());
        }
        let feeding = tokio::spawn(async move {
            let chunks = [b"\x00\xff".to_vec(), b"a".to_vec(), vec![7; 100_000]];
            for chunk in chunks {
                feeder.send(chunk).await.unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "1".parse().unwrap());
            trailers.insert("x_authorization_scope", "forged".parse().unwrap());
            feeder.trailers(trailers).await;
        });
        assert_eq!(client.ask(call).await.status, StatusCode::OK);
        feeding.await.unwrap();
        let arrived = arrived.lock().unwrap().pop().unwrap();
        assert_eq!(arrived.body.len(), 100_003);
        assert_eq!(&arrived.body[..3], b"\x00\xffa");
        let trailers = arrived.trailers.unwrap();
        assert_eq!(trailers["x-checksum"], "1");
        assert_eq!(trailers.len(), 1);
    }
}

#[tokio::test]
async fn a_server_does_not_speak_for_our_origin() {
    let server = Server::answering(|_| async {
        let (feeder, body) = fed();
        tokio::spawn(async move {
            feeder.send("x").await.unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("x-checksum", "1".parse().unwrap());
            trailers.insert("set-cookie", "a=b".parse().unwrap());
            feeder.trailers(trailers).await;
        });
        Response::builder()
            .header("set-cookie", "a=b")
            .header("set-cookie", "c=d")
            .header("access-control-allow-origin", "*")
            .header("alt-svc", "h3")
            .header("www-authenticate", "Bearer realm=\"inner\"")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("link", "<a>")
            .header("link", "<b>")
            .header("trailer", "x-checksum, set-cookie")
            .body(body)
            .unwrap()
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut call = request(Method::GET, "/mcp", empty());
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    let answer = proxy.client().await.ask(call).await;
    for name in [
        "set-cookie",
        "access-control-allow-origin",
        "alt-svc",
        "www-authenticate",
        "x-hop",
    ] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    assert_eq!(answer.headers.get_all("link").iter().count(), 2);
    let trailers = answer.trailers.unwrap();
    assert_eq!(trailers["x-checksum"], "1");
    assert_eq!(trailers.len(), 1);
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    let server = Server::answering(|request| async move {
        let status = match request.uri().path() {
            "/mcp/204" => StatusCode::NO_CONTENT,
            "/mcp/304" => StatusCode::NOT_MODIFIED,
            "/mcp/202" => StatusCode::ACCEPTED,
            _ => StatusCode::OK,
        };
        let body = if status == StatusCode::OK {
            full("12345")
        } else {
            empty()
        };
        Response::builder().status(status).body(body).unwrap()
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    for (method, path, status, length) in [
        (Method::HEAD, "/mcp", 200, Some("5")),
        (Method::GET, "/mcp/204", 204, None),
        (Method::GET, "/mcp/304", 304, None),
        (Method::POST, "/mcp/202", 202, Some("0")),
        (Method::GET, "/mcp", 200, Some("5")),
    ] {
        let answer = client.ask(request(method, path, empty())).await;
        assert_eq!(answer.status, status, "{path}");
        let got = answer
            .headers
            .get("content-length")
            .map(|value| value.to_str().unwrap());
        if length.is_some() {
            assert_eq!(got, length, "{path}");
        }
    }
    // They went over one connection: none of them was left half read.
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let server = Raw::scripted(|_, mut stream| async move {
        Raw::request(&mut stream).await;
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n";
        Raw::reply(&mut stream, interim).await;
        Raw::reply(
            &mut stream,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let answer = proxy.client().await.post("/mcp", "{}").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn large_bodies_pass_unchanged() {
    let server = Server::answering(|request| async move {
        let arrived = Arrived::read(request).await;
        let body = if arrived.body.is_empty() {
            Bytes::from(pattern(10 << 20))
        } else {
            arrived.body
        };
        Response::new(full(body))
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let answer = client.get("/mcp").await;
    assert!(answer.body == pattern(10 << 20));
    for size in [1 << 20, (1 << 20) + 1, 5 << 20] {
        let answer = client.post("/mcp", pattern(size)).await;
        assert!(answer.body == pattern(size), "{size}");
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size)
        .map(|index| u8::try_from(index % 251).unwrap())
        .collect()
}

/// What a client does not read is not read from the server either (and not gathered in memory);
/// the same towards the server.
#[tokio::test]
async fn whoever_reads_slowly_slows_the_sender_down() {
    const CHUNK: usize = 1 << 16;
    let produced = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&produced);
    let server = Server::answering(move |request| {
        let count = Arc::clone(&count);
        async move {
            if request.method() == Method::POST {
                // Never reads the body.
                std::future::pending::<()>().await;
            }
            let (feeder, body) = fed();
            tokio::spawn(async move {
                while feeder.send(vec![0; CHUNK]).await.is_ok() {
                    count.fetch_add(CHUNK, Ordering::SeqCst);
                }
            });
            Response::new(body)
        }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut reader = proxy.client().await;
    let mut response = reader.send(request(Method::GET, "/mcp", empty())).await;
    next(&mut response).await.unwrap().unwrap();
    let at_rest = rests(&produced).await;
    assert!(at_rest < 64 << 20, "{at_rest}");

    let sent = Arc::new(AtomicUsize::new(0));
    let (feeder, body) = fed();
    let count = Arc::clone(&sent);
    tokio::spawn(async move {
        while feeder.send(vec![0; CHUNK]).await.is_ok() {
            count.fetch_add(CHUNK, Ordering::SeqCst);
        }
    });
    let mut writer = proxy.client().await;
    let call = tokio::spawn(async move {
        writer.send(request(Method::POST, "/mcp", body)).await;
    });
    let at_rest = rests(&sent).await;
    assert!(at_rest < 64 << 20, "{at_rest}");
    call.abort();
}

/// Waits until a counter that has begun no longer moves.
async fn rests(counter: &AtomicUsize) -> usize {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = counter.load(Ordering::SeqCst);
        if now > 0 && now == last {
            return now;
        }
        last = now;
    }
}

#[tokio::test]
async fn a_redirect_within_the_server_leads_back_to_us() {
    let server = Server::answering(|request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        Response::builder()
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header("location", format!("http://{host}/mcp/"))
            .body(empty())
            .unwrap()
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let answer = proxy.client().await.post("/mcp", "{}").await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.headers["location"], "https://proxy.example/mcp/");
}

#[tokio::test]
async fn a_public_path_passes_without_token_and_identity() {
    let (server, arrived) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = Client::connect(proxy.address).await;
    let path = "/.well-known/openai-apps-challenge";
    let mut call = request(Method::GET, path, empty());
    for (name, value) in [
        ("authorization", "Bearer something"),
        ("cookie", "a=b"),
        ("x-authorization-scope", "admin"),
    ] {
        call.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(client.ask(call).await.text(), "ok");
    {
        let arrived = arrived.lock().unwrap();
        assert_eq!(arrived[0].uri, path);
        for name in [
            "authorization",
            "cookie",
            "x-authorization-scope",
            "x-dynamic-client-id",
        ] {
            assert!(!arrived[0].headers.contains_key(name), "{name}");
        }
        assert_eq!(arrived[0].header("host"), server.address.to_string());
    }
    let answer = client.post(path, "{}").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "GET, HEAD");
    assert_eq!(arrived.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_at_another_path_than_ours_is_reached_there() {
    let (server, arrived) = Server::recording().await;
    let mut settings = settings(&server.url());
    settings.servers[0].path = "/tools/one".to_owned();
    let proxy = Proxy::with(settings).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("/tools/one/x?y").await.status, StatusCode::OK);
    assert_eq!(arrived.lock().unwrap()[0].uri, "/mcp/x?y");
    let elsewhere = client.send(request(Method::GET, "/mcp", empty())).await;
    assert_eq!(read(elsewhere).await.unwrap().status, StatusCode::NOT_FOUND);
}
