//! Connections to the MCP server: used again, mended where that is safe, and what a client is
//! told where there is none.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Response, StatusCode};
use tokio::net::TcpListener;

use crate::harness::{Answer, Proxy, Raw, Server, Tls, empty, fed, full, request, settings};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn one_after_the_other_they_share_a_connection() {
    let (server, _) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.post("/mcp", "{}").await.status, StatusCode::OK);
        assert_eq!(client.get("/mcp").await.status, StatusCode::OK);
    }
    assert_eq!(server.connections(), 1);
}

/// Also where several threads take and give back at once: no more than are in use at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_need_no_more_connections_than_there_are_calls() {
    let (server, _) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut clients = Vec::new();
    for _ in 0..32 {
        clients.push(proxy.client().await);
    }
    let rounds = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            for _ in 0..20 {
                assert_eq!(client.post("/mcp", "{}").await.status, StatusCode::OK);
            }
        })
    });
    for round in futures_util::future::join_all(rounds).await {
        round.unwrap();
    }
    assert!(server.connections() <= 32, "{}", server.connections());
}

/// The server answers one request on each connection and closes it without a word once the next
/// one has been sent: as a server does whose idle time has just run out.
#[tokio::test]
async fn a_connection_that_went_stale_is_not_the_clients_matter() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&requests);
    let server = Raw::scripted(move |_, mut stream| {
        let record = Arc::clone(&record);
        async move {
            let first = Raw::request(&mut stream).await.unwrap();
            record.lock().unwrap().push(first);
            Raw::reply(&mut stream, OK).await;
            Raw::request(&mut stream).await;
        }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    for number in 0..5 {
        let body = format!("message {number}");
        let answer = client.post("/mcp", body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{number}");
        assert!(requests.lock().unwrap().last().unwrap().ends_with(&body));
    }
    assert_eq!(server.connections(), 5);
    assert_eq!(requests.lock().unwrap().len(), 5);
}

/// All idle connections of a server that was restarted are stale at once.
#[tokio::test]
async fn a_restarted_server_costs_no_call() {
    let server = Raw::scripted(|number, mut stream| async move {
        Raw::request(&mut stream).await;
        Raw::reply(&mut stream, OK).await;
        if number < 8 {
            Raw::request(&mut stream).await;
        } else {
            while Raw::request(&mut stream).await.is_some() {
                Raw::reply(&mut stream, OK).await;
            }
        }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(proxy.client().await);
    }
    for _ in 0..4 {
        let calls = clients.iter_mut().map(|client| client.post("/mcp", "{}"));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    }
}

/// A call that the server took up and died over is not made twice.
#[tokio::test]
async fn a_call_that_may_have_had_an_effect_is_not_repeated() {
    let posts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&posts);
    let server = Raw::scripted(move |_, mut stream| {
        let count = Arc::clone(&count);
        async move {
            let mut first = true;
            while let Some(request) = Raw::request(&mut stream).await {
                if std::mem::replace(&mut first, false) && request.starts_with("GET") {
                    Raw::reply(&mut stream, OK).await;
                    continue;
                }
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(700)).await;
                return;
            }
        }
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    // On a connection that was used before, after a while of work.
    assert_eq!(client.get("/mcp").await.status, StatusCode::OK);
    assert_closed(&client.post("/mcp", "{}").await);
    assert_eq!((posts.load(Ordering::SeqCst), server.connections()), (1, 1));
    // On a new one at any time.
    assert_closed(&client.post("/mcp", "{}").await);
    assert_eq!((posts.load(Ordering::SeqCst), server.connections()), (2, 2));
}

fn assert_closed(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(
        answer
            .text()
            .contains("closed the connection without an answer")
    );
}

/// Part of an answer is an answer: the request had its effect.
#[tokio::test]
async fn a_call_whose_answer_has_begun_is_not_repeated() {
    let server = Raw::scripted(|_, mut stream| async move {
        Raw::request(&mut stream).await;
        Raw::reply(&mut stream, OK).await;
        Raw::request(&mut stream).await;
        Raw::reply(&mut stream, "HTTP/1.1 200 OK\r\nContent-Le").await;
    })
    .await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    assert_eq!(client.post("/mcp", "{}").await.status, StatusCode::OK);
    assert_closed(&client.post("/mcp", "{}").await);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_named_with_the_cure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::before(&format!("http://{address}/mcp")).await;
    let mut client = proxy.client().await;
    for method in [Method::POST, Method::GET] {
        let answer = client.ask(request(method, "/mcp", full("{}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(answer.headers["content-type"], "application/json");
        let error = answer.json();
        assert_eq!(error["jsonrpc"], "2.0");
        assert_eq!(error["error"]["code"], -32000);
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("MCP_SERVER_URL")
        );
        assert_eq!(error["error"]["data"]["reference"], "request-1");
        assert!(!answer.text().contains(&address.to_string()));
    }
    // It comes up: nothing of the failure is left.
    let listener = TcpListener::bind(address).await.unwrap();
    let _server = Server::at(listener, None, |_| async { Response::new(full("up")) });
    assert_eq!(client.post("/mcp", "{}").await.text(), "up");
}

#[tokio::test]
async fn what_is_no_http_is_said_to_be_none() {
    for reply in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    ] {
        let server = Raw::scripted(move |_, mut stream| async move {
            Raw::request(&mut stream).await;
            Raw::reply(&mut stream, reply).await;
            Raw::request(&mut stream).await;
        })
        .await;
        let proxy = Proxy::before(&server.url()).await;
        let answer = proxy.client().await.post("/mcp", "{}").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{reply}");
        assert!(answer.text().contains("not valid HTTP/1.1"), "{reply}");
    }
}

#[tokio::test]
async fn localhost_is_tried_in_both_families() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        // A machine without IPv6 has one family only.
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let _server = Server::at(listener, None, |request| async move {
        Response::new(full(request.headers()["host"].as_bytes().to_vec()))
    });
    let proxy = Proxy::before(&format!("http://localhost:{port}/mcp")).await;
    let answer = proxy.client().await.get("/mcp").await;
    assert_eq!(answer.text(), format!("localhost:{port}"));
}

/// The rest of the request is still under way: what the server does with it is not known.
#[tokio::test]
async fn a_connection_answered_early_is_not_used_again() {
    let server = Server::answering(|_| async { Response::new(full("early")) }).await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    let (feeder, body) = fed();
    let call = request(Method::POST, "/mcp", body);
    let (answer, sent) = tokio::join!(client.ask(call), feeder.send("begun"));
    assert_eq!((answer.text(), sent), ("early", Ok(())));
    let mut other = proxy.client().await;
    assert_eq!(other.get("/mcp").await.text(), "early");
    assert_eq!(server.connections(), 2);
    drop(feeder);
}

#[tokio::test]
async fn a_server_behind_tls_is_checked_against_the_operators_roots() {
    let tls = Tls::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let _server = Server::at(listener, Some(tls.acceptor), |_| async {
        Response::new(full("secret"))
    });
    let url = format!("https://localhost:{port}/mcp");
    let unknown = Proxy::before(&url).await;
    let answer = unknown.client().await.get("/mcp").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);

    let mut known = settings(&url);
    known.ca_certificates = vec![tls.root.clone()];
    let answer = Proxy::with(known).await.client().await.get("/mcp").await;
    assert_eq!(answer.text(), "secret");

    let mut other_name = settings(&format!("https://127.0.0.1:{port}/mcp"));
    other_name.ca_certificates = vec![tls.root];
    let answer = Proxy::with(other_name)
        .await
        .client()
        .await
        .get("/mcp")
        .await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn at_a_drain_idle_connections_hold_nothing_up() {
    let (server, _) = Server::recording().await;
    let proxy = Proxy::before(&server.url()).await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("/mcp").await.status, StatusCode::OK);
    proxy.closing.cancel();
    // A call that comes late is still answered.
    assert_eq!(client.get("/mcp").await.status, StatusCode::OK);
    proxy.tasks.close();
    crate::harness::soon(proxy.tasks.wait()).await;
    assert_eq!(
        client
            .ask(request(Method::GET, "/mcp", empty()))
            .await
            .status,
        StatusCode::OK
    );
}
