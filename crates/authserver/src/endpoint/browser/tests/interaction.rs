use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

use super::world::{Browser, LOOPBACK, POST, World, assert_error, encode, parameter};

#[tokio::test]
async fn the_page_says_who_asks_for_what() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let reply = browser.get(&world, &page).await;
    reply.assert_page(
        StatusCode::OK,
        "I trust this client with access to my account",
    );
    for text in [
        "Example client",
        "<p class=\"large\"><bdi>client.example.org</bdi></p>",
        "Its exact address: <code>https:&#x2f;&#x2f;client.example.org&#x2f;callback</code>",
        "127.0.0.1",
        "<code>global</code>",
        "<code>read-protected</code>",
        "<code>openid</code>",
        "<code>offline_access</code>",
        "It says of itself that its website is <bdi>https:&#x2f;&#x2f;website.example.net&#x2f;about</bdi>",
        "Use another account",
        "https:&#x2f;&#x2f;mcp.example.com&#x2f;mcp",
    ] {
        assert!(reply.body.contains(text), "no {text:?} in {}", reply.body);
    }
    // Nothing of the client's is linked or loaded, and nothing is ticked beforehand.
    assert!(!reply.body.contains("<a ") && !reply.body.contains("<img"));
    assert!(reply.body.contains("name=\"confirmed\" value=\"true\"> "));
    assert!(!reply.body.contains("Any program on this computer"));
}

#[tokio::test]
async fn loopback_is_warned_of() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser
        .begin(&world, &[("redirect_uri", Some(LOOPBACK))])
        .await;
    let reply = browser.get(&world, &page).await;
    reply.assert_page(
        StatusCode::OK,
        "Any program on this computer can call itself",
    );
    assert!(reply.body.contains("<bdi>localhost</bdi>"));
}

#[tokio::test]
async fn another_browser_can_do_nothing() {
    let world = World::new().await;
    let mut owner = Browser::default();
    let page = owner.begin(&world, &[]).await;
    let mut with_own_cookie = Browser::default();
    with_own_cookie.begin(&world, &[]).await;
    for mut other in [Browser::default(), with_own_cookie] {
        let reply = other.get(&world, &page).await;
        reply.assert_problem(StatusCode::FORBIDDEN, "another browser");
        assert!(!reply.body.contains("Example client"));
        for path in ["confirm-login", "login", "abort"] {
            let form = [("confirmed", "true")];
            let reply = other.post(&world, &format!("{page}/{path}"), &form).await;
            reply.assert_problem(StatusCode::FORBIDDEN, "another browser");
        }
        let reply = other.get(&world, &format!("{page}/abort")).await;
        reply.assert_problem(StatusCode::FORBIDDEN, "another browser");
    }
    // Its own goes on.
    owner.agree(&world, &page).await;
}

#[tokio::test]
async fn without_the_tick_the_page_comes_again() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    for form in [
        &[][..],
        &[("confirmed", "false")],
        &[("account", "another")],
    ] {
        let reply = browser
            .post(&world, &format!("{page}/confirm-login"), form)
            .await;
        reply.assert_page(StatusCode::UNPROCESSABLE_ENTITY, "Tick the box");
        assert!(reply.body.contains("role=\"alert\""));
        assert!(!reply.body.contains("http-equiv"));
    }
}

#[tokio::test]
async fn forms_from_elsewhere_are_refused() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    for path in ["confirm-login", "login", "abort"] {
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("x-nothing", "said"),
        ] {
            let request = Request::builder()
                .method(POST)
                .uri(format!("{page}/{path}"))
                .header(name, value)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let form = Body::from(encode(&[("confirmed", "true")]));
            let reply = browser.send_with(&world, request, form).await;
            reply.assert_problem(StatusCode::FORBIDDEN, "not sent from our page");
        }
    }
    browser.agree(&world, &page).await;
}

#[tokio::test]
async fn cancel_tells_the_client_and_ends_it() {
    let world = World::new().await;
    for by_form in [true, false] {
        let mut browser = Browser::default();
        let page = browser.begin(&world, &[]).await;
        let at_provider = browser.agree(&world, &page).await;
        let abort = format!("{page}/abort");
        let reply = if by_form {
            browser.post(&world, &abort, &[]).await
        } else {
            browser.get(&world, &abort).await
        };
        reply.assert_page(StatusCode::OK, "client.example.org");
        assert_error(&reply.way_back(), "access_denied");
        // Nothing of it is usable any more.
        for path in [page.clone(), abort] {
            let reply = browser.get(&world, &path).await;
            reply.assert_problem(StatusCode::CONFLICT, "already done");
        }
        let form = [("confirmed", "true")];
        let confirm = format!("{page}/confirm-login");
        let reply = browser.post(&world, &confirm, &form).await;
        reply.assert_problem(StatusCode::CONFLICT, "already done");
        let reply = browser
            .come_back(&world, &at_provider, &[("code", "c")])
            .await;
        reply.assert_problem(StatusCode::CONFLICT, "already done");
        assert!(world.provider.lock().unwrap().forms.is_empty());
    }
}

#[tokio::test]
async fn an_interaction_lasts_an_hour() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    world.clock.forward(3599);
    browser
        .get(&world, &page)
        .await
        .assert_page(StatusCode::OK, "I trust this client");
    // Agreeing does not prolong it.
    browser.agree(&world, &page).await;
    world.clock.forward(1);
    let reply = browser.get(&world, &page).await;
    reply.assert_problem(StatusCode::NOT_FOUND, "expired");
}

#[tokio::test]
async fn what_was_asked_goes_on_to_the_provider() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let page = browser
        .begin(
            &world,
            &[
                ("prompt", Some("login consent")),
                ("max_age", Some("60")),
                ("login_hint", Some("alice@example.com")),
                ("resource", Some("https://mcp.example.com/mcp")),
            ],
        )
        .await;
    let url = browser.agree(&world, &page).await;
    assert_eq!(parameter(&url, "prompt").as_deref(), Some("login"));
    assert_eq!(parameter(&url, "max_age").as_deref(), Some("60"));
    assert_eq!(
        parameter(&url, "login_hint").as_deref(),
        Some("alice@example.com")
    );
    assert_eq!(parameter(&url, "resource"), None);
    assert_eq!(
        parameter(&url, "redirect_uri").as_deref(),
        Some("https://mcp.example.com/interaction/identity/callback")
    );
    let state = parameter(&url, "state").unwrap();
    let again = browser.agree(&world, &page).await;
    assert_ne!(parameter(&again, "state").unwrap(), state);

    let form = [("confirmed", "true"), ("account", "another")];
    let reply = browser
        .post(&world, &format!("{page}/confirm-login"), &form)
        .await;
    let url = reply.refresh();
    assert_eq!(parameter(&url, "prompt").as_deref(), Some("select_account"));
}

#[tokio::test]
async fn a_provider_that_knows_no_choice_of_accounts_is_asked_for_a_login() {
    let world = World::new().await;
    world.provider_knows("alice");
    let mut browser = Browser::default();
    let page = browser.begin(&world, &[]).await;
    let form = [("confirmed", "true"), ("account", "another")];
    let reply = browser
        .post(&world, &format!("{page}/confirm-login"), &form)
        .await;
    let refused = [("error", "invalid_request")];
    let reply = browser.come_back(&world, &reply.refresh(), &refused).await;
    let again = reply.refresh();
    assert_eq!(parameter(&again, "prompt").as_deref(), Some("login"));
    // Once is enough: now the client learns of it.
    let mut other = browser.clone();
    let reply = other.come_back(&world, &again, &refused).await;
    assert_eq!(
        parameter(&reply.way_back(), "error").as_deref(),
        Some("server_error")
    );
}

#[tokio::test]
async fn the_store_holds_neither_state_nor_request_in_the_clear() {
    let world = World::new().await;
    let mut browser = Browser::default();
    let changes = [("nonce", Some("a-nonce-to-be-found"))];
    let page = browser.begin(&world, &changes).await;
    let url = browser.agree(&world, &page).await;
    let stored = world.stored_bytes();
    let cookie = browser.cookie.clone().unwrap();
    let (_, cookie) = cookie.split_once('=').unwrap();
    for secret in [
        "a-nonce-to-be-found",
        "client state",
        &parameter(&url, "state").unwrap(),
        cookie,
    ] {
        let found = stored
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is stored");
    }
}
