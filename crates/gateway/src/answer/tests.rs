use http_body_util::BodyExt as _;

use super::*;

fn place() -> ChallengePlace {
    ChallengePlace {
        resource_metadata: "https://p.example/.well-known/oauth-protected-resource/mcp".to_owned(),
        scopes: ScopeSet::parse("openid").unwrap(),
    }
}

async fn text(response: Response<GatewayBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn faults_are_json_rpc_errors_with_a_reference() {
    let response = Refusal::Upstream(UpstreamError::Timeout).into_response("ref-1");
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["jsonrpc"], "2.0");
    assert_eq!(body["id"], serde_json::Value::Null);
    assert_eq!(body["error"]["code"], -32001);
    assert_eq!(body["error"]["data"]["reference"], "ref-1");
}

#[test]
fn a_passing_fault_says_when_to_come_back() {
    for (after, expected) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (5000, "5")] {
        let refusal = Refusal::Later("later", Duration::from_millis(after));
        let response = refusal.into_response("r");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], expected, "{after}");
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }
}

#[test]
fn a_first_call_is_challenged_without_an_error() {
    let response = Refusal::NoToken(place()).into_response("r");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.contains("resource_metadata=") && challenge.contains("scope=\"openid\""));
    assert!(!challenge.contains("error"));
}

#[tokio::test]
async fn a_browser_gets_the_same_401_as_a_page() {
    let page = ConnectPage {
        html: Bytes::from_static(b"<h1>connect</h1>"),
        policy: HeaderValue::from_static("default-src 'none'"),
    };
    let response = Refusal::Browser(place(), page).into_response("r");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let headers = response.headers();
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'none'");
    assert_eq!(headers[CACHE_CONTROL], "no-store");
    assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert!(headers.contains_key(WWW_AUTHENTICATE));
    assert_eq!(text(response).await, "<h1>connect</h1>");
}

#[test]
fn a_browser_is_known_by_what_it_accepts() {
    for (accept, expected) in [
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true),
        ("Text/HTML", true),
        ("application/json, text/event-stream", false),
        ("text/html, text/event-stream", false),
        ("*/*", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(is_browser(&headers), expected, "{accept}");
    }
    assert!(!is_browser(&HeaderMap::new()));
}
