use domain::secret::SecretString;
use proptest::prelude::*;

use super::*;

const BASE: &str = "https://proxy.example:8443/p";

fn context(address: &str) -> RequestContext {
    RequestContext::new("request-1".into(), address.parse().unwrap())
}

fn prepared(asked: &[(&str, &str)], address: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in asked {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    let server = Url::parse("http://localhost:3000/mcp").unwrap();
    let client = ClientId::parse("client-1").unwrap();
    RequestHeaders::new(&server, &BaseUrl::parse(BASE).unwrap()).prepare(
        &mut headers,
        &context(address),
        Some(&client),
    );
    headers
}

#[test]
fn a_server_is_told_who_asks_and_how() {
    let mut headers = prepared(
        &[("host", "evil.example"), ("accept", "text/html")],
        "192.0.2.7",
    );
    let token = IdentityToken {
        version: 1,
        access_token: SecretString::new("abc"),
        scope: "read write".into(),
        expires_at: None,
    };
    IdentityHeaders::new(&token).unwrap().set(&mut headers);
    for (name, value) in [
        ("authorization", "bearer abc"),
        ("x-authorization-scope", "read write"),
        ("x-dynamic-client-id", "client-1"),
        ("user-agent", "MCP-Auth-Proxy"),
        ("accept", "text/html"),
        ("host", "localhost:3000"),
        ("x-request-id", "request-1"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "proxy.example:8443"),
        ("x-forwarded-proto", "https"),
        (
            "forwarded",
            "for=192.0.2.7;host=\"proxy.example:8443\";proto=https",
        ),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(headers["authorization"].is_sensitive());
    assert_eq!(headers.len(), 11);
}

#[test]
fn addresses_are_written_as_the_rfc_wants_them() {
    let headers = prepared(&[], "2001:db8::1");
    assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
    let forwarded = headers["forwarded"].to_str().unwrap();
    assert!(
        forwarded.starts_with("for=\"[2001:db8::1]\";"),
        "{forwarded}"
    );
    let mapped = prepared(&[], "::ffff:192.0.2.7");
    assert_eq!(mapped["x-forwarded-for"], "192.0.2.7");
}

#[test]
fn what_a_server_might_trust_is_taken_out_in_any_spelling() {
    let names = [
        "Authorization",
        "Cookie",
        "Origin",
        "Referer",
        "Sec-Fetch-Site",
        "sec_websocket_key",
        "Forwarded",
        "X-Forwarded-User",
        "X_Forwarded_For",
        "X-Auth-Request-Email",
        "x_auth_request_user",
        "X-Remote-User",
        "Remote_User",
        "Remote-Groups",
        "X_WebAuth_User",
        "X-Authentik-Username",
        "X-Amzn-Oidc-Identity",
        "X-Goog-Authenticated-User-Email",
        "X-Goog-IAP-JWT-Assertion",
        "X-MS-Client-Principal",
        "X-MS-Client-Principal-Name",
        "Cf-Access-Authenticated-User-Email",
        "CF-Connecting-IP",
        "X-Vouch-User",
        "X-Pomerium-Claim-Email",
        "SSL-Client-S-DN",
        "X_SSL_Client_Verify",
        "Client-Cert",
        "X-HTTP-Method-Override",
        "x_method_override",
        "x_authorization_scope",
        "x_authorization-scope",
        "X-Dynamic_Client_Id",
        "x_request_id",
        "X-Real-IP",
        "x_client_ip",
        "True-Client-IP",
        "X-Forwarded",
        "X-Original-URL",
        "x_original_host",
        "X-Rewrite-Url",
        "content_length",
        "transfer_encoding",
        "Host_",
        "Proxy",
        "Expect",
        "TE",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "HTTP2-Settings",
    ];
    for name in names.into_iter().filter(|name| *name != "Host_") {
        let headers = prepared(&[(name, "forged")], "192.0.2.7");
        assert!(headers.values().all(|value| value != "forged"), "{name}");
    }
}

#[test]
fn everything_else_passes_every_value_of_it() {
    let passing = [
        ("mcp-session-id", "s"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-param-x", "1"),
        ("mcp-param-x", "2"),
        ("last-event-id", "7"),
        ("traceparent", "00-1"),
        ("x_custom", "kept"),
        ("user-agent", "client/1"),
        ("content-type", "application/json"),
        ("content-length", "12"),
    ];
    let headers = prepared(&passing, "192.0.2.7");
    for (name, value) in passing {
        assert!(headers.get_all(name).iter().any(|it| it == value), "{name}");
    }
}

#[test]
fn what_connection_names_goes_with_it_but_nothing_of_ours() {
    let headers = prepared(
        &[
            ("connection", "close, X-Hop, x-request-id"),
            ("connection", "Host , content-length"),
            ("x-hop", "1"),
            ("content-length", "3"),
        ],
        "192.0.2.7",
    );
    assert!(!headers.contains_key("connection") && !headers.contains_key("x-hop"));
    assert_eq!(headers["x-request-id"], "request-1");
    assert_eq!(headers["host"], "localhost:3000");
    assert_eq!(headers["content-length"], "3");
}

#[test]
fn a_server_behind_us_does_not_speak_for_our_origin() {
    let mut headers = HeaderMap::new();
    for name in [
        "set-cookie",
        "clear-site-data",
        "service-worker-allowed",
        "alt-svc",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "www-authenticate",
        "connection",
        "transfer-encoding",
        "keep-alive",
        "upgrade",
        "x-request-id",
    ] {
        headers.insert(name, HeaderValue::from_static("x-hop"));
    }
    headers.insert("x-hop", HeaderValue::from_static("1"));
    headers.insert("mcp-session-id", HeaderValue::from_static("s"));
    clean_response(&mut headers);
    let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["mcp-session-id"]);
}

#[test]
fn trailers_hold_nothing_that_headers_may_not() {
    let trailers = || {
        let mut trailers = HeaderMap::new();
        for name in [
            "x-authorization-scope",
            "x_forwarded_for",
            "authorization",
            "content-length",
            "host",
            "set-cookie",
            "x-checksum",
        ] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        trailers
    };
    let mut request = trailers();
    clean_request_trailers(&mut request);
    let mut left: Vec<_> = request.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["set-cookie", "x-checksum"]);
    let mut response = trailers();
    clean_response_trailers(&mut response);
    assert!(response.contains_key("x-checksum") && !response.contains_key("set-cookie"));
}

#[test]
fn a_redirect_within_the_server_leads_to_us() {
    let server = Url::parse("http://localhost:3000/mcp").unwrap();
    let base_url = BaseUrl::parse(BASE).unwrap();
    let target = Target::new(&server, "/p/mcp");
    for (location, expected) in [
        (
            "http://localhost:3000/mcp/",
            "https://proxy.example:8443/p/mcp/",
        ),
        (
            "http://localhost:3000/mcp/a?b#c",
            "https://proxy.example:8443/p/mcp/a?b#c",
        ),
        ("/mcp/a", "/p/mcp/a"),
        ("http://localhost:3000/other", "http://localhost:3000/other"),
        (
            "https://elsewhere.example/mcp",
            "https://elsewhere.example/mcp",
        ),
        ("//localhost:3000/mcp", "//localhost:3000/mcp"),
        ("sub", "sub"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
        rewrite_location(&mut headers, &server, &target, &base_url);
        assert_eq!(headers[LOCATION], expected, "{location}");
    }
}

#[test]
fn event_streams_are_known_by_their_type() {
    for (value, expected) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; charset=utf-8", true),
        ("application/json", false),
        ("text/event-streams", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(value));
        assert_eq!(is_event_stream(&headers), expected, "{value}");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_not_sent() {
    let token = IdentityToken {
        version: 1,
        access_token: SecretString::new("a\nb"),
        scope: "".into(),
        expires_at: None,
    };
    assert_eq!(IdentityHeaders::new(&token).err(), Some(UnsendableToken));
}

proptest! {
    #[test]
    fn no_spelling_of_a_header_of_ours_passes(
        name in prop::sample::select(vec![
            "authorization", "x-authorization-scope", "x-dynamic-client-id", "x-forwarded-for",
            "x-forwarded-host", "x-request-id", "remote-user", "x-remote-groups", "forwarded",
            "x-auth-request-user", "host", "content-length",
        ]),
        joints in prop::collection::vec(prop::sample::select(vec!['-', '_', '.', '~', '!']), 24),
        upper in prop::collection::vec(any::<bool>(), 24),
    ) {
        let spelled: String = name
            .chars()
            .zip(joints)
            .zip(upper)
            .map(|((character, joint), upper)| match character {
                '-' => joint,
                other if upper => other.to_ascii_uppercase(),
                other => other,
            })
            .collect();
        prop_assume!(!spelled.eq_ignore_ascii_case("content-length"));
        let headers = prepared(&[(&spelled, "forged")], "192.0.2.7");
        prop_assert!(headers.values().all(|value| value != "forged"));
    }
}
