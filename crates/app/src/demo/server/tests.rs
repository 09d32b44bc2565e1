use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{DemoServer, start};

async fn running() -> DemoServer {
    start(CancellationToken::new()).await.unwrap()
}

fn request(server: &DemoServer, message: &Value) -> RequestBuilder {
    first_request(server, message).header("mcp-protocol-version", "2025-06-18")
}

/// A client's first request bears no version yet.
fn first_request(server: &DemoServer, message: &Value) -> RequestBuilder {
    Client::new()
        .post(server.url.clone())
        .header("accept", "application/json, text/event-stream")
        .json(message)
}

fn call(tool: &str, arguments: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    })
}

async fn result_of(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    let mut answer: Value = response.json().await.unwrap();
    assert_eq!(answer["jsonrpc"], "2.0");
    answer["result"].take()
}

#[tokio::test]
async fn clients_of_several_years_find_the_tools() {
    let server = running().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let initialize = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": version, "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            },
        });
        let result = result_of(first_request(&server, &initialize).send().await.unwrap()).await;
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "mcp-auth-proxy-demo");
    }
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let response = request(&server, &initialized).send().await.unwrap();
    assert_eq!(response.status(), 202);

    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let result = result_of(request(&server, &list).send().await.unwrap()).await;
    let names: Vec<&str> = result["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["add", "count", "echo", "whoami"]);
}

#[tokio::test]
async fn simple_tools_answer() {
    let server = running().await;
    let cases = [
        ("echo", json!({ "message": "héllo" }), "héllo"),
        ("add", json!({ "a": 40, "b": 2 }), "42"),
        ("add", json!({ "a": 0.5, "b": -1 }), "-0.5"),
    ];
    for (tool, arguments, text) in cases {
        let response = request(&server, &call(tool, &arguments)).send().await;
        let result = result_of(response.unwrap()).await;
        assert_eq!(result["content"][0]["text"], text);
    }
}

#[tokio::test]
async fn whoami_shows_claims_and_headers_but_no_secret() {
    let server = running().await;
    let payload = URL_SAFE_NO_PAD.encode(json!({ "sub": "demo", "groups": ["a"] }).to_string());
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl");
    let response = request(&server, &call("whoami", &json!({})))
        .header("authorization", format!("bearer {token}"))
        .header("cookie", "session=s3cret")
        .header("x-authorization-scope", "openid email")
        .send()
        .await
        .unwrap();
    let result = result_of(response).await;
    let seen = &result["structuredContent"];
    assert_eq!(seen["identity"]["sub"], "demo");
    assert_eq!(seen["identity"]["groups"], json!(["a"]));
    assert_eq!(seen["headers"]["x-authorization-scope"], "openid email");
    let expected = format!("bearer ({} characters)", token.len());
    assert_eq!(seen["headers"]["authorization"], expected.as_str());
    assert_eq!(seen["headers"]["cookie"], "(14 characters)");
    let whole = result.to_string();
    assert!(
        !whole.contains(&payload) && !whole.contains("s3cret"),
        "{whole}"
    );
}

#[tokio::test]
async fn whoami_says_so_when_nobody_is_named() {
    let server = running().await;
    for authorization in [
        None,
        Some("Basic dTpw"),
        Some("Bearer opaque"),
        Some("Bearer a.!.c"),
    ] {
        let mut request = request(&server, &call("whoami", &json!({})));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let result = result_of(request.send().await.unwrap()).await;
        let identity = result["structuredContent"]["identity"].as_str().unwrap();
        assert!(identity.contains("no JWT"), "{identity}");
        assert!(!result.to_string().contains("dTpw"));
    }
}

#[tokio::test]
async fn count_streams_progress_before_its_result() {
    let server = running().await;
    let mut message = call("count", &json!({ "to": 3, "interval_ms": 1 }));
    message["params"]["_meta"] = json!({ "progressToken": "p" });
    let response = request(&server, &message).send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let messages: Vec<Value> = response
        .text()
        .await
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
        .collect();
    let progress: Vec<f64> = messages
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| message["params"]["progress"].as_f64().unwrap())
        .collect();
    assert_eq!(progress, [1.0, 2.0, 3.0]);
    let last = messages.last().unwrap();
    assert_eq!(last["result"]["content"][0]["text"], "counted to 3");
}

#[tokio::test]
async fn count_keeps_its_bounds() {
    let server = running().await;
    for arguments in [
        json!({ "to": 0 }),
        json!({ "to": 1, "interval_ms": 60_000 }),
    ] {
        let response = request(&server, &call("count", &arguments)).send().await;
        let result = result_of(response.unwrap()).await;
        assert_eq!(result["isError"], true, "{arguments}");
    }
}

#[tokio::test]
async fn a_host_of_elsewhere_is_refused() {
    let server = running().await;
    let response = request(&server, &call("whoami", &json!({})))
        .header("host", "rebound.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
}

#[tokio::test]
async fn it_ends_when_told() {
    let closing = CancellationToken::new();
    let server = start(closing.clone()).await.unwrap();
    closing.cancel();
    server.task.await.unwrap();
}
