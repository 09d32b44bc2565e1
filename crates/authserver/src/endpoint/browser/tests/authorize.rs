use axum::http::{Request, StatusCode, header};
use domain::redirect_uri::AllowedRedirectHosts;
use url::Url;

use super::world::{Browser, LOOPBACK, Plan, REDIRECT, World, assert_error, authorize, parameter};

async fn ask(world: &World, changes: &[(&str, Option<&str>)]) -> super::world::Reply {
    Browser::default().get(world, &authorize(changes)).await
}

#[tokio::test]
async fn faults_of_the_target_are_shown_and_never_redirected() {
    let world = World::new().await;
    for (changes, text) in [
        (vec![("client_id", None)], "did not say who it is"),
        (
            vec![("redirect_uri", Some("https://evil.example/callback"))],
            "return address is not the client",
        ),
        (
            vec![("redirect_uri", Some("https://client.example.org/callback/"))],
            "return address is not the client",
        ),
        (
            vec![("redirect_uri", Some("javascript:alert(1)"))],
            "return address is not valid",
        ),
        (vec![("redirect_uri", None)], "did not say where to return"),
        // Even where the rest is wrong too.
        (
            vec![
                ("redirect_uri", Some("https://evil.example/")),
                ("response_type", Some("token")),
            ],
            "return address is not the client",
        ),
    ] {
        let reply = ask(&world, &changes).await;
        reply.assert_problem(StatusCode::BAD_REQUEST, text);
    }
    let twice = format!("{}&redirect_uri=https://evil.example/", authorize(&[]));
    let reply = Browser::default().get(&world, &twice).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "contradicts itself");
    let twice = format!("{}&client_id=other", authorize(&[]));
    let reply = Browser::default().get(&world, &twice).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "contradicts itself");
}

#[tokio::test]
async fn an_unknown_client_gets_its_cure() {
    let world = World::new().await;
    let changes = [
        ("client_id", Some("forgotten")),
        ("redirect_uri", Some("http://localhost:3334/oauth/callback")),
    ];
    let reply = ask(&world, &changes).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "does not know your client");
    assert!(
        reply.body.contains("rm -rf ~&#x2f;.mcp-auth"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains("<code>forgotten</code>"));

    let hostile = [("client_id", Some("<script>alert(1)</script>"))];
    let reply = ask(&world, &hostile).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "&lt;script&gt;");
    assert!(!reply.body.contains("<script"));
}

#[tokio::test]
async fn a_client_with_a_document_is_told_that_it_is_turned_off() {
    let world = World::new().await;
    let changes = [("client_id", Some("https://goose-docs.ai/oauth/client.json"))];
    let reply = ask(&world, &changes).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "turned off");
}

#[tokio::test]
async fn faults_of_the_request_go_to_the_client() {
    let world = World::of(trusting()).await;
    let long = "x".repeat(8001);
    for (changes, error) in [
        (
            vec![("response_type", Some("token"))],
            "unsupported_response_type",
        ),
        (vec![("response_type", None)], "invalid_request"),
        (vec![("response_mode", Some("fragment"))], "invalid_request"),
        (vec![("code_challenge", None)], "invalid_request"),
        (vec![("code_challenge", Some("short"))], "invalid_request"),
        (
            vec![("code_challenge_method", Some("plain"))],
            "invalid_request",
        ),
        (vec![("code_challenge_method", None)], "invalid_request"),
        (vec![("request", Some("eyJ"))], "request_not_supported"),
        (
            vec![("request_uri", Some("urn:x"))],
            "request_uri_not_supported",
        ),
        (
            vec![("resource", Some("https://other.example/mcp"))],
            "invalid_target",
        ),
        (
            vec![("resource", Some("https://mcp.example.com"))],
            "invalid_target",
        ),
        (
            vec![("resource", Some("https://mcp.example.com/mcpx"))],
            "invalid_target",
        ),
        (vec![("scope", Some("openid \"x"))], "invalid_scope"),
        (vec![("prompt", Some("none"))], "login_required"),
        (vec![("prompt", Some("none login"))], "invalid_request"),
        (vec![("max_age", Some("+5"))], "invalid_request"),
        (vec![("nonce", Some(long.as_str()))], "invalid_request"),
    ] {
        let reply = ask(&world, &changes).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{changes:?}");
        assert_error(&Url::parse(&reply.location()).unwrap(), error);
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert!(!reply.headers.contains_key(header::SET_COOKIE));
    }
    let twice = format!("{}&scope=openid&scope=email", authorize(&[]));
    let reply = Browser::default().get(&world, &twice).await;
    assert_error(&Url::parse(&reply.location()).unwrap(), "invalid_request");
    // A state that was given twice is given back to nobody.
    let twice = format!("{}&state=other", authorize(&[]));
    let reply = Browser::default().get(&world, &twice).await;
    let url = Url::parse(&reply.location()).unwrap();
    assert_eq!(parameter(&url, "state"), None);
}

/// A plan in which the operator vouches for the client's website.
fn trusting() -> Plan {
    Plan {
        hosts: AllowedRedirectHosts::parse("client.example.org").unwrap(),
        ..Plan::default()
    }
}

#[tokio::test]
async fn faults_take_nobody_to_a_website_that_nobody_vouches_for() {
    let world = World::new().await;
    for (name, value) in [("response_type", "token"), ("prompt", "none")] {
        let reply = ask(&world, &[(name, Some(value))]).await;
        reply.assert_page(StatusCode::BAD_REQUEST, "asked for something wrong");
        assert!(!reply.body.contains("http-equiv=\"refresh\""));
        let url = reply.way_back();
        assert_eq!(
            parameter(&url, "state").as_deref(),
            Some("client state &+=")
        );
        assert!(parameter(&url, "error").is_some());
    }
    let loopback = [("redirect_uri", Some(LOOPBACK)), ("prompt", Some("none"))];
    let reply = ask(&world, &loopback).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(reply.location().starts_with(LOOPBACK));
}

#[tokio::test]
async fn all_names_of_the_resource_are_taken() {
    let world = World::new().await;
    for resource in [
        None,
        Some("https://mcp.example.com/mcp"),
        Some("https://mcp.example.com/mcp/"),
        Some("https://mcp.example.com/mcp?session=1"),
        Some("https://MCP.example.com:443/mcp/sub/path"),
    ] {
        Browser::default()
            .begin(&world, &[("resource", resource)])
            .await;
    }
    let twice = format!(
        "{}&resource=https://mcp.example.com/mcp&resource=https://mcp.example.com/mcp/",
        authorize(&[])
    );
    let reply = Browser::default().get(&world, &twice).await;
    assert!(reply.location().starts_with("/interaction/"));
}

#[tokio::test]
async fn the_loopback_port_is_free_and_unknown_prompts_and_scopes_are_ignored() {
    let world = World::new().await;
    Browser::default()
        .begin(
            &world,
            &[
                ("redirect_uri", Some(LOOPBACK)),
                ("prompt", Some("consent confirm-login something")),
                ("scope", Some("openid mcp:tools")),
                ("response_mode", Some("query")),
            ],
        )
        .await;
}

/// RFC 6749 §3.1: what is not known is ignored, and what has no value was not sent.
#[tokio::test]
async fn unknown_and_empty_parameters_do_not_count() {
    let world = World::new().await;
    let page = Browser::default()
        .begin(
            &world,
            &[
                ("authorization_details", Some("[{\"type\":\"x\"}]")),
                ("x-unheard-of", Some("\u{1f600} &=")),
                ("request", Some("")),
                ("resource", Some("")),
                ("scope", Some("")),
                ("prompt", Some("")),
                ("max_age", Some("")),
            ],
        )
        .await;
    assert!(page.starts_with("/interaction/"), "{page}");
    // Nor is an empty one there where it is needed.
    let reply = ask(&world, &[("client_id", Some(""))]).await;
    reply.assert_problem(StatusCode::BAD_REQUEST, "did not say who it is");
    let reply = ask(&world, &[("code_challenge", Some(""))]).await;
    assert_error(&reply.way_back(), "invalid_request");
}

/// OAuth 2.1 §1.7.1: what fits into a request line of 8000 octets is read.
#[tokio::test]
async fn a_state_that_fills_a_request_line_comes_back() {
    let world = World::new().await;
    let room = 8000 - authorize(&[("state", Some(""))]).len() - "GET  HTTP/1.1".len();
    let state = "s".repeat(room);
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[("state", Some(&state))]).await;
    let reply = browser.post(&world, &format!("{page}/abort"), &[]).await;
    let url = reply.way_back();
    assert_eq!(parameter(&url, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&url, "state"), Some(state));
}

#[tokio::test]
async fn a_only_redirect_uri_goes_without_saying() {
    let world = World::new().await;
    world.register("single", "Single", &[REDIRECT]).await;
    Browser::default()
        .begin(
            &world,
            &[("client_id", Some("single")), ("redirect_uri", None)],
        )
        .await;
}

#[tokio::test]
async fn a_newer_rule_on_hosts_holds_for_older_registrations() {
    let world = World::of(Plan {
        hosts: AllowedRedirectHosts::parse("claude.ai").unwrap(),
        ..Plan::default()
    })
    .await;
    let reply = ask(&world, &[]).await;
    reply.assert_problem(StatusCode::FORBIDDEN, "does not send people there");
    // Loopback always may.
    Browser::default()
        .begin(&world, &[("redirect_uri", Some(LOOPBACK))])
        .await;
}

#[tokio::test]
async fn a_request_by_post_is_asked_again_by_get() {
    let world = World::new().await;
    let asked = authorize(&[]);
    let (_, query) = asked.split_once('?').unwrap();
    let request =
        Request::post("/auth").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let mut browser = Browser::default();
    let reply = browser
        .send_with(&world, request, query.to_owned().into())
        .await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(browser.cookie.is_none());
    let reply = browser.get(&world, &reply.location()).await;
    assert!(
        reply.location().starts_with("/interaction/"),
        "{}",
        reply.location()
    );
}

#[tokio::test]
async fn the_older_path_works_too() {
    let world = World::new().await;
    let path = authorize(&[]).replace("/auth?", "/authorize?");
    let reply = Browser::default().get(&world, &path).await;
    assert!(reply.location().starts_with("/interaction/"));
}

#[tokio::test]
async fn below_a_prefix_every_address_carries_it() {
    let world = World::of(Plan {
        base: "https://example.com/tools",
        ..Plan::default()
    })
    .await;
    let mut browser = Browser::default();
    let reply = browser
        .get(&world, &format!("/tools{}", authorize(&[])))
        .await;
    let page = reply.location();
    assert!(page.starts_with("/tools/interaction/"), "{page}");
    let reply = browser.get(&world, &page).await;
    reply.assert_page(StatusCode::OK, "I trust this client");
    let action = format!("action=\"{}", page.replace('/', "&#x2f;"));
    assert!(reply.body.contains(&action), "{}", reply.body);
}

#[tokio::test]
async fn the_cookie_is_given_once() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let reply = browser.get(&world, &authorize(&[])).await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-mcp-auth-browser="), "{cookie}");
    let reply = browser.get(&world, &authorize(&[])).await;
    assert!(!reply.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn an_address_has_a_budget() {
    let world = World::of(Plan {
        requests: Some(2),
        ..Plan::default()
    })
    .await;
    for _ in 0..2 {
        ask(&world, &[]).await;
    }
    let reply = ask(&world, &[]).await;
    reply.assert_problem(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
}
