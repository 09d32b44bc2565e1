//! Logging a client out, and having the browser forgotten.

use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};

use super::world::{Browser, REDIRECT, Reply, VERIFIER, World, encode, parameter};

const BYE: &str = "https://client.example.org/bye";
const CONFIRM: &str = "/session/end/confirm";

/// A client that has registered a place to return to, with its tokens.
struct Session {
    client: String,
    tokens: Value,
}

async fn post_form(world: &World, path: &str, form: &[(&str, &str)]) -> Reply {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(encode(form).into());
    world.send(request.unwrap()).await
}

async fn log_in(world: &World) -> Session {
    let metadata = json!({
        "client_name": "Tool <b>",
        "redirect_uris": [REDIRECT],
        "post_logout_redirect_uris": [BYE, "http://localhost/bye"],
        "token_endpoint_auth_method": "none",
    });
    let request = Request::post("/reg").body(metadata.to_string().into());
    let reply = world.send(request.unwrap()).await;
    let registered: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(registered["post_logout_redirect_uris"][0], BYE);
    let client = registered["client_id"].as_str().unwrap().to_owned();

    let mut browser = Browser::default();
    let page = browser
        .begin(world, &[("client_id", Some(client.as_str()))])
        .await;
    let at_provider = browser.agree(world, &page).await;
    world.provider_knows("alice");
    let back = browser
        .come_back(world, &at_provider, &[("code", "provider-code")])
        .await
        .refresh();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &parameter(&back, "code").unwrap()),
        ("client_id", &client),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let reply = post_form(world, "/token", &form).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    Session {
        client,
        tokens: serde_json::from_str(&reply.body).unwrap(),
    }
}

// === impl Session ===

impl Session {
    fn id_token(&self) -> &str {
        self.tokens["id_token"].as_str().unwrap()
    }

    /// Whether its grant lives.
    async fn lives(&self, world: &World) -> bool {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client),
            (
                "refresh_token",
                self.tokens["refresh_token"].as_str().unwrap(),
            ),
        ];
        let reply = post_form(world, "/token", &form).await;
        match reply.status {
            StatusCode::OK => true,
            StatusCode::BAD_REQUEST => {
                assert!(reply.body.contains("invalid_grant"), "{}", reply.body);
                false
            }
            status => panic!("{status}: {}", reply.body),
        }
    }
}

/// Sends the form of a logout page, as the page has it.
async fn agree(world: &World, browser: &mut Browser, page: &Reply) -> Reply {
    let mut fields = Vec::new();
    for part in page.body.split("<input type=\"hidden\" name=\"").skip(1) {
        let (name, rest) = part.split_once("\" value=\"").unwrap();
        let (value, _) = rest.split_once('"').unwrap();
        let value = value.replace("&#x2f;", "/").replace("&amp;", "&");
        fields.push((name.to_owned(), value));
    }
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.post(world, CONFIRM, &fields).await
}

#[tokio::test]
async fn a_person_who_agrees_ends_the_clients_grant_and_goes_back_with_its_state() {
    let world = World::new().await;
    let (session, other) = (log_in(&world).await, log_in(&world).await);
    // By the time of a logout the ID token has mostly expired.
    world.clock.forward(2 * 3600);
    let query = encode(&[
        ("id_token_hint", session.id_token()),
        ("client_id", &session.client),
        ("post_logout_redirect_uri", BYE),
        ("state", "a state &+="),
    ]);
    let mut browser = Browser::default();
    let page = browser.get(&world, &format!("/session/end?{query}")).await;
    page.assert_page(StatusCode::OK, "Tool &lt;b&gt;");
    assert!(session.lives(&world).await, "asking ends nothing");

    let reply = agree(&world, &mut browser, &page).await;
    reply.assert_page(StatusCode::OK, "You are logged out");
    let back = reply.refresh();
    assert!(back.as_str().starts_with(BYE), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("a state &+="));
    assert!(!session.lives(&world).await);
    assert!(other.lives(&world).await, "only the named one ends");

    // Once more is no fault: it is ended.
    let again = agree(&world, &mut browser, &page).await;
    again.assert_page(StatusCode::OK, "You are logged out");
}

/// The predecessor's ID tokens named no session. They were signed with the same keys, and clients
/// whose sessions were taken over still hold them.
#[tokio::test]
async fn an_id_token_without_a_session_ends_its_user_s_sessions_with_the_client() {
    let world = World::new().await;
    let (session, other) = (log_in(&world).await, log_in(&world).await);
    let token = |sub: &str| {
        let claims = json!({
            "iss": world.server.settings.base_url.issuer(),
            "sub": sub,
            "aud": session.client,
            "exp": 1,
        });
        let keys = world.server.keys.current();
        keys.sign(None, "JWT", claims.as_object().unwrap()).unwrap()
    };
    let mut browser = Browser::default();
    let stranger = encode(&[("id_token_hint", token("nobody").expose())]);
    let path = format!("/session/end?{stranger}");
    let page = browser.get(&world, &path).await;
    page.assert_problem(StatusCode::BAD_REQUEST, "session is not known");
    let query = encode(&[("id_token_hint", token("alice").expose())]);
    let page = browser.get(&world, &format!("/session/end?{query}")).await;
    page.assert_page(StatusCode::OK, "Tool &lt;b&gt;");
    let reply = agree(&world, &mut browser, &page).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert!(!session.lives(&world).await);
    assert!(
        other.lives(&world).await,
        "another client's session goes on"
    );
}

#[tokio::test]
async fn without_a_place_to_return_to_a_page_says_that_it_is_done() {
    let world = World::new().await;
    let session = log_in(&world).await;
    // By POST, as the specification lets clients do.
    let form = [("id_token_hint", session.id_token())];
    let page = post_form(&world, "/session/end", &form).await;
    page.assert_page(StatusCode::OK, "<form");
    let mut browser = Browser::default();
    let reply = agree(&world, &mut browser, &page).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let done = browser.get(&world, &reply.location()).await;
    done.assert_page(StatusCode::OK, "You are logged out");
    assert!(!session.lives(&world).await);
}

#[tokio::test]
async fn nothing_ends_by_a_form_of_another_site() {
    let world = World::new().await;
    let session = log_in(&world).await;
    let body = encode(&[("id_token_hint", session.id_token())]);
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let mut request = Request::post(CONFIRM)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        let reply = world.send(request.body(body.clone().into()).unwrap()).await;
        reply.assert_problem(StatusCode::FORBIDDEN, "not sent from our page");
    }
    let reply = Browser::default()
        .get(&world, &format!("{CONFIRM}?{body}"))
        .await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(session.lives(&world).await);
}

#[tokio::test]
async fn what_cannot_be_acted_upon_is_told_and_ends_nothing() {
    let world = World::new().await;
    let session = log_in(&world).await;
    let hint = session.id_token();
    // Another server's token of the same form, and one that was changed.
    let foreign = log_in(&World::new().await).await;
    let (head, signature) = hint.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let (_, claims) = foreign.id_token().split_once('.').unwrap();
    let (claims, _) = claims.split_once('.').unwrap();
    let forged = format!("{header}.{claims}.{signature}");
    let access_token = session.tokens["access_token"].as_str().unwrap();
    for (parameters, text) in [
        (vec![], "Nobody is logged in here"),
        (vec![("state", "x")], "Nobody is logged in here"),
        (
            vec![("post_logout_redirect_uri", BYE), ("client_id", "x")],
            "Nobody is logged in here",
        ),
        (vec![("id_token_hint", "x")], "session is not known"),
        (
            vec![("id_token_hint", access_token)],
            "session is not known",
        ),
        (
            vec![("id_token_hint", foreign.id_token())],
            "session is not known",
        ),
        (vec![("id_token_hint", &forged)], "session is not known"),
        (
            vec![("id_token_hint", hint), ("client_id", "client-1")],
            "contradicts itself",
        ),
        (
            vec![("id_token_hint", hint), ("id_token_hint", hint)],
            "contradicts itself",
        ),
        (
            vec![
                ("id_token_hint", hint),
                ("post_logout_redirect_uri", "https://evil.example/"),
            ],
            "not the client",
        ),
        // Exactly: a redirect URI of the login is none, nor is another port.
        (
            vec![
                ("id_token_hint", hint),
                ("post_logout_redirect_uri", REDIRECT),
            ],
            "not the client",
        ),
        (
            vec![
                ("id_token_hint", hint),
                ("post_logout_redirect_uri", "http://localhost:7/bye"),
            ],
            "not the client",
        ),
    ] {
        let mut browser = Browser::default();
        let path = format!("/session/end?{}", encode(&parameters));
        let asked = browser.get(&world, &path).await;
        asked.assert_problem(StatusCode::BAD_REQUEST, text);
        let sent = browser.post(&world, CONFIRM, &parameters).await;
        sent.assert_problem(StatusCode::BAD_REQUEST, text);
    }
    assert!(session.lives(&world).await);
}

#[tokio::test]
async fn a_reset_forgets_the_browser_and_ends_no_grant() {
    let world = World::new().await;
    let session = log_in(&world).await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let reply = browser.get(&world, "/session/reset").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(reply.location(), "/session/reset/done");
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-mcp-auth-browser=; "), "{cookie}");
    for attribute in ["Max-Age=0", "Path=/", "Secure", "HttpOnly"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    // As the browser acts upon it.
    browser.cookie = None;
    let reply = browser.get(&world, &page).await;
    reply.assert_problem(StatusCode::FORBIDDEN, "another browser");

    let done = browser.get(&world, "/session/reset/done").await;
    assert_eq!(done.status, StatusCode::UNAUTHORIZED);
    let challenge = done.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer error=\"session_expired\""),
        "{challenge}"
    );
    assert!(challenge.contains(
        "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
    ));
    let body: Value = serde_json::from_str(&done.body).unwrap();
    assert_eq!(body["error"], "session_expired");
    let request = Request::get("/session/reset/done").header(header::ACCEPT, "text/html,*/*");
    let done = browser.send(&world, request).await;
    done.assert_page(StatusCode::UNAUTHORIZED, "This browser is forgotten");
    assert_eq!(done.header("www-authenticate"), challenge);
    assert!(session.lives(&world).await);
}
